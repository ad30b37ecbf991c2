"""Faces set in motion, for teaching and measuring a landmark predictor: pictures and their 68 true points.

A photograph at rest is bent to moved points, by random action units: the truth of every point is known by
construction. Canvases of these pictures are then taken as an analysis takes them, and made worse at random.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from fervid import synth
from fervid.faces import shape
from fervid.faces.finder import upright_box
from fervid.faces.picture import CANVAS, CANVAS_BOX
from fervid.faces.points import EDGE, SIDE
from fervid.types import Array, Bytes, Floats

SIDED = 0.15  # chance of an action unit that acts on one side more than on the other
TORN = 20.0  # the largest motion of a mesh point by landmarks that move by 1; of an intact mesh it is below 7
SEAM = 0.3  # eye distances over which the halves of a face blend

# A chance for each action unit by itself, and its greatest weight.
BROWS = {"AU1": (0.3, 1.2), "AU2": (0.3, 1.2), "AU4": (0.3, 1.2)}
EYES = {"AU5": (0.15, 1.0), "AU6": (0.2, 1.0), "AU7": (0.15, 1.0), "AU9": (0.08, 1.0)}
OTHER_MOUTHS = ("AU10", "AU14", "AU15", "AU16", "AU17", "AU18", "AU20", "AU22", "AU23", "AU24", "AU28")
# Kinds of mouths, and for each its share of the faces, and its action units as above.
MOUTHS: tuple[tuple[float, dict[str, tuple[float, float]]], ...] = (
    (0.15, {}),
    (0.35, {"AU25": (0.8, 1.0), "AU26": (1.0, 1.3), "AU27": (0.25, 1.0)}),
    (0.2, {"AU12": (1.0, 1.2), "AU25": (0.5, 1.0), "AU26": (0.3, 0.8)}),
    (0.15, {"AU18": (0.7, 1.0), "AU22": (0.7, 0.8), "AU26": (0.4, 0.7)}),
    (0.15, {"AU20": (0.6, 1.0), "AU16": (0.4, 0.6), "AU25": (0.5, 0.8), "AU26": (0.4, 0.6)}),
)
ALSO = 0.06  # chance of each of OTHER_MOUTHS in any mouth
CLOSING, CLOSED = 0.3, {"AU25": 1.0, "AU26": 0.6, "AU12": 0.5}  # a mouth that closes: chance, and weights
SHUT, BLINKING = 0.3, 0.6  # share of faces with closed eyes, and with those and half-closed ones


def weights(chance: np.random.Generator) -> dict[str, float]:
    """Draw the weights of action units."""
    kinds = np.array([share for share, _ in MOUTHS])
    mouth = MOUTHS[int(chance.choice(len(MOUTHS), p=kinds / kinds.sum()))][1]
    others = dict.fromkeys(OTHER_MOUTHS, (ALSO, 0.9))
    drawn = {
        unit: float(chance.uniform(0, most))
        for unit, (share, most) in {**BROWS, **EYES, **others, **mouth}.items()
        if chance.random() < share
    }
    if chance.random() < CLOSING:
        closed = chance.random()
        for unit, most in CLOSED.items():
            drawn[unit] = drawn.get(unit, 0.0) - closed * most
    lids = chance.random()
    if lids < BLINKING:
        drawn["AU45"] = float(chance.uniform(0.9, 1.4) if lids < SHUT else chance.uniform(0, 0.9))
        drawn.pop("AU5", None)
    return drawn


def moved(rest: Floats, drawn: Mapping[str, float], chance: np.random.Generator) -> Array:
    """Return the points of a face at rest after its action units, some of them stronger on one side."""
    view = synth.view_of(rest.astype(np.float64))
    left = np.clip(synth.neutral_face()[:, 0] / SEAM + 0.5, 0, 1)[:, None]
    points = rest.astype(np.float64)
    for unit, weight in drawn.items():
        weaker = chance.uniform(0, 1, 2) ** (chance.random() < SIDED)  # 1, 1 for most
        weaker /= weaker.max()
        side = weaker[0] * (1 - left) + weaker[1] * left
        points = points + weight * side * (synth.action_units()[unit] @ view.T)
    return synth.part(points, view[:, 1] / np.linalg.norm(view[:, 1]))


def acts(
    picture: Bytes, rest: Floats, count: int, chance: np.random.Generator
) -> Iterator[tuple[Bytes, Floats]]:
    """Yield `count` motions of a face at rest: the picture, and the true points.

    Yield none of a face that is turned so far that its mesh would tear.
    """
    puppet = synth.Puppet(picture, rest)
    if np.abs(puppet.motion).sum(1).max() > TORN:
        return
    for _ in range(count):
        face, points = puppet.pose(moved(rest, weights(chance), chance))
        yield face.reshape(picture.shape), points.astype(np.float32)


POSES = (18.0, 9.0, 6.0)  # degrees: sd of yaw, pitch and roll of drawn heads


def drawings(count: int, side: int, chance: np.random.Generator) -> Iterator[tuple[Bytes, Floats]]:
    """Yield drawn people who move: pictures that are less real, of points that are exact."""
    for _ in range(count):
        who = synth.person(chance)
        turn = Rotation.from_euler("yxz", chance.normal(0, POSES), degrees=True).as_matrix()
        eyes = chance.uniform(0.22, 0.28) * side
        middle = np.array([0.5, 0.43]) * side + chance.normal(0, 0.02 * side, 2)
        drawn = weights(chance)
        points = moved((who.shape @ turn[:2].T * eyes + middle).astype(np.float32), drawn, chance)
        lines = [[max(drawn.get(unit, 0.0), 0.0)] * 2 for unit in synth.UNITS]
        picture = synth.Painter(who, side, chance).paint(points, np.array(lines))
        yield picture, points.astype(np.float32)


# The spread of boxes around the true ones, as shares of the side, of its logarithm, and in radians: around
# those of a followed face, and of a face that was just detected.
FOLLOWED = (0.04, 0.06, np.radians(4.0))
DETECTED = (0.07, 0.12, np.radians(12.0))
JUST_DETECTED = 0.15  # share of the views
STRETCH = 0.06  # sd of the logarithm of a face's width over its height


def view_of(picture: Bytes, points: Floats, chance: np.random.Generator) -> tuple[Bytes, Floats]:
    """Return what the network sees of a canvas, and the points on the canvas; half are mirrored.

    The box is off by as much as an analysis may be.
    """
    center, side, roll = upright_box(points)
    shift, growth, turn = DETECTED if chance.random() < JUST_DETECTED else FOLLOWED
    center = center + chance.normal(0, shift * side, 2)
    pixels = CANVAS_BOX / side * np.exp(chance.normal(0, growth))
    roll += chance.normal(0, turn)
    cosine, sine = pixels * np.cos(roll), pixels * np.sin(roll)
    stretch = np.exp(chance.normal(0, STRETCH) / 2)
    linear = np.diag([stretch, 1 / stretch]) @ np.array([[cosine, sine], [-sine, cosine]])
    matrix = np.column_stack([linear, CANVAS / 2 - linear @ center])
    placed = (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    matrix[:, 2] -= EDGE  # only the middle, which is seen
    large = cv2.warpAffine(
        picture, matrix, (CANVAS - 2 * EDGE,) * 2, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    image = cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    if chance.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        placed = (placed * [-1, 1] + [CANVAS - 1, 0])[shape.figures()["mirror"]].astype(np.float32)
    return np.asarray(image, np.uint8), placed


def worse(picture: Bytes, eyes: float, chance: np.random.Generator) -> Bytes:
    """Return the picture as a worse camera or file would show it; `eyes` is the eye distance in pixels."""
    height, width = picture.shape
    if chance.random() < 0.2:  # a small face
        scale = chance.uniform(10, 32) / eyes
        if scale < 1:
            small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if chance.random() < 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), chance.uniform(0.01, 0.05) * eyes)
    if chance.random() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(chance.integers(12, 70))]
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_GRAYSCALE)
    return np.asarray(picture, np.uint8)


def lit(picture: Bytes, chance: np.random.Generator) -> Bytes:
    """Return the picture with another exposure, light from one side, noise, and something in front of it."""
    image = picture.astype(np.float32) / 255
    if chance.random() < 0.5:
        image = image ** np.float32(np.exp(chance.normal(0, 0.35)))
    if chance.random() < 0.2:
        across = np.linspace(-1, 1, SIDE, dtype=np.float32)
        slope = chance.normal(0, 0.35, 2).astype(np.float32)
        image = image * np.clip(1 + slope[0] * across + slope[1] * across[:, None], 0.15, 2)
    if chance.random() < 0.12:
        low = (chance.uniform(-0.2, 1, 2) * SIDE).astype(int)
        high = low + (chance.uniform(0.1, 0.45, 2) * SIDE).astype(int)
        low = np.maximum(low, 0)
        image[low[1] : high[1], low[0] : high[0]] = chance.random()
    if chance.random() < 0.25:
        grain = chance.standard_normal(image.shape, np.float32)
        image = image + np.float32(chance.uniform(0.005, 0.05)) * grain
    return np.asarray(np.clip(255 * image, 0, 255), np.uint8)
