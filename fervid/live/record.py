"""The parts of a live analysis that its timeline needs: about half a megabyte an hour for each face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fervid import timeline
from fervid.types import Curve, ModelInfo, Segment, Settings, Source, Tally, Timeline

JOINED = 256  # parts that are joined to one array, as each has an overhead


class Windows:
    """The windows of a track, in little memory."""

    def __init__(self) -> None:
        self._parts: list[timeline.Columns] = []

    def add(self, *columns: *timeline.Columns) -> None:
        """Add the pts (N,), scores (N, C), quality, motion and straightness of windows."""
        self._parts.append(columns)
        if len(self._parts) == JOINED:
            self._parts = [self.columns()]

    def columns(self) -> timeline.Columns:
        """Return the columns of all windows."""
        pts, *columns = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        scores, quality, motion, straightness = columns
        return pts, scores, quality, motion, straightness


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
