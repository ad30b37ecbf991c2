"""Augmentation on the fly: each clip as another camera, light and moment might have shown it.

A clip's changes follow from its own seed alone, whatever the batch around it. Crops, landmarks and the
neutral get one and the same geometric change; everything else touches the pixels, or the landmarks, only.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from fervid import clips
from fervid.augment import geometry, pixels
from fervid.augment.chance import mix, sent, uniform
from fervid.augment.settings import AUGMENTATIONS, MILD, OFF, STRONG, Augmentation
from fervid.augment.wobble import DRAWS as WOBBLE_DRAWS
from fervid.augment.wobble import wobble
from fervid.clips import Face, Window
from fervid.faces import shape
from fervid.types import LANDMARKS, Array, Floats, Ints

__all__ = ["AUGMENTATIONS", "MILD", "OFF", "STRONG", "Augmentation", "augment", "mix", "window"]

WHOLE = shape.CROP + 2 * shape.MARGIN


def augment(
    faces: Tensor | None,
    landmarks: Tensor | None,
    neutral: Tensor | None,
    settings: Augmentation,
    seeds: Ints,
    side: int = shape.CROP,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Changed clips: faces (B, L, side, side) float32 in 0..255, landmarks (B, L, 68, 2), neutral (B, 68, 2).

    `faces` (B, L, M, M) uint8 have a margin around the middle `side` pixels, which are the crop proper.
    `landmarks` (B, L, 68, 2) are in their pixels, and come back in pixels of the smaller crop. `neutral`
    (B, 68, 2) is without pose, in eye distances from between the eyes. `seeds` (B,) is one integer per clip.
    None stays None, and changes nothing else.
    """
    length, whole = _sizes(faces, landmarks, neutral, seeds, side)
    dice = uniform(seeds, geometry.DRAWS + WOBBLE_DRAWS + 1 + pixels.DRAWS * len(pixels.CHANGES))
    ends = np.cumsum([geometry.DRAWS, WOBBLE_DRAWS, 1])
    of_moves, of_wobble, of_variant, of_pixels = np.split(dice, ends, axis=1)
    moves = geometry.draw(settings, of_moves, length, side)

    pictures = None
    if faces is not None:
        pictures = (geometry.warp if settings.warps else geometry.middle)(faces, moves, side)
        pictures = _changed(pictures, settings, of_pixels.reshape(len(seeds), -1, pixels.DRAWS))
        if settings.illumination == "kuo":
            pictures = pixels.in_a_variant(pictures, sent(of_variant[:, 0], pictures.device))
    points = None
    if landmarks is not None:
        points = geometry.move_landmarks(landmarks, moves, whole, side)
        if settings.landmark_noise or settings.landmark_bias:
            points = points + wobble(settings, of_wobble, length, landmarks.device)
    rest = None if neutral is None else geometry.move_neutral(neutral, moves)
    return pictures, points, rest


def _changed(pictures: Tensor, settings: Augmentation, dice: Floats) -> Tensor:
    """Each change to the pixels on those clips that drew it: dice (B, changes, DRAWS)."""
    for k, (name, function) in enumerate(pixels.CHANGES.items()):
        strength = getattr(settings, name)
        chosen = np.flatnonzero(dice[:, k, -1] < settings.chance)
        if strength and len(chosen):
            index = torch.from_numpy(chosen).to(pictures.device)
            draws = sent(dice[chosen, k], pictures.device)
            pictures[index] = function(pictures[index], strength, draws).clamp_(0.0, pixels.WHITE)
    return pictures


def _sizes(
    faces: Tensor | None, landmarks: Tensor | None, neutral: Tensor | None, seeds: Array, side: int
) -> tuple[int, int]:
    """How many frames the clips have, and how wide their crops are; refused if they do not fit each other."""
    length = next((len(given[0]) for given in (faces, landmarks) if given is not None and len(given)), 1)
    whole = WHOLE if faces is None else faces.shape[-1]
    wanted = {
        "faces": (faces, (len(seeds), length, whole, whole), torch.uint8),
        "landmarks": (landmarks, (len(seeds), length, LANDMARKS, 2), torch.float32),
        "neutral": (neutral, (len(seeds), LANDMARKS, 2), torch.float32),
    }
    for name, (given, fits, dtype) in wanted.items():
        if given is not None and (tuple(given.shape) != fits or given.dtype != dtype):
            raise ValueError(f"{name} should be {dtype} {fits}, got {given.dtype} {tuple(given.shape)}")
    if side > whole or (whole - side) % 2:
        raise ValueError(f"the middle {side} of {whole} pixels should leave as many on either side")
    return length, whole


@dataclass(frozen=True)
class _Pace:
    """A clock that runs faster or slower."""

    time_base: Fraction
    start: int = 0


def window(face: Face, random: np.random.Generator, settings: Augmentation) -> Window:
    """Draw a window for training.

    Its centre is any moment of the face; time may run faster or slower, and where a frame went lost the
    nearest that did not stands in.
    """
    pts = face.pts
    if not len(pts):
        raise ValueError("a strip without frames has no windows")
    centre = int(random.integers(pts[0], pts[-1], endpoint=True))
    pace = float(np.exp(random.uniform(-1, 1) * np.log1p(settings.speed)))
    lost = settings.dropped * random.random()
    kept = np.flatnonzero(random.random(len(pts)) >= lost)
    if not len(kept):
        kept = np.array([random.integers(len(pts))])
    clock = _Pace(face.clock.time_base / Fraction(pace).limit_denominator(1000))
    return Window(face, centre, np.asarray(kept[clips.rows(clock, pts[kept], centre)], np.int64))
