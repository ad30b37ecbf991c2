"""Stitching: join the results of spans, in order, to the tracks, curves and segments of the video.

Tracks are matched across the ends of spans. A neutral face is estimated from a whole track, so the streams
that read displacement from it run here, while later spans are still being analyzed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from fervid import clips, people, timeline
from fervid.analysis.results import Span, SpanResult
from fervid.analysis.spans import HALO
from fervid.clips import Face, Window
from fervid.faces import shape
from fervid.faces.boxes import match_by, overlap
from fervid.model import Model
from fervid.people.descriptors import Descriptors
from fervid.types import Curve, Floats, Ints, Segment, Settings, Tally, Track, Video

READS = "displacement"  # of the networks that run here: it needs a person's neutral face, from several spans
AT_ONCE = 32  # windows that such a network reads: most of its time is for its steps, however many it reads
DISSOLVE = 1.5  # seconds; few dissolves take longer
SAME_FACE = 0.5  # least mean overlap of boxes, in shared frames, for two tracks to be the same


@dataclass
class _Chunk:
    """Windows of a track that wait for its neutral face."""

    windows: list[Window]
    logits: dict[str, Floats]
    frames: Ints


@dataclass
class _Open:
    """A track that may continue in the next span."""

    number: int
    smoother: timeline.Smoother | None
    first: int
    last: int
    frames: int = 0
    low: Floats = field(default_factory=lambda: np.full(2, np.inf, np.float32))
    high: Floats = field(default_factory=lambda: np.full(2, -np.inf, np.float32))
    neutral: Floats | None = None
    learning: list[tuple[Ints, Floats]] = field(default_factory=list)
    waiting: list[_Chunk] = field(default_factory=list)
    done: list[timeline.Columns] = field(default_factory=list)


class Stitcher:
    """Takes the results of spans in order, and returns segments as they become final."""

    def __init__(self, video: Video, model: Model | None, settings: Settings) -> None:
        self.video, self.model, self.settings = video, model, settings
        self.tally = Tally()
        self.cuts: list[int] = []
        self.names: list[dict[int, int]] = []  # per span: track number in the span -> in the video
        self.curves: list[Curve] = []
        self.descriptors: dict[int, Descriptors] = {}  # by track number in the video
        # Pair of tracks, lower first -> number of frames with both, and ticks from the first to the last.
        self._shared: dict[tuple[int, int], tuple[int, int]] = {}
        self._frames: dict[int, int] = {}  # of closed tracks; without a model they have no curve
        self._open: dict[int, _Open] = {}
        self._before: dict[int, Track] = {}  # tracks that continue past the end of the last span
        self._count = 0

    def feed(self, span: Span, result: SpanResult) -> list[Segment]:
        """Join the next span; return the segments that are final."""
        names = self._continue(span, result)
        ended = sorted(set(self._open) - set(names.values()))
        seen: set[int] = set()
        for index, track in enumerate(result.tracks):
            if track.id in names:
                inside = span.within(track.pts)
                seen.update(track.pts[inside].tolist())
                self._extend(names[track.id], track, inside, index, result)
                if result.descriptors:
                    known = self.descriptors.get(names[track.id], people.empty())
                    apart = self.video.length(people.APART)
                    self.descriptors[names[track.id]] = people.merge(known, result.descriptors[index], apart)
        for pair, (frames, ticks) in _shared(rows_of(span, result, names)):
            before = self._shared.get(pair, (0, 0))
            self._shared[pair] = (before[0] + frames, before[1] + ticks)
        self._score(ended, names.values())
        segments = [segment for number in ended for segment in self._close(number)]
        segments += [segment for number in sorted(names.values()) for segment in self._advance(number)]
        self.names.append(names)
        self.cuts += result.cuts.tolist()
        with_faces = len(np.intersect1d(result.pts, np.array(sorted(seen), np.int64)))
        tally = result.tally
        self.tally += Tally(tally.decoded, with_faces, tally.undecodable, tally.complete)
        self._before = {}
        if span.stop is not None:
            shared = int(span.stop - self.video.length(HALO))
            for track in result.tracks:
                if track.id in names and track.pts[-1] >= span.stop:
                    self._before[names[track.id]] = track.take(track.pts >= shared)
        return segments

    def close(self) -> list[Segment]:
        """Close every open track; return the last segments."""
        self._score(self._open, ())
        return [segment for number in sorted(self._open) for segment in self._close(number)]

    @property
    def together(self) -> set[tuple[int, int]]:
        """The pairs of closed tracks that are on screen together, lower first.

        A dissolve shows tracks of two shots together, perhaps of the same person: a pair counts only if it is
        together for at least DISSOLVE, or for more than half of the shorter track.
        """
        return {
            pair
            for pair, (count, ticks) in self._shared.items()
            if ticks >= self.video.length(DISSOLVE) or 2 * count > min(self._frames[track] for track in pair)
        }

    def _continue(self, span: Span, result: SpanResult) -> dict[int, int]:
        """Return the numbers in the video for the tracks with a frame inside the span."""
        shown = [
            track for track in result.tracks if span.within(track.pts).start < span.within(track.pts).stop
        ]
        before = list(self._before.items())
        similarity = np.array(
            [[_agreement(track, other) for _, other in before] for track in shown], np.float32
        ).reshape(len(shown), len(before))
        names = {shown[here].id: before[there][0] for here, there in match_by(similarity, SAME_FACE)}
        fresh = [track for track in shown if track.id not in names]
        starts = {track.id: int(track.pts[span.within(track.pts).start]) for track in fresh}
        for track in sorted(fresh, key=lambda track: (starts[track.id], float(track.box[0, 0]), track.id)):
            self._count += 1
            names[track.id] = self._count
            self._open[self._count] = _Open(
                self._count,
                None
                if self.model is None
                else timeline.Smoother(self.video, self._count, self.model.spec.labels, self.settings),
                first=starts[track.id],
                last=0,
            )
        return names

    def _extend(self, number: int, track: Track, inside: slice, index: int, result: SpanResult) -> None:
        state = self._open[number]
        rows = track.take(inside)
        state.last, state.frames = int(rows.pts[-1]), state.frames + len(rows)
        state.low = np.minimum(state.low, rows.box[:, :2].min(0))
        state.high = np.maximum(state.high, (rows.box[:, :2] + rows.box[:, 2:]).max(0))
        if self.model is None:
            return
        face = Face.of_track(self.video, track)
        if state.neutral is None:
            young = rows.pts < state.first + self.video.length(clips.NEUTRAL_SECONDS)
            young &= rows.quality > 0  # others have no landmarks of their own
            if young.any():
                state.learning.append((rows.pts[young], shape.without_pose(rows.landmarks[young])))
        windows = list(face.windows(result.moments[index]))
        state.waiting.append(_Chunk(windows, dict(result.logits[index]), rows.pts))

    def _score(self, ended: Collection[int], others: Collection[int]) -> None:
        """Run the streams that read displacement on the waiting windows of tracks with a neutral face.

        The windows of all tracks follow one another, as every batch is padded to its full size.
        """
        if self.model is None:
            return
        chunks = [
            (chunk, neutral)
            for number in (*ended, *others)
            if (neutral := self._neutral(self._open[number], number in ended)) is not None
            for chunk in self._open[number].waiting
        ]
        for stream in self.model.reading(READS):
            moved = (window.displacement(neutral) for chunk, neutral in chunks for window in chunk.windows)
            logits = self.model.logits(stream.name, moved, AT_ONCE)
            for chunk, _ in chunks:
                chunk.logits[stream.name], logits = np.split(logits, [len(chunk.windows)])

    def _neutral(self, state: _Open, is_final: bool) -> Floats | None:
        """Return the neutral face of a track, which is estimated once the track is long enough or over."""
        is_long = state.last - state.first >= self.video.length(clips.NEUTRAL_SECONDS)
        if state.neutral is None and (is_long or is_final):
            learning = state.learning or [(np.empty(0, np.int64), np.empty((0, 68, 2), np.float32))]
            seen, faces = (np.concatenate(parts) for parts in zip(*learning, strict=True))
            state.neutral = clips.neutral(self.video, seen, faces)
            state.learning.clear()
        return state.neutral

    def _advance(self, number: int) -> list[Segment]:
        """Return the segments that become final with the scored windows of a track."""
        state = self._open[number]
        if self.model is None or state.smoother is None or state.neutral is None:
            return []
        segments: list[Segment] = []
        for chunk in state.waiting:
            straightness = clips.straightness_of(chunk.windows)
            scores = self.model.probabilities(self.model.fuse(chunk.logits, straightness))
            pts = np.array([window.centre for window in chunk.windows], np.int64)
            quality = np.array([window.quality for window in chunk.windows], np.float32)
            motion = np.array([window.motion(state.neutral) for window in chunk.windows], np.float32)
            state.done.append((pts, scores, quality, motion, straightness))
            segments += state.smoother.feed(pts, scores, quality, chunk.frames)
        state.waiting.clear()
        return segments

    def _close(self, number: int) -> list[Segment]:
        segments = self._advance(number)
        state = self._open.pop(number)
        self._frames[number] = state.frames
        end = self._end(state.last)
        if self.model is None or state.smoother is None:
            return []
        segments += state.smoother.close(end)
        labels = self.model.spec.labels
        pts, *columns = (np.concatenate(parts) for parts in zip(*state.done, strict=True))
        scores, quality, motion, straightness = columns
        corners, windows = (state.low, state.high), (pts, scores, quality, motion, straightness)
        curve = timeline.curve_of(labels, number, state.first, end, state.frames, corners, windows)
        self.curves.append(curve)
        return segments

    def _end(self, pts: int) -> int:
        """Return the end of the frame at `pts`: the next frame, or the end of the selection."""
        following = self.video.pts[np.searchsorted(self.video.pts, pts, side="right") :]
        end = int(following[0]) if len(following) else max(self.video.end, pts + 1)
        if self.settings.end is not None:
            end = max(pts + 1, min(end, self.video.ticks(self.settings.end)))
        return end


def _agreement(first: Track, second: Track) -> float:
    """Return the mean overlap of the boxes of two tracks in their shared frames."""
    _, here, there = np.intersect1d(first.pts, second.pts, assume_unique=True, return_indices=True)
    if len(here) == 0:
        return 0.0
    pairs = zip(first.box[here], second.box[there], strict=True)
    return float(np.mean([overlap(a[None], b[None])[0, 0] for a, b in pairs]))


def _shared(rows: Iterable[tuple[int, Track, int]]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the pairs of tracks that share frames, with their number and the ticks from first to last."""
    for (first, track, _), (second, other, _) in combinations(rows, 2):
        overlap = track.pts[0] <= other.pts[-1] and other.pts[0] <= track.pts[-1]  # fast: rejects most pairs
        if overlap and len(common := np.intersect1d(track.pts, other.pts, assume_unique=True)):
            yield (min(first, second), max(first, second)), (len(common), int(common[-1] - common[0]))


def rows_of(span: Span, result: SpanResult, names: dict[int, int]) -> Iterator[tuple[int, Track, int]]:
    """Yield the tracks of a span, cut to the span: number in the video, track, index in the result."""
    for index, track in enumerate(result.tracks):
        if track.id in names:
            yield names[track.id], track.take(span.within(track.pts)), index
