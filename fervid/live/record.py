"""The parts of a live analysis that its timeline needs: about half a megabyte an hour for each face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fervid import timeline
from fervid.types import Curve, Floats, Ints, ModelInfo, Segment, Settings, Source, Tally, Timeline

JOINED = 256  # parts that are joined to one array, as each has an overhead


class Windows:
    """The windows of a track, in little memory."""

    def __init__(self) -> None:
        self._parts: list[tuple[Ints, Floats, Floats, Floats]] = []

    def add(self, pts: Ints, scores: Floats, quality: Floats, motion: Floats) -> None:
        """Add windows (N,) with scores (N, C), quality (N,) and motion (N,)."""
        self._parts.append((pts, scores, quality, motion))
        if len(self._parts) == JOINED:
            self._parts = [self.columns()]

    def columns(self) -> tuple[Ints, Floats, Floats, Floats]:
        """Return the pts, scores, quality and motion of all windows."""
        pts, scores, quality, motion = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        return pts, scores, quality, motion


class Record:
    """The parts of the timeline of a live analysis."""

    def __init__(self) -> None:
        self.curves: list[Curve] = []
        self.segments: list[Segment] = []
        self.cuts: list[int] = []

    def timeline(
        self, source: Source, model: ModelInfo, settings: Settings, tally: Tally, end: int, planned: int
    ) -> Timeline:
        """Return the timeline of a feed that ended at `end`, after `planned` frames."""
        whole = Source(**{name: getattr(source, name) for name in Source.__dataclass_fields__})
        whole = replace(whole, duration=end - source.start, planned=planned)
        shots = np.unique(np.array([source.start, *self.cuts], np.int64))
        return timeline.build(whole, model, settings, tally, shots, self.curves, self.segments)
