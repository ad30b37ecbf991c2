"""The neutral face that displacement is measured from: the person's own, or the population's."""

from __future__ import annotations

import numpy as np

from fervid.faces import shape
from fervid.types import Clock, Floats, Ints

NEUTRAL_SECONDS = 10  # a person's neutral is learnt from so much of the track, then frozen
AT_REST = 0.2  # share of these frames that counts: the least expressive
STEADY = 9  # frames over which expressiveness is averaged: a blink is no expression, nor is noise rest
NEUTRAL_LEAST = 1  # seconds: from less, a passing expression would pass for the neutral


def population_neutral() -> Floats:
    """Return the neutral face of nobody in particular: (68, 2) in eye distances."""
    return shape.figures()["neutral"][:, :2].astype(np.float32)


def neutral(clock: Clock, pts: Ints, faces: Floats) -> Floats:
    """Return a person's neutral face, from pose-free landmarks (N, 68, 2) of the first seconds of the track.

    It is the median of the least expressive frames: a face need not be at rest for most of the time, as long
    as it is at times.
    """
    if len(pts) < 2 or int(pts[-1] - pts[0]) * clock.time_base < NEUTRAL_LEAST:
        return population_neutral()
    reach = min(STEADY, len(faces)) // 2
    around = np.pad(shape.expressiveness(faces), reach, mode="edge")
    steady = np.convolve(around, np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")
    resting = np.argsort(steady, kind="stable")[: max(1, round(AT_REST * len(faces)))]
    return np.median(faces[resting], axis=0).astype(np.float32)
