"""The neutral face, from which displacement is measured: of the person, or of the population."""

from __future__ import annotations

import numpy as np

from fervid.faces import shape
from fervid.types import Clock, Floats, Ints

NEUTRAL_SECONDS = 10  # the neutral face is estimated from this much of a track, then fixed
AT_REST = 0.2  # share of these frames that is used: the least expressive
STEADY = 9  # frames over which expressiveness is averaged, against blinks and noise
NEUTRAL_LEAST = 1  # seconds; a shorter track may be all one expression


def population_neutral() -> Floats:
    """Return the mean neutral face of many people: (68, 2) in eye distances."""
    return shape.figures()["neutral"][:, :2].astype(np.float32)


def neutral(clock: Clock, pts: Ints, faces: Floats) -> Floats:
    """Return a person's neutral face, from landmarks without pose (N, 68, 2) of the first seconds of a track.

    It is the median of the least expressive frames, so the face may be expressive most of the time.
    """
    if len(pts) < 2 or int(pts[-1] - pts[0]) * clock.time_base < NEUTRAL_LEAST:
        return population_neutral()
    reach = min(STEADY, len(faces)) // 2
    around = np.pad(shape.expressiveness(faces), reach, mode="edge")
    steady = np.convolve(around, np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")
    resting = np.argsort(steady, kind="stable")[: max(1, round(AT_REST * len(faces)))]
    return np.median(faces[resting], axis=0).astype(np.float32)
