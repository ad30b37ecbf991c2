"""Segments, made from the scores of windows that are fed in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fervid.timeline.curves import intensity, valence_arousal
from fervid.types import READABLE, Floats, Ints, Segment, Settings, Source, check

DWELL = 1.5  # mean seconds of an expression, which sets the cost of a change of label
LAG = 10.0  # seconds past a window after which its label is final
# The least score of a window, so that no single window changes the label: it weighs at most log(1 / 0.002) =
# 6.2 nats, and a change and back costs 6.8 (7 labels, windows 0.32 s apart).
FLOOR = 2e-3

Doubles = npt.NDArray[np.float64]


def crossing(before: int, after: int, lead: float, lag: float) -> int:
    """Return the pts in (before, after] where a line from `lead` at `before` to `lag` at `after` is zero.

    So a range that ends there contains `before`, and one that begins there contains `after`.
    """
    if lead <= 0:
        return before + 1
    if lag >= 0:
        return after
    return min(max(before + round((after - before) * lead / (lead - lag)), before + 1), after)


class Viterbi:
    """The likeliest label of each window, final once a window is LAG or more after it.

    A label stays with probability exp(-dt / DWELL) and is otherwise drawn again, uniformly. Each window's
    label is that of the best path at the first window LAG or more after it (or at the last window), so the
    result does not depend on how the windows are split into calls.
    """

    def __init__(self, classes: int, dwell: float, lag: int) -> None:
        self._labels = np.arange(classes)
        self._dwell = dwell  # ticks
        self._lag = lag  # ticks
        self._best: Doubles = np.zeros(classes)
        self._paths: npt.NDArray[np.int64] = np.empty((0, classes), np.int64)  # (undecided, C) survivors
        self._waiting: deque[int] = deque()  # pts of the undecided
        self._last: int | None = None

    def push(self, pts: int, evidence: Doubles) -> Iterator[int]:
        """Add a window's log-likelihoods (C,); yield the labels that become final, oldest first."""
        if self._last is not None:
            stay = np.exp(-(pts - self._last) / self._dwell)
            draw = (1 - stay) / len(self._labels)
            best = int(self._best.argmax())
            source = np.where(
                self._best + np.log(stay + draw) >= self._best[best] + np.log(draw), self._labels, best
            )
            self._best = np.maximum(self._best + np.log(stay + draw), self._best[best] + np.log(draw))
            self._paths = self._paths[:, source]
        self._best = self._best + evidence
        self._best -= self._best.max()
        self._paths = np.vstack([self._paths, self._labels])
        self._waiting.append(pts)
        self._last = pts
        while self._waiting[0] + self._lag <= pts:
            yield self._decide()

    def flush(self) -> Iterator[int]:
        """Yield the labels of all undecided windows, at the end of the track."""
        while self._waiting:
            yield self._decide()

    def _decide(self) -> int:
        label = int(self._paths[0, self._best.argmax()])
        self._paths = self._paths[1:]
        self._waiting.popleft()
        return label


@dataclass
class Run:
    """Neighbouring windows with the same label, as sums; a segment is made from it."""

    label: int
    start: int  # pts
    first: int  # pts of the first window
    first_scores: Floats
    last: int  # pts of the last window
    last_scores: Floats
    total: Doubles  # (C,) summed scores
    windows: int = 1
    frames: int = 0  # counted so far, in the oldest run only

    def extend(self, later: Run) -> None:
        """Append the next run, keeping this run's label and start."""
        self.last, self.last_scores = later.last, later.last_scores
        self.total = self.total + later.total
        self.windows += later.windows

    def until(self, later: Run) -> int:
        """Return the pts where this run ends and the next begins: where the scores of their labels cross."""
        lead = float(self.last_scores[self.label] - self.last_scores[later.label])
        lag = float(later.first_scores[self.label] - later.first_scores[later.label])
        return crossing(self.last, later.first, lead, lag)


