"""Augmentation on the fly: random changes of camera, light and time.

A clip's changes depend on its own seed alone, not on its batch. Crops, landmarks and neutral get the same
geometric change; every other change is to the pixels, or to the landmarks, alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from fervid import clips
from fervid.clips import Face, Window
from fervid.faces import shape
from fervid.train.augment import geometry, pixels
from fervid.train.augment.chance import mix, sent, uniform
from fervid.train.augment.settings import AUGMENTATIONS, MILD, OFF, STRONG, Augmentation
from fervid.train.augment.wobble import DRAWS as WOBBLE_DRAWS
from fervid.train.augment.wobble import wobble
from fervid.types import LANDMARKS, Array, Floats, Ints

WHOLE = shape.CROP + 2 * shape.MARGIN


def augment(
    faces: Tensor | None,
    landmarks: Tensor | None,
    neutral: Tensor | None,
    settings: Augmentation,
    seeds: Ints,
    side: int = shape.CROP,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return changed clips: faces (B, L, side, side) in 0..255, landmarks (B, L, 68, 2), neutral (B, 68, 2).

    `faces` (B, L, M, M) uint8 have a margin around the crop, the middle `side` pixels; they are returned as
    float32. `landmarks` (B, L, 68, 2) are in pixels of `faces`, and are returned in pixels of the crop.
    `neutral` (B, 68, 2) is without pose, in eye distances from between the eyes. `seeds` (B,) is one integer
    per clip. None stays None, and does not affect the rest.
    """
    length, whole = _sizes(faces, landmarks, neutral, seeds, side)
    dice = uniform(seeds, geometry.DRAWS + WOBBLE_DRAWS + 1 + pixels.DRAWS * len(pixels.CHANGES))
    ends = np.cumsum([geometry.DRAWS, WOBBLE_DRAWS, 1])
    move_dice, wobble_dice, variant_dice, pixel_dice = np.split(dice, ends, axis=1)
    moves = geometry.draw(settings, move_dice, length, side)

    pictures = None
    if faces is not None:
        pictures = (geometry.warp if settings.warps else geometry.middle)(faces, moves, side)
        pictures = _changed(pictures, settings, pixel_dice.reshape(len(seeds), -1, pixels.DRAWS))
        if settings.illumination == "kuo":
            pictures = pixels.in_a_variant(pictures, sent(variant_dice[:, 0], pictures.device))
    points = None
    if landmarks is not None:
        points = geometry.move_landmarks(landmarks, moves, whole, side)
        if settings.landmark_noise or settings.landmark_bias:
            points = points + wobble(settings, wobble_dice, length, landmarks.device)
    moved_neutral = None if neutral is None else geometry.move_neutral(neutral, moves)
    return pictures, points, moved_neutral


def _changed(pictures: Tensor, settings: Augmentation, dice: Floats) -> Tensor:
    """Apply each change to the pixels of the clips that drew it: dice (B, changes, DRAWS)."""
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
    """Return the clips' number of frames and width in pixels; raise ValueError for sizes that differ."""
    length = next((len(clip[0]) for clip in (faces, landmarks) if clip is not None and len(clip)), 1)
    whole = WHOLE if faces is None else faces.shape[-1]
    expected = {
        "faces": (faces, (len(seeds), length, whole, whole), torch.uint8),
        "landmarks": (landmarks, (len(seeds), length, LANDMARKS, 2), torch.float32),
        "neutral": (neutral, (len(seeds), LANDMARKS, 2), torch.float32),
    }
    for name, (values, size, dtype) in expected.items():
        if values is not None and (tuple(values.shape) != size or values.dtype != dtype):
            raise ValueError(f"{name} should be {dtype} {size}, got {values.dtype} {tuple(values.shape)}")
    if side > whole or (whole - side) % 2:
        raise ValueError(f"the middle {side} of {whole} pixels should leave equal margins")
    return length, whole


@dataclass(frozen=True)
class _Pace:
    """A clock that runs faster or slower."""

    time_base: Fraction
    start: int = 0


def draw_window(face: Face, random: np.random.Generator, settings: Augmentation) -> Window:
    """Draw a window for training.

    Its centre is any time of the face's frames. Time may run faster or slower, and dropped frames are
    replaced by the nearest frames.
    """
    pts = face.pts
    if not len(pts):
        raise ValueError("a strip without frames has no windows")
    centre = int(random.integers(pts[0], pts[-1], endpoint=True))
    pace = float(np.exp(random.uniform(-1, 1) * np.log1p(settings.speed)))
    kept = _kept(len(pts), random, settings)
    clock = _Pace(face.clock.time_base / Fraction(pace).limit_denominator(1000))
    return Window(face, centre, np.asarray(kept[clips.rows(clock, pts[kept], centre)], np.int64))


def draw_whole_window(face: Face, random: np.random.Generator, settings: Augmentation) -> Window:
    """Draw the window over a whole face for training.

    Each moment moves by up to a share `speed` of the time between two, so that time runs faster and slower
    within the clip. Dropped frames are replaced by the nearest frames.
    """
    kept = _kept(len(face.pts), random, settings)
    stray = min(settings.speed, 0.5) * random.uniform(-1, 1, clips.LENGTH).astype(np.float32)
    rows = kept[clips.whole_rows(face.pts[kept], stray)]
    return Window(face, int(face.pts[rows[len(rows) // 2]]), np.asarray(rows, np.int64))


def _kept(count: int, random: np.random.Generator, settings: Augmentation) -> Ints:
    """Return the frames that are not dropped, at least one."""
    dropped = settings.dropped * random.random()
    kept = np.flatnonzero(random.random(count) >= dropped)
    return kept if len(kept) else np.array([random.integers(count)])
