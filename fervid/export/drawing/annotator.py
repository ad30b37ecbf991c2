"""Frames painted with boxes, labels and curves, from a timeline and its geometry."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fervid.errors import InputError
from fervid.export.drawing.canvas import BT601, Planes
from fervid.export.drawing.curve import FrameScores
from fervid.export.drawing.painter import DrawnFace, Painter
from fervid.export.drawing.style import KINDS
from fervid.timeline import interpolate
from fervid.types import Floats, Rows, Segment, Status, Timeline
from fervid.units import VideoUnits


@dataclass(frozen=True, eq=False)
class FrameFace:
    """A face in a frame."""

    track: int
    pts: int
    box: Floats  # (4,)
    landmarks: Floats  # (68, 2)
    is_clear: bool


def frames_of(chunks: Iterable[Rows]) -> Iterator[tuple[int, list[FrameFace] | None]]:
    """Yield each frame's pts and faces, in order; None if the frame was not sampled."""
    for rows in chunks:
        bounds = np.flatnonzero(np.diff(rows.frame)) + 1
        for indices in np.split(np.arange(len(rows)), bounds):
            if not len(indices):
                continue
            first = indices[0]
            if rows.status[first] == Status.NOT_SAMPLED:
                yield int(rows.pts[first]), None
                continue
            faces = [
                FrameFace(
                    int(rows.track[row]),
                    int(rows.pts[row]),
                    rows.box[row],
                    rows.landmarks[row],
                    bool(rows.status[row] == Status.OK),
                )
                for row in indices
                if rows.track[row] >= 0
            ]
            yield int(rows.pts[first]), faces


class Annotator:
    """Paints the frames of a video, in order."""

    def __init__(
        self,
        timeline: Timeline,
        geometry: Iterable[Rows],
        kinds: Collection[str] = KINDS,
        matrix: Floats = BT601,
        units: VideoUnits | None = None,
    ) -> None:
        """`units` are drawn beside the faces, if given."""
        self._units = units
        self._source, self._labels = timeline.source, timeline.labels
        self.painter = Painter(self._source.width, self._source.height, self._labels, kinds, matrix)
        self._curves = {curve.track: curve for curve in timeline.curves}
        self._segments: dict[int, list[Segment]] = {}
        for segment in sorted(timeline.segments, key=lambda segment: segment.start):
            self._segments.setdefault(segment.track, []).append(segment)
        self._starts = {track: [part.start for part in parts] for track, parts in self._segments.items()}
        self._names = {
            curve.track: f"T{curve.track}"
            if curve.person is None
            else timeline.names.get(curve.person, curve.person)
            for curve in timeline.curves
        }
        self._frames = frames_of(geometry)
        self._ahead = next(self._frames, None)
        self._held: list[FrameFace] = []

    def paint(self, pts: int, planes: Planes) -> None:
        """Paint the frame at `pts`, in place."""
        faces = self._faces(pts)
        self.painter.paint(planes, [self._shown(face, pts) for face in faces], self._frame_scores(pts, faces))

    def _faces(self, pts: int) -> list[FrameFace]:
        """Return the faces of a frame, or of the last sampled frame before it."""
        while self._ahead is not None and self._ahead[0] < pts:
            self._ahead = next(self._frames, None)
        if self._ahead is not None and self._ahead[0] == pts:
            if self._ahead[1] is not None:
                self._held = self._ahead[1]
            self._ahead = next(self._frames, None)
        for face in self._held:
            if face.track not in self._curves:
                raise InputError(
                    f"the geometry has a track {face.track} that the timeline does not have: "
                    "write both again with one `fervid analyze --timeline --tracks`"
                )
        return [face for face in self._held if pts < self._curves[face.track].end]

    def _scores(self, track: int, pts: int) -> Floats:
        curve = self._curves[track]
        return interpolate(curve.pts, curve.scores, np.array([pts], np.int64))[0]

    def _shown(self, face: FrameFace, pts: int) -> DrawnFace:
        """Return a face to draw: with the emotion of its segment, and that emotion's score at `pts`."""
        index = bisect_right(self._starts.get(face.track, []), pts) - 1
        segment = self._segments[face.track][index] if index >= 0 else None
        name = self._names[face.track]
        units = {} if self._units is None else self._units.at(face.track, face.pts)
        if segment is None or pts >= segment.end or not face.is_clear:
            return DrawnFace(face.box, face.landmarks, name, None, 0.0, units=units)
        score = float(self._scores(face.track, pts)[self._labels.index(segment.emotion)])
        return DrawnFace(face.box, face.landmarks, name, segment.emotion, score, segment.is_uncertain, units)

    def _frame_scores(self, pts: int, faces: Sequence[FrameFace]) -> FrameScores:
        """Return the scores of the largest face in a frame, for the curve."""
        seconds = self._source.seconds(pts)
        if not faces:
            return FrameScores(seconds)
        lead = max(faces, key=lambda face: (float(face.box[2] * face.box[3]), -face.track))
        scores = self._scores(lead.track, pts) if lead.is_clear else None
        return FrameScores(seconds, lead.track, self._names[lead.track], scores)
