"""Values derived from curves: valence, arousal, intensity, interpolation and coverage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from fervid.labels import NEUTRAL, VALENCE_AROUSAL
from fervid.types import Curve, Floats, Ints


def valence_arousal(scores: Floats, labels: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the valence and arousal (N,) of scores (N, C): the weighted mean of the labels' coordinates."""
    coordinates = np.array([VALENCE_AROUSAL[label] for label in labels])  # (C, 2)
    values = np.clip(scores.astype(np.float64) @ coordinates, -1, 1).astype(np.float32)
    return values[:, 0], values[:, 1]


def intensity(scores: Floats, labels: Sequence[str]) -> Floats:
    """Return the intensity (N,) of scores (N, C): 1 minus the score of neutral."""
    strength: Floats = np.clip(1 - scores[:, list(labels).index(NEUTRAL)], 0, 1).astype(np.float32)
    return strength


def interpolate(window_pts: Ints, values: Floats, pts: Ints) -> Floats:
    """Interpolate values (N, C) at window centres linearly at any pts (M,); the end values hold outside.

    This equals the overlap-add of triangular windows, so rows that sum to 1 still do.
    """
    if len(window_pts) == 0:
        raise ValueError("there is no window to interpolate from")
    right = np.searchsorted(window_pts, pts).clip(1, max(1, len(window_pts) - 1))
    left = right - 1
    right = right.clip(max=len(window_pts) - 1)  # a single window is its own neighbour
    width = np.maximum(window_pts[right] - window_pts[left], 1)
    weight = np.clip((pts - window_pts[left]) / width, 0, 1)[:, None]
    blend: Floats = (values[left] * (1 - weight) + values[right] * weight).astype(np.float32)
    return blend


def covered(ranges: Iterable[tuple[int, int]]) -> int:
    """Return the ticks in the union of half-open ranges."""
    total, reached = 0, None
    for start, end in sorted(ranges):
        begin = start if reached is None else max(start, reached)
        total += max(0, end - begin)
        reached = end if reached is None else max(reached, end)
    return total


# The pts, scores, quality, motion and straightness of windows.
Columns = tuple[Ints, Floats, Floats, Floats, Floats]


def curve_of(
    labels: Sequence[str],
    track: int,
    start: int,
    end: int,
    frames: int,
    corners: tuple[Floats, Floats],
    windows: Columns,
) -> Curve:
    """Return the curve of a track from the corners of its boxes and its windows."""
    (low, high), (pts, scores, quality, motion, straightness) = corners, windows
    valence, arousal = valence_arousal(scores, labels)
    return Curve(
        track=track,
        start=start,
        end=end,
        frames=frames,
        hull=np.concatenate([low, high - low]).astype(np.float32),
        pts=pts,
        scores=scores,
        quality=quality,
        valence=valence,
        arousal=arousal,
        intensity=intensity(scores, labels),
        motion=motion,
        straightness=straightness,
    )
