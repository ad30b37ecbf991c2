"""Windows of a track: where they stand, which frames they take, and how a net sees those frames.

Training, evaluation and analysis all cut their clips here.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from fervid.clips import illumination
from fervid.faces import shape
from fervid.types import Bytes, Clip, Clock, Floats, Ints, Strip, Track

LENGTH = 16  # frames that a net reads
SPACING = Fraction(1, 25)  # seconds between them: 0.64 s in all
STRIDE = Fraction(8, 25)  # seconds between windows: half a window

NEUTRAL_SECONDS = 10  # a person's neutral is learnt from so much of the track, then frozen
AT_REST = 0.2  # share of these frames that counts: the least expressive
STEADY = 9  # frames over which expressiveness is averaged: a blink is no expression, nor is noise rest
NEUTRAL_LEAST = 1  # seconds: from less, a passing expression would pass for the neutral


def centres(clock: Clock, pts: Ints, start: int, stop: int | None) -> Ints:
    """The window centres in [start, stop) that have one of the frames `pts` within half a stride.

    The first and the last are drawn onto the track: what lies beyond it may be another shot.
    """
    step = STRIDE / clock.time_base
    nearest = np.unique(np.rint((pts - clock.start) / float(step)).astype(np.int64))
    moments = np.array([clock.start + round(int(cell) * step) for cell in nearest], np.int64)
    moments = np.unique(moments.clip(pts[0], pts[-1]))
    kept = moments >= start
    if stop is not None:
        kept &= moments < stop
    return moments[kept]


def rows(clock: Clock, pts: Ints, centre: int) -> Ints:
    """Which of a track's frames the window at `centre` takes, by time: (LENGTH,), repeated at the ends."""
    spacing = SPACING / clock.time_base
    wanted = np.array([centre + float((i - Fraction(LENGTH - 1, 2)) * spacing) for i in range(LENGTH)])
    after = np.searchsorted(pts, wanted).clip(1, max(len(pts) - 1, 1))
    if len(pts) == 1:
        return np.zeros(LENGTH, np.int64)
    nearer_before = wanted - pts[after - 1] <= pts[after] - wanted
    return (after - nearer_before).astype(np.int64)


def windows(clock: Clock, track: Track, crops: Bytes, moments: Ints) -> Iterator[Clip]:
    """The clips of a track at these centres."""
    for centre in moments.tolist():
        chosen = rows(clock, track.pts, centre)
        yield Clip(track.pts[chosen], crops[chosen], shape.without_pose(track.landmarks[chosen]))


def points(landmarks: Floats) -> Floats:
    """A track's landmarks (N, 68, 2) in the pixels of its crops."""
    found = np.empty_like(landmarks, np.float32)
    for row, face in enumerate(landmarks):
        matrix, _ = shape.alignment(face)
        found[row] = face @ matrix[:, :2].T + matrix[:, 2]
    return found


def contrast(faces: Bytes, light: str = "none") -> Floats:
    """Crops at zero mean and unit deviation per clip: (B, L, S, S) -> the same, whatever light or range.

    `light` names the normalisation of illumination that comes before.
    """
    picture = illumination.normalise(light, faces)
    mean = picture.mean(axis=(1, 2, 3), keepdims=True)
    deviation = picture.std(axis=(1, 2, 3), keepdims=True)
    return (picture - mean) / np.maximum(deviation, 1.0)


def population_neutral() -> Floats:
    """The neutral face of nobody in particular: (68, 2) in eye distances."""
    return shape.figures()["neutral"][:, :2].astype(np.float32)


def neutral(clock: Clock, pts: Ints, faces: Floats) -> Floats:
    """A person's neutral face, from pose-free landmarks (N, 68, 2) of the first seconds of the track.

    The median of the least expressive frames: a face need not be at rest for most of the time, as long as
    it is at times.
    """
    if len(pts) < 2 or int(pts[-1] - pts[0]) * clock.time_base < NEUTRAL_LEAST:
        return population_neutral()
    reach = min(STEADY, len(faces)) // 2
    around = np.pad(shape.expressiveness(faces), reach, mode="edge")
    steady = np.convolve(around, np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")
    resting = np.argsort(steady, kind="stable")[: max(1, round(AT_REST * len(faces)))]
    return np.median(faces[resting], axis=0).astype(np.float32)


def neutral_of(strip: Strip, upright: Floats) -> Floats:
    """The neutral face of a whole strip, whose pose-free landmarks are `upright` (N, 68, 2)."""
    young = (strip.pts - strip.start) * float(strip.time_base) < NEUTRAL_SECONDS
    return neutral(strip, strip.pts[young], upright[young])
