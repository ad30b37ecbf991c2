"""Damage to aligned faces, by strength from 0 to 1.

A damage takes a face (S, S) of grey levels, its landmarks (68, 2) in the pixels of the face, the strength,
and random numbers, which are the same for all frames of a sample.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fervid.faces import shape
from fervid.types import Bytes, Floats

Damage = Callable[[Bytes, Floats, float, np.random.Generator], Bytes]
DAMAGES: dict[str, tuple[Damage, tuple[float, ...]]] = {}

MASK = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 29)  # landmarks around a mask, nose last
DARK_GLASS = 25
SKIN = 0.8  # of the face's median: a hand
EDGE = 0.08  # eye distances over which a cover ends


def damage(*strengths: float) -> Callable[[Damage], Damage]:
    """Register a damage under the name of its function, with the strengths that are measured."""

    def register(function: Damage) -> Damage:
        name = function.__name__.replace("_", " ")
        if name in DAMAGES:
            raise ValueError(f"two damages are called {name!r}")
        DAMAGES[name] = function, strengths
        return function

    return register


def _covered(face: Bytes, polygon: np.ndarray, grey: float, points: Floats) -> Bytes:
    """Paint a polygon of the face in one grey, with a soft edge."""
    cover = np.zeros_like(face)
    cv2.fillPoly(cover, [np.rint(polygon * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(cover, (0, 0), max(0.4, EDGE * float(shape.eye_distance(points)) / 2)) / 255.0
    return _grey(face * (1 - soft) + grey * soft)


def _grey(values: np.ndarray) -> Bytes:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _frame(points: Floats) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the point between the eyes, and one eye distance along and across the eye line."""
    middle, along = shape.eye_line(points)
    return middle, along, np.array([-along[1], along[0]])


@damage(1.0)
def eyes_covered(face: Bytes, points: Floats, strength: float, rng: np.random.Generator) -> Bytes:
    """Draw a black bar over eyes and brows."""
    middle, along, down = _frame(points)
    corners = [(-1.1, -0.45), (1.1, -0.45), (1.1, 0.3), (-1.1, 0.3)]
    return _covered(face, np.array([middle + x * along + y * down for x, y in corners]), 0, points)


@damage(1.0)
def sunglasses(face: Bytes, points: Floats, strength: float, rng: np.random.Generator) -> Bytes:
    """Draw two dark lenses."""
    middle, along, down = _frame(points)
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for side in (-0.52, 0.52):
        lens = [
            middle + (side + 0.42 * np.cos(a)) * along + (0.05 + 0.3 * np.sin(a)) * down
            for a in turn.tolist()
        ]
        face = _covered(face, np.array(lens), DARK_GLASS, points)
    return face


@damage(1.0)
def mouth_covered(face: Bytes, points: Floats, strength: float, rng: np.random.Generator) -> Bytes:
    """Draw a black bar over the mouth."""
    mouth = points[48:60].mean(axis=0)
    _, along, down = _frame(points)
    corners = [(-0.7, -0.4), (0.7, -0.4), (0.7, 0.5), (-0.7, 0.5)]
    return _covered(face, np.array([mouth + x * along + y * down for x, y in corners]), 0, points)


@damage(1.0)
def mask(face: Bytes, points: Floats, strength: float, rng: np.random.Generator) -> Bytes:
    """Draw a light mask from the nose to the jaw."""
    return _covered(face, points[list(MASK)], 200, points)


@damage(1.0)
def hand(face: Bytes, points: Floats, strength: float, rng: np.random.Generator) -> Bytes:
    """Draw a blot as bright as skin over one cheek and half of the mouth."""
    _, along, down = _frame(points)
    side = 1.0 if rng.random() < 0.5 else -1.0
    centre = points[48:60].mean(axis=0) + 0.55 * side * along - 0.1 * down
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    blot = [centre + 0.6 * np.cos(a) * along + 0.75 * np.sin(a) * down for a in turn.tolist()]
    return _covered(face, np.array(blot), SKIN * float(np.median(face)), points)


@damage(0.5, 0.75, 0.9)
def dark(face: Bytes, points: Floats, strength: float, rng: np.random.Generator) -> Bytes:
    """Darken the face by a share, with the noise of a sensor."""
    return _grey(face * (1 - strength) + rng.normal(0, 5 * strength, face.shape))


@damage(0.5, 0.75, 0.95)
def side_light(face: Bytes, points: Floats, strength: float, rng: np.random.Generator) -> Bytes:
    """Darken one half of the face by a share."""
    across = np.linspace(-1, 1, face.shape[1]) * (1 if rng.random() < 0.5 else -1)
    return _grey(face * (1 - strength * np.clip(0.5 + 1.5 * across, 0, 1)))


@damage(0.5, 0.75, 0.9)
def back_light(face: Bytes, points: Floats, strength: float, rng: np.random.Generator) -> Bytes:
    """Reduce the face's contrast by a share, and darken it: the light is behind the head."""
    return _grey((face - 128.0) * (1 - strength) + 128 - 70 * strength + rng.normal(0, 2, face.shape))


@damage(0.05, 0.1, 0.2)
def blur(face: Bytes, points: Floats, strength: float, rng: np.random.Generator) -> Bytes:
    """Blur by a Gaussian with a width of a share of the eye distance."""
    return np.asarray(cv2.GaussianBlur(face, (0, 0), strength * float(shape.eye_distance(points))), np.uint8)


@damage(0.6, 0.8, 0.95)
def compression(face: Bytes, points: Floats, strength: float, rng: np.random.Generator) -> Bytes:
    """Compress as JPEG of quality 100 less the strength in percent."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, round(100 * (1 - strength))]
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", face, quality)[1], cv2.IMREAD_GRAYSCALE), np.uint8)


@damage(0.5, 0.7, 0.8)
def small(face: Bytes, points: Floats, strength: float, rng: np.random.Generator) -> Bytes:
    """Reduce the resolution by a share."""
    size = max(4, round(face.shape[0] * (1 - strength)))
    reduced = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(reduced, face.shape[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
