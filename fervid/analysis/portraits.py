"""Portraits of the tracks of a span, for person identity; they are cut while the span is decoded."""

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
    """Collects portraits of every track, a few per second, and describes the best of a finished track."""

    def __init__(self, video: Video, finder: FaceFinder, frames: Watched) -> None:
        self._finder, self._frames = finder, frames
        self._grid = tracks.Grid(video, PORTRAIT_EVERY)
        self._apart = video.length(people.APART)
        self._had: set[int] = set()  # tracks with a portrait since the last mark of the grid
        self._taken: dict[int, dict[int, Bytes]] = {}  # track -> pts -> portrait

    def take(self, observed: tracks.Observed) -> None:
        """Cut a portrait of each face in the last frame without one since the last mark of the grid."""
        if self._grid.passed(observed.pts):
            self._had.clear()
        for face in observed.faces:
            if face.track not in self._had:
                assert self._frames.last is not None and self._frames.last.pts == observed.pts
                portrait = self._finder.portrait(self._frames.last.luma, face.landmarks)
                self._taken.setdefault(face.track, {})[observed.pts] = portrait
                self._had.add(face.track)

    def describe(self, track: Track, span: Span) -> Descriptors:
        """Return the descriptors of the best portraits of a finished track inside the span."""
        taken = self._taken.pop(track.id, {})
        inside = span.within(track.pts)
        rows = np.flatnonzero(np.isin(track.pts, [*taken]))
        rows = rows[(rows >= inside.start) & (rows < inside.stop)]
        picture = people.choose(track, rows, [taken[pts] for pts in track.pts[rows].tolist()])
        rows, worth = people.best(track, rows, self._apart)
        described = [describe(taken[pts]) for pts in track.pts[rows].tolist()]
        if not described:
            return people.empty()
        return Descriptors(track.pts[rows], track.box[rows], worth, np.stack(described), picture)
