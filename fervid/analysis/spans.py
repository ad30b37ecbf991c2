"""The one unit of work: a range of a video, analysed as a pure function of the file and the range.

A span decodes a halo on both sides, so that tracks can be matched over the seam, and emits only frames and
windows that lie inside itself. What comes back are small arrays; crops stay here, unless asked for.

Spans begin at keyframes. Where none comes for long, they begin at frames like any other, and one decoding
pass serves all of that stretch: while a span is in its halo, the next one has begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np

from fervid import clips, model
from fervid.analysis.decoding import Shared, Watched
from fervid.analysis.portraits import Portraits
from fervid.analysis.results import REPEATED, SAMPLED, Span, SpanResult
from fervid.errors import UsageError
from fervid.faces import tracks
from fervid.faces.finder import FaceFinder
from fervid.people.descriptors import Descriptors
from fervid.types import Array, Ints, Settings, Tally, Video
from fervid.video import reading, shots

LENGTH = 30  # seconds from one boundary to the next, as near as keyframes allow
HALO = Fraction(1)  # seconds decoded beyond each end

FRAMES_SHARE = 0.9  # of a span's progress; the nets have the rest


@dataclass(frozen=True)
class Options:
    """What a span needs to know besides the video and its range."""

    settings: Settings
    model: str | None = None  # its portable name; None: no nets
    device: str = "cpu"
    crops: bool = False

    @property
    def descriptors(self) -> bool:
        """Whether faces are described, so that persons can be told apart: not where geometry is all."""
        return self.settings.people and self.model is not None


def plan(planned: Video, settings: Settings) -> list[Span]:
    """The spans of the selected part; `--start` and `--end` select from the grid and do not move it."""
    first, last = selection(planned, settings)
    starts = _starts(planned)
    spans: list[Span] = []
    for start, stop in zip(starts, [*starts[1:], None], strict=True):
        low = max(start, first)
        high = last if stop is None else (stop if last is None else min(stop, last))
        if (high is None or low < high) and (stop is None or first < stop):
            spans.append(Span(len(spans), low, high))
    return spans


def _starts(planned: Video) -> list[int]:
    """Where spans begin: at the keyframes nearest to multiples of LENGTH, where those are near enough."""
    step = LENGTH / planned.time_base
    grid = np.array([planned.start + float(n * step) for n in range(1, int(planned.duration / step) + 1)])
    starts = {planned.start}
    if planned.seekable and len(planned.keyframes):
        starts |= {int(planned.keyframes[np.argmin(np.abs(planned.keyframes - wanted))]) for wanted in grid}
    starts = {start for start in starts if start >= planned.start}
    for low, high in pairwise([*sorted(starts), planned.end]):
        if high - low > 2 * step:  # frames like any other, but no span of less than half the length
            wanted = grid[(grid >= low + step / 2) & (grid <= high - step / 2)]
            places = np.searchsorted(planned.pts, wanted)
            starts |= {int(pts) for pts in planned.pts[places[places < len(planned.pts)]] if low < pts < high}
    return sorted(starts)


def groups(planned: Video, spans: Iterable[Span]) -> list[tuple[Span, ...]]:
    """The spans by decoding pass: one that begins at no keyframe goes with the one before it."""
    found: list[tuple[Span, ...]] = []
    for span in spans:
        if found and not (planned.seekable and span.start in planned.keyframes):
            found[-1] += (span,)
        else:
            found.append((span,))
    return found


def length(planned: Video, span: Span) -> int:
    """How many ticks of the video a span holds."""
    return (planned.end if span.stop is None else min(span.stop, planned.end)) - span.start


def selection(planned: Video, settings: Settings) -> tuple[int, int | None]:
    """The selected pts range; None at its end: whatever the file still holds."""
    first = planned.start if settings.start is None else planned.ticks(settings.start)
    last = None if settings.end is None else planned.ticks(settings.end)
    length = planned.seconds(planned.end)
    if first < planned.start or first >= planned.end:
        raise UsageError(
            f"--start {float(settings.start or 0):g} s lies outside of the video, which lasts {length:.3f} s"
        )
    if last is not None and last <= first:
        raise UsageError(f"--end {float(settings.end or 0):g} s should come after --start")
    return first, last


def with_halo(planned: Video, span: Span) -> tuple[int, int | None]:
    """What a span decodes."""
    halo = planned.length(HALO)
    return max(planned.start, span.start - halo), None if span.stop is None else span.stop + halo


@dataclass(frozen=True, eq=False)
class Step:
    """How far an analysis has come: the share done of the span at hand, and at its end the result."""

    share: float
    result: SpanResult | None = None


def analyze_span(planned: Video, span: Span, options: Options) -> SpanResult:
    """Decode, find faces, follow them, cut windows, run the nets that need pictures."""
    (result,) = (step.result for step in analyze(planned, [span], options) if step.result is not None)
    return result


def analyze(planned: Video, wanted: Sequence[Span], options: Options) -> Iterator[Step]:
    """Analyse spans of one decoding pass in their order, each as if alone; a step per frame or batch.

    Only the frame at hand is held, and the few that the search for cuts looks at.
    """
    ranges = [with_halo(planned, span) for span in wanted]
    tallies: list[Tally] = []
    frames = reading.frames(planned, ranges[0][0], ranges[-1][1], tallies.append)
    shared = Shared(frames, ranges)
    finder = FaceFinder.of(options.settings)

    def begun(place: int) -> _Analysis:
        marked = Watched(shots.mark(shared.read(place)))
        following = tracks.follow(planned, marked, finder, options.settings)
        portraits = Portraits(planned, finder, marked) if options.descriptors else None
        return _Analysis(wanted[place], following, portraits)

    under_way: deque[_Analysis] = deque()  # the spans from the first unfinished one on
    for place in range(len(wanted)):
        if not under_way:
            under_way.append(begun(place))
        eldest = under_way.popleft()
        while eldest.step():
            # What was decoded for the eldest is taken by the others at once, so that no frame waits.
            while shared.has(place + 1 + len(under_way)):
                under_way.append(begun(place + 1 + len(under_way)))
            for number, other in enumerate(under_way, place + 1):
                while shared.has(number) and other.step():
                    pass
            yield Step(FRAMES_SHARE * _passed(planned, ranges[place], eldest.observed[-1].pts))
        complete = all(tally.complete for tally in tallies)  # told at the file's end alone
        yield from eldest.finish(planned, options, complete)


def _passed(planned: Video, decoded: tuple[int, int | None], pts: int) -> float:
    """The share of a decoded range that lies before `pts`."""
    low, high = decoded
    high = planned.end if high is None else min(high, planned.end)
    return min(max((pts - low) / (high - low), 0.0), 1.0)


@dataclass(eq=False)
class _Analysis:
    """A span under way."""

    span: Span
    following: Iterator[tracks.Observed]
    portraits: Portraits | None
    observed: list[tracks.Observed] = field(default_factory=list)

    def step(self) -> bool:
        """Take one more frame; False where there is none."""
        one = next(self.following, None)
        if one is not None:
            self.observed.append(one)
            if self.portraits is not None:
                self.portraits.take(one)
        return one is not None

    def finish(self, planned: Video, options: Options, complete: bool) -> Iterator[Step]:
        """Make tracks of what was observed, and run the nets."""
        span, inside = self.span, [one for one in self.observed if one.pts in self.span]
        followed = tracks.collect(planned, self.observed)
        moments = [clips.centres(planned, one.track.pts, span.start, span.stop) for one in followed]
        batches, done = sum(2 + len(at) // model.BATCH for at in moments), 0  # no fewer
        logits: list[Mapping[str, Array]] = []
        descriptors: list[Descriptors] = []
        for one, at in zip(followed, moments, strict=True):
            parts: list[Mapping[str, Array]] = []
            for part in _batches(planned, one, at, options):
                parts.append(part)
                done += 1
                yield Step(FRAMES_SHARE + (1 - FRAMES_SHARE) * done / batches)
            logits.append({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
            if self.portraits is not None:
                descriptors.append(self.portraits.describe(one.track, span))
        yield Step(
            1.0,
            SpanResult(
                # The halo's damage is counted by the span that it lies in. Where times are guessed, a frame
                # may stand in another span than planned: the sum tells how many are lost.
                tally=Tally(
                    len(inside), 0, len(planned.pts[span.within(planned.pts)]) - len(inside), complete
                ),
                pts=np.array([one.pts for one in inside], np.int64),
                flags=np.array([SAMPLED * one.sampled + REPEATED * one.repeated for one in inside], np.uint8),
                cuts=np.array([one.pts for one in inside if one.cut], np.int64),
                tracks=tuple(one.track for one in followed),
                moments=tuple(moments),
                logits=tuple(logits),
                crops=tuple(one.crops[span.within(one.track.pts)] for one in followed)
                if options.crops
                else (),
                descriptors=tuple(descriptors),
            ),
        )


def _batches(
    planned: Video, one: tracks.Followed, moments: Ints, options: Options
) -> Iterator[Mapping[str, Array]]:
    """What the nets that need no neutral say of a track's windows, a batch at a time; at first of none."""
    net = None if options.model is None else model.load(options.model, options.device)
    streams = [] if net is None else net.reading("faces", "points")
    if net is None or not streams:
        yield {}
        return
    yield {stream.name: np.empty((0, len(net.spec.labels)), np.float32) for stream in streams}
    windows = clips.Face.of_track(planned, one.track, one.crops).windows(moments)
    # One padded batch at a time: the windows of a long track, all at once, would be its crops tenfold.
    while some := list(islice(windows, model.BATCH)):
        yield {
            stream.name: net.logits(stream.name, [model.read(window, stream.reads) for window in some])
            for stream in streams
        }
