"""The neutral face of a person, as estimated so far."""

from __future__ import annotations

import numpy as np

from fervid import clips
from fervid.faces import shape
from fervid.types import Floats, Ints, Source, Track


class Neutral:
    """The neutral face of a track, estimated from its first frames so far.

    An analysis of a file knows the first ten seconds when it scores the first window. This estimate begins
    with the population's face, improves with each window, and is fixed after the same ten seconds.
    """

    def __init__(self, clock: Source, first: int) -> None:
        self._clock = clock
        self._limit = first + clock.length(clips.NEUTRAL_SECONDS)
        self._pts: list[Ints] = []
        self._faces: list[Floats] = []
        self.face = clips.population_neutral()  # (68, 2) in eye distances

    @property
    def rows(self) -> int:
        """The number of frames that are kept."""
        return sum(map(len, self._pts))

    def learn(self, track: Track) -> None:
        """Add the next frames of the track; frames after its first ten seconds change nothing."""
        young = (track.pts < self._limit) & (track.quality > 0)  # others have no landmarks of their own
        if young.any():
            self._pts.append(track.pts[young])
            self._faces.append(shape.without_pose(track.landmarks[young]))
            self.face = clips.neutral(self._clock, np.concatenate(self._pts), np.concatenate(self._faces))
        if len(track) and track.pts[-1] >= self._limit:
            self._pts.clear()
            self._faces.clear()
