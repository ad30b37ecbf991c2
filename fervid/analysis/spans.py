"""The unit of work: a span of a video. Its result depends only on the file, the span and the options.

A span also decodes a halo at both ends, so that stitching can match its tracks with those of its neighbours,
but returns only frames and windows inside the span. The result is small: crops are returned only on request.

Spans begin at keyframes. Where keyframes are far apart, spans begin at other frames too, and have to share
one decoding pass: the frames of a halo go to both spans. Others share one to save time, as long as nothing is
damaged: alone, each also decodes a second at either end, and the way from the keyframe before.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice, pairwise

import numpy as np

from fervid import clips, model
from fervid.analysis.decoding import Shared, Watched, in_groups
from fervid.analysis.portraits import Portraits
from fervid.analysis.results import REPEATED, SAMPLED, Span, SpanResult
from fervid.errors import UsageError
from fervid.faces import tracks
from fervid.faces.finder import FaceFinder
from fervid.people.descriptors import Descriptors
from fervid.types import Array, Bytes, Ints, Settings, Tally, Video
from fervid.video import reading, shots

LENGTH = 30  # seconds per span, as far as keyframes allow
HALO = Fraction(1)  # seconds decoded beyond each end

MOST_JOINED = 8  # groups of spans in a decoding pass
MOST_STEP = 1.5  # of the usual time from one frame to the next: after a longer one, a packet may be lost
FRAMES_SHARE = 0.9  # of the progress of a span; running the nets is the rest


@dataclass(frozen=True)
class Options:
    """The options of an analysis that workers need."""

    settings: Settings
    model: str | None = None  # portable name; None: no nets
    device: str = "cpu"
    crops: bool = False

    @property
    def descriptors(self) -> bool:
        """Whether faces are described, to identify persons; not without a model."""
        return self.settings.people and self.model is not None


def plan(video: Video, settings: Settings) -> list[Span]:
    """Return the spans of the selected part; `--start` and `--end` cut spans, but do not move the others."""
    first, last = selection(video, settings)
    starts = _starts(video)
    spans: list[Span] = []
    for start, stop in zip(starts, [*starts[1:], None], strict=True):
        low = max(start, first)
        high = last if stop is None else (stop if last is None else min(stop, last))
        if (high is None or low < high) and (stop is None or first < stop):
            spans.append(Span(len(spans), low, high))
    return spans


def _starts(video: Video) -> list[int]:
    """Return the starts of spans: keyframes nearest to multiples of LENGTH, or other frames in long gaps."""
    step = LENGTH / video.time_base
    grid = _grid(video, step)
    starts = {video.start}
    if video.seekable and len(video.keyframes):
        starts |= set(_nearest(video.keyframes, grid).tolist())
    starts = {start for start in starts if start >= video.start}
    for low, high in pairwise([*sorted(starts), video.end]):
        if high - low > 2 * step:  # no span is shorter than half of LENGTH
            wanted = grid[(grid >= low + step / 2) & (grid <= high - step / 2)]
            frames = np.searchsorted(video.pts, wanted)
            starts |= {int(pts) for pts in video.pts[frames[frames < len(video.pts)]] if low < pts < high}
    return sorted(starts)


def _grid(video: Video, step: Fraction) -> Array:
    """Return the multiples of `step` ticks after the start that are near a frame, ascending.

    Others do not matter. If the clock jumps by years inside the file, there are millions of them in the gap.
    """
    frames = np.union1d(video.pts, video.keyframes)
    near = np.unique(np.floor((frames - video.start) / float(step)).astype(np.int64))
    numbers = np.unique(near[:, None] + np.arange(-1, 3))  # a quotient may be rounded to the next number
    numbers = numbers[(numbers >= 1) & (numbers < math.ceil(video.duration / step))]  # none at the end
    return np.array([video.start + float(number * step) for number in numbers.tolist()])


def _nearest(values: Ints, wanted: Array) -> Ints:
    """Return the nearest of ascending values for each wanted one, the lower of two."""
    index = np.searchsorted(values, wanted)
    low, high = values[(index - 1).clip(0)], values[index.clip(max=len(values) - 1)]
    return np.where(np.abs(low - wanted) <= np.abs(high - wanted), low, high)


def groups(video: Video, spans: Iterable[Span]) -> list[tuple[Span, ...]]:
    """Group spans that have to share a decoding pass: one that begins at no keyframe joins the one before."""
    grouped: list[tuple[Span, ...]] = []
    for span in spans:
        if grouped and not (video.seekable and span.start in video.keyframes):
            grouped[-1] += (span,)
        else:
            grouped.append((span,))
    return grouped


def passes(video: Video, spans: Iterable[Span], jobs: int) -> list[tuple[Span, ...]]:
    """Share spans among decoding passes, for so many workers; with `jobs` 0, only those that have to.

    The passes get shorter towards the end, so that all workers finish at about the same time. Each takes two
    thirds of a worker's share of what is left.
    """
    waiting, shared = deque(groups(video, spans)), list[tuple[Span, ...]]()
    while waiting:
        more = min(MOST_JOINED, math.ceil(2 * len(waiting) / (3 * jobs))) - 1 if jobs else 0
        shared.append(waiting.popleft())
        while more > 0 and waiting and _may_share(video, shared[-1], waiting[0]):
            shared[-1] += waiting.popleft()
            more -= 1
    return shared


def _may_share(video: Video, first: tuple[Span, ...], then: tuple[Span, ...]) -> bool:
    """Return whether one decoding pass gives both groups the pictures that they have alone.

    If something is damaged, it may not. Not all decoders report that, and none reports packets that are lost.
    """
    low, high = with_halo(video, first[0])[0], with_halo(video, then[-1])[1]
    begin, end = np.searchsorted(video.pts, [low, video.pts[-1] + 1 if high is None else high])
    steps = np.diff(video.pts[begin:end])
    return (
        first[-1].stop == then[0].start
        and video.codec in reading.REPORTING
        and len(steps) > 0
        and bool(steps.max() <= MOST_STEP * np.median(steps))
    )


def length(video: Video, span: Span) -> int:
    """Return the length of a span in ticks."""
    return (video.end if span.stop is None else min(span.stop, video.end)) - span.start


def selection(video: Video, settings: Settings) -> tuple[int, int | None]:
    """Return the selected range [first, last) of pts; None stands for the end of the file."""
    first = video.start if settings.start is None else video.ticks(settings.start)
    last = None if settings.end is None else video.ticks(settings.end)
    length = video.seconds(video.end)
    if first < video.start or first >= video.end:
        raise UsageError(
            f"--start {float(settings.start or 0):g} s is outside the video, which lasts {length:.3f} s"
        )
    if last is not None and last <= first:
        raise UsageError(f"--end {float(settings.end or 0):g} s must be after --start")
    return first, last


def with_halo(video: Video, span: Span) -> tuple[int, int | None]:
    """Return the range of pts that a span decodes."""
    halo = video.length(HALO)
    return max(video.start, span.start - halo), None if span.stop is None else span.stop + halo


@dataclass(frozen=True, eq=False)
class Step:
    """Progress of an analysis: the share of the current span that is done, and at its end the result."""

    share: float
    result: SpanResult | None = None


def analyze_span(video: Video, span: Span, options: Options) -> SpanResult:
    """Return the result of one span."""
    (result,) = (step.result for step in analyze(video, [span], options) if step.result is not None)
    return result


def analyze(video: Video, wanted: Sequence[Span], options: Options) -> Iterator[Step]:
    """Analyze spans in order; yield a step per frame or batch.

    Results do not depend on which spans are analyzed together.
    """
    for following in _series(video, wanted):
        finished = 0
        try:
            for step in _in_one_pass(video, following, options, len(groups(video, following)) > 1):
                finished += step.result is not None
                yield step
        except reading.DamageError:
            for group in groups(video, following[finished:]):
                yield from _in_one_pass(video, group, options, False)


def _series(video: Video, wanted: Iterable[Span]) -> list[tuple[Span, ...]]:
    """Return the spans by decoding pass."""
    series: list[tuple[Span, ...]] = []
    for group in groups(video, wanted):
        if series and _may_share(video, series[-1], group):
            series[-1] += group
        else:
            series.append(group)
    return series


def _in_one_pass(video: Video, wanted: Sequence[Span], options: Options, is_joined: bool) -> Iterator[Step]:
    """Analyze spans in one decoding pass; if they could be decoded separately, raise DamageError at damage.

    Only the few frames that are decoded at once, and those that shot detection compares, are in memory.
    """
    ranges = [with_halo(video, span) for span in wanted]
    tallies: list[Tally] = []
    sampled = _sampled(video, options.settings)
    frames = reading.frames(video, ranges[0][0], ranges[-1][1], tallies.append, sampled, undamaged=is_joined)
    shared = Shared(in_groups(frames, reading.at_once(video.width, video.height)), ranges)
    finder = FaceFinder.of(options.settings)

    def begin(index: int) -> _Analysis:
        marked = Watched(shots.mark(shared.read(index)))
        following = tracks.follow(video, marked, finder, options.settings)
        portraits = Portraits(video, finder, marked) if options.descriptors else None
        return _Analysis(wanted[index], sampled, following, portraits)

    under_way: deque[_Analysis] = deque()  # begun, but not finished
    for index in range(len(wanted)):
        if not under_way:
            under_way.append(begin(index))
        current = under_way.popleft()
        while current.step():
            # Frames of the halo go to the following spans at once, so that they are not kept.
            while shared.has(index + 1 + len(under_way)):
                under_way.append(begin(index + 1 + len(under_way)))
            for number, other in enumerate(under_way, index + 1):
                while shared.has(number) and other.step():
                    pass
            yield Step(FRAMES_SHARE * _passed(video, ranges[index], current.observed[-1].pts))
        complete = all(tally.complete for tally in tallies)  # known at the end of the file
        yield from current.finish(video, options, complete)


def _sampled(video: Video, settings: Settings) -> frozenset[int] | None:
    """Return the pts of the frames that `--sample-fps` chooses; None if every frame has to be decoded."""
    if settings.sample_fps is None or not video.seekable:
        return None
    grid = tracks.Grid(video, 1 / settings.sample_fps)
    return frozenset(pts for pts in video.pts.tolist() if grid.passed(pts))


def _passed(video: Video, decoded: tuple[int, int | None], pts: int) -> float:
    """Return the share of a decoded range before `pts`."""
    low, high = decoded
    high = video.end if high is None else min(high, video.end)
    return min(max((pts - low) / (high - low), 0.0), 1.0)


@dataclass(eq=False)
class _Analysis:
    """The analysis of one span, frame by frame."""

    span: Span
    sampled: frozenset[int] | None  # the other frames may be left out; None: no frame may
    following: Iterator[tracks.Observed]
    portraits: Portraits | None
    observed: list[tracks.Observed] = field(default_factory=list)

    def step(self) -> bool:
        """Read the next frame; return False at the end of the range."""
        observed = next(self.following, None)
        if observed is not None:
            self.observed.append(observed)
            if self.portraits is not None:
                self.portraits.take(observed)
        return observed is not None

    def finish(self, video: Video, options: Options, complete: bool) -> Iterator[Step]:
        """Build the tracks, run the nets on them, and yield the result last."""
        span, inside = self.span, [frame for frame in self.observed if frame.pts in self.span]
        followed = tracks.collect(video, self.observed)
        moments = [clips.centres(video, face.track.pts, span.start, span.stop) for face in followed]
        batches = 2 + sum(map(len, moments)) // model.BATCH + len(followed)  # an upper bound
        parts: list[Mapping[str, Array]] = []
        for part in _batches(video, followed, moments, options):
            parts.append(part)
            yield Step(FRAMES_SHARE + (1 - FRAMES_SHARE) * len(parts) / batches)
        descriptors: list[Descriptors] = []
        if self.portraits is not None:
            for face in followed:
                descriptors.append(self.portraits.describe(face.track, span))
                yield Step(FRAMES_SHARE + (1 - FRAMES_SHARE) * (len(parts) + len(descriptors)) / batches)
        pts, flags = self._frames(video, inside)
        yield Step(
            1.0,
            SpanResult(
                # Without exact times a frame may be planned in one span and decoded in another, so the
                # number of undecodable frames is right only in the sum over all spans.
                tally=Tally(len(pts), 0, len(video.pts[span.within(video.pts)]) - len(pts), complete),
                pts=pts,
                flags=flags,
                cuts=np.array([frame.pts for frame in inside if frame.cut], np.int64),
                tracks=tuple(face.track for face in followed),
                moments=tuple(moments),
                logits=_by_track(parts, moments),
                crops=tuple(face.crops[span.within(face.track.pts)] for face in followed)
                if options.crops
                else (),
                descriptors=tuple(descriptors),
            ),
        )

    def _frames(self, video: Video, inside: Sequence[tracks.Observed]) -> tuple[Ints, Bytes]:
        """Return the pts and flags of the decoded frames, and of those that were left out between samples."""
        pts = np.array([frame.pts for frame in inside], np.int64)
        flags = np.array([SAMPLED * f.sampled + REPEATED * f.repeated for f in inside], np.uint8)
        if self.sampled is None:
            return pts, flags
        planned = video.pts[self.span.within(video.pts)]
        left_out = planned[~np.isin(planned, [*self.sampled, *pts])]
        both = np.concatenate([pts, left_out])
        order = np.argsort(both)
        return both[order], np.concatenate([flags, np.zeros(len(left_out), np.uint8)])[order]


def _batches(
    video: Video, followed: Sequence[tracks.Followed], moments: Sequence[Ints], options: Options
) -> Iterator[Mapping[str, Array]]:
    """Yield the logits of the streams without neutral for batches of windows; the first batch is empty.

    The windows of all tracks follow one another, as every batch is padded to its full size.
    """
    if not followed:
        return
    net = None if options.model is None else model.load(options.model, options.device)
    streams = [] if net is None else net.reading("faces", "points")
    if net is None or not streams:
        yield {}
        return
    yield {stream.name: np.empty((0, len(net.spec.labels)), np.float32) for stream in streams}
    faces = (clips.Face.of_track(video, face.track, face.crops) for face in followed)
    windows = chain.from_iterable(map(clips.Face.windows, faces, moments))
    # One batch at a time: all windows of a long track together take ten times the memory of its crops.
    while batch := list(islice(windows, model.BATCH)):
        yield {
            stream.name: net.logits(stream.name, [model.read(window, stream.reads) for window in batch])
            for stream in streams
        }


def _by_track(
    parts: Sequence[Mapping[str, Array]], moments: Sequence[Ints]
) -> tuple[Mapping[str, Array], ...]:
    """Return the logits of each track, from those of the batches."""
    if not moments:
        return ()
    ends = np.cumsum([len(centres) for centres in moments])[:-1]
    split = {name: np.split(np.concatenate([part[name] for part in parts]), ends) for name in parts[0]}
    return tuple({name: split[name][index] for name in split} for index in range(len(moments)))
