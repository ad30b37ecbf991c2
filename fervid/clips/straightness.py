"""The straightness of a movement: how far a face gets of how far it moves.

It is near 1 as an expression appears. A mouth that talks moves to and fro, and so does a face that stands
still, whose landmarks tremble.
"""

from __future__ import annotations

import numpy as np

from fervid.types import Floats

TINY = 1e-6  # of the path, in eye distances: a face that does not move at all gets nowhere


def straightness(points: Floats) -> float:
    """Return the distance from the first to the last frame over the length of the path, in [0, 1].

    `points` (L, P, 2) have no head pose. Only their main movement counts, smoothed over three frames: along
    all others the path is mostly noise. Points that are not numbers get nowhere; scores of them are an error.
    """
    flat = points.reshape(len(points), -1).astype(np.float64)
    if not np.isfinite(flat).all():
        return 0.0
    flat = flat - flat.mean(axis=0)
    strengths, courses = np.linalg.eigh(flat @ flat.T)  # ascending
    main = courses[:, -1] * np.sqrt(max(strengths[-1], 0.0))
    padded = np.concatenate([main[:1], main, main[-1:]])
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return float(abs(smooth[-1] - smooth[0]) / (np.abs(np.diff(smooth)).sum() + TINY))