class Smoother:
    """Turns a track's windows, fed in order, into segments, each returned once it is final.

    A run shorter than `settings.min_segment` is merged into the neighbour with the label that its windows
    score higher, from left to right. A readable stretch that is shorter as a whole becomes one segment with
    the label of the highest mean score. Windows with an unreadable face carry no evidence and belong to no
    segment. Only undecided windows are kept in memory.
    """

    def __init__(
        self, source: Source, track: int, labels: Sequence[str], settings: Settings, lag: float = LAG
    ) -> None:
        self._track = track
        self._labels = tuple(labels)
        self._minimum = max(1, source.length(settings.min_segment))
        self._viterbi = Viterbi(len(labels), DWELL / float(source.time_base), max(1, source.length(lag)))
        self._undecided: deque[tuple[int, Floats, float]] = deque()  # pts, scores, quality
        self._frames: Ints = np.empty(0, np.int64)  # not yet counted into a run
        self._origin: int | None = None  # pts of the first frame
        self._fed: int | None = None  # pts of the last window fed
        self._placed: tuple[int, float] | None = None  # pts and quality of the last decided window
        self._settled: Run | None = None  # long enough; final once `_open` is, too
        self._open: Run | None = None

    def feed(self, pts: Ints, scores: Floats, quality: Floats, frames: Ints) -> list[Segment]:
        """Add windows (N,), scores (N, C), and the track's frames (M,) at least up to the last window."""
        check("pts", pts, (None,), np.int64)
        check("scores", scores, (len(pts), len(self._labels)), np.float32)
        check("quality", quality, (len(pts),), np.float32)
        check("frames", frames, (None,), np.int64)
        if not np.isfinite(scores).all():
            raise ValueError(f"track {self._track} has scores that are not numbers")
        instants = pts.tolist()
        previous = [] if self._fed is None else [self._fed]
        if (np.diff([*previous, *instants]) <= 0).any():
            raise ValueError(f"windows of track {self._track} should come in strictly ascending pts")
        if self._origin is None and len(frames):
            self._origin = int(frames[0])
        self._frames = np.concatenate([self._frames, frames])
        evidence = np.log(np.maximum(scores.astype(np.float64), FLOOR))
        evidence[~(quality >= READABLE)] = 0
        segments: list[Segment] = []
        for row, instant in enumerate(instants):
            self._fed = instant
            self._undecided.append((instant, scores[row].copy(), float(quality[row])))
            for label in self._viterbi.push(instant, evidence[row]):
                segments += self._place(*self._undecided.popleft(), label)
        self._count_frames()
        return segments

    def close(self, end: int) -> list[Segment]:
        """End the track at `end` (exclusive); return the remaining segments."""
        segments: list[Segment] = []
        for label in self._viterbi.flush():
            segments += self._place(*self._undecided.popleft(), label)
        return segments + list(self._finish(end))

    def _place(self, pts: int, scores: Floats, quality: float, label: int) -> Iterator[Segment]:
        before, self._placed = self._placed, (pts, quality)
        if not quality >= READABLE:
            if before is not None:
                yield from self._finish(crossing(before[0], pts, before[1] - READABLE, quality - READABLE))
            return
        run = Run(label, 0, pts, scores, pts, scores, scores.astype(np.float64))
        if self._open is None:
            run.start = self._begin(pts, quality, before)
            self._open = run
        elif self._open.label == label:
            self._open.extend(run)
        else:
            yield from self._switch(self._open, run)
        if self._settled is not None and pts - self._open.start >= self._minimum:
            yield self._emit(self._settled, self._open.start)
            self._settled = None

    def _begin(self, pts: int, quality: float, before: tuple[int, float] | None) -> int:
        if before is None:
            return pts if self._origin is None else self._origin
        return crossing(before[0], pts, READABLE - before[1], READABLE - quality)

    def _switch(self, done: Run, run: Run) -> Iterator[Segment]:
        """Begin `run` after `done`: settle `done` if it is long enough, else merge it into a neighbour."""
        left, edge = self._settled, done.until(run)
        self._open = run
        if edge - done.start >= self._minimum:
            if left is not None:
                yield self._emit(left, done.start)
            self._settled, run.start = done, edge
        elif left is not None and done.total[left.label] >= done.total[run.label]:
            left.extend(done)
            if left.label == run.label:
                left.extend(run)
                self._settled, self._open = None, left
            else:
                run.start = left.until(run)
        else:
            label = run.label
            done.extend(run)
            done.label, self._open = label, done
            if left is not None:
                done.start = left.until(done)

    def _finish(self, end: int) -> Iterator[Segment]:
        """End the readable stretch at `end`."""
        left, last = self._settled, self._open
        self._settled = self._open = None
        if last is None or end <= (left or last).start:  # a window's centre can be outside a short track
            return
        if left is not None and end - last.start < self._minimum:
            left.extend(last)
            yield self._emit(left, end)
            return
        if left is not None:
            yield self._emit(left, last.start)
        elif end - last.start < self._minimum:
            last.label = int(last.total.argmax())
        yield self._emit(last, end)

    def _emit(self, run: Run, end: int) -> Segment:
        low, high = np.searchsorted(self._frames, [run.start, end])
        self._frames = self._frames[high:]
        scores = (run.total / run.windows).astype(np.float32)
        valence, arousal = valence_arousal(scores[None], self._labels)
        return Segment(
            track=self._track,
            start=run.start,
            end=end,
            emotion=self._labels[run.label],
            scores=scores,
            confidence=float(scores[run.label]),
            valence=float(valence[0]),
            arousal=float(arousal[0]),
            intensity=float(intensity(scores[None], self._labels)[0]),
            frames=run.frames + int(high - low),
        )

    def _count_frames(self) -> None:
        """Count and drop the frames before the last window of the oldest run: they belong to that run."""
        oldest = self._settled or self._open
        if oldest is not None:
            low, high = np.searchsorted(self._frames, [oldest.start, oldest.last])
            oldest.frames += int(high - low)
            self._frames = self._frames[high:].copy()
        elif self._placed is not None:  # in a gap: the next stretch begins after this window
            self._frames = self._frames[np.searchsorted(self._frames, self._placed[0]) :].copy()
