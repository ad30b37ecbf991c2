"""Portraits of a span's tracks, for person identity, taken while its frames pass."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from fervid import people
from fervid.analysis.decoding import Watched
from fervid.analysis.results import Span
from fervid.faces import tracks
from fervid.faces.finder import FaceFinder, describe
from fervid.people.descriptors import Descriptors
from fervid.types import Bytes, Track, Video

PORTRAIT_EVERY = Fraction(2, 5)  # seconds between portraits; the best of them are described


class Portraits:
    """Portraits as the face net reads them, a few a second, until the best of a track are known."""

    def __init__(self, planned: Video, finder: FaceFinder, frames: Watched) -> None:
        self._finder, self._frames = finder, frames
        self._grid = tracks.Grid(planned, PORTRAIT_EVERY)
        self._apart = planned.length(people.APART)
        self._had: set[int] = set()  # tracks whose portrait was taken since the grid's last mark
        self._taken: dict[int, dict[int, Bytes]] = {}  # track -> pts -> portrait

    def take(self, one: tracks.Observed) -> None:
        """Cut out the faces of a frame that were not cut out since the grid's last mark."""
        if self._grid.passed(one.pts):
            self._had.clear()
        for face in one.faces:
            if face.track not in self._had:
                assert self._frames.last is not None and self._frames.last.pts == one.pts
                portrait = self._finder.portrait(self._frames.last.luma, face.landmarks)
                self._taken.setdefault(face.track, {})[one.pts] = portrait
                self._had.add(face.track)

    def describe(self, track: Track, span: Span) -> Descriptors:
        """Describe the best of a finished track's portraits inside the span."""
        taken = self._taken.pop(track.id, {})
        inside = span.within(track.pts)
        rows = np.flatnonzero(np.isin(track.pts, [*taken]))
        rows = rows[(rows >= inside.start) & (rows < inside.stop)]
        rows, worth = people.best(track, rows, self._apart)
        described = [describe(taken[pts]) for pts in track.pts[rows].tolist()]
        if not described:
            return people.empty()
        return Descriptors(track.pts[rows], track.box[rows], worth, np.stack(described))
