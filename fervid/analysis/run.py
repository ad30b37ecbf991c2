"""The conductor: one video from its path to its timeline, with workers, cache and stitching in place."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from types import TracebackType

import numpy as np

from fervid import cache, execute, model, people, timeline
from fervid.analysis import results, spans, stitch, wire
from fervid.cache import Store
from fervid.execute import Executor
from fervid.faces.finder import FaceFinder, face_net
from fervid.types import (
    Array,
    Crops,
    Curve,
    Ints,
    ModelInfo,
    Person,
    Rows,
    Segment,
    Settings,
    Span,
    Status,
    Timeline,
    Video,
)
from fervid.video import planning

Tick = Callable[[float], None]

EVERYTHING = Settings()
PATIENCE = 600  # seconds without progress that a decoding pass may take, and as many as it is long

NO_MODEL = ModelInfo("none", "", False, (), (), {})


@dataclass(frozen=True)
class _Task:
    """The spans of one decoding pass and where their results go: what travels to a worker."""

    video: Video
    group: tuple[Span, ...]
    options: spans.Options
    targets: tuple[Path, ...]


def _work(task: _Task) -> Iterator[float]:
    """Analyse the spans whose result is not there yet; tells how many ticks of them are done, in order.

    From the number that a span ends with on, its result lies in the store.
    """
    missing = [
        span for span, target in zip(task.group, task.targets, strict=True) if cache.read(target) is None
    ]
    steps = spans.analyze(task.video, missing, task.options) if missing else iter(())
    done = 0
    for span, target in zip(task.group, task.targets, strict=True):
        length = spans.length(task.video, span)
        if span in missing:
            for step in steps:
                if step.result is not None:
                    cache.write(target, results.pack(step.result))
                    break
                yield done + min(int(step.share * length), length - 1)
            del step  # which holds the result
        done += length
        yield done


def start(
    path: str | Path,
    *,
    model: str | Path | None = "default",
    settings: Settings = EVERYTHING,
    rotate: str = "auto",
    frame_rate: Fraction | None = None,
    executor: Executor | None = None,
    device: str = "cpu",
    store: Store | None = None,
    crops: bool = False,
    gallery: people.Gallery | None = None,
    tick: Tick | None = None,
) -> Run:
    """Plan the analysis of a video, and refuse what cannot be done; `model=None` finds faces alone."""
    return Run(path, model, settings, rotate, frame_rate, executor, device, store, crops, gallery, tick)


def analyze(path: str | Path, *, jobs: int | None = None, **options: object) -> Timeline:
    """The timeline of a video, in one call; the options are those of `start`."""
    with execute.open_executor(jobs) as executor, start(path, executor=executor, **options) as run:  # type: ignore[arg-type]
        return run.timeline


class Run:
    """One analysis: plans at once, works when its results are asked for, cleans up when closed."""

    def __init__(
        self,
        path: str | Path,
        model_name: str | Path | None,
        settings: Settings,
        rotate: str,
        frame_rate: Fraction | None,
        executor: Executor | None,
        device: str,
        store: Store | None,
        crops: bool,
        gallery: people.Gallery | None,
        tick: Tick | None,
    ) -> None:
        FaceFinder.of(settings)  # refuses what no span could use
        self.model = None if model_name is None else model.info(model_name)
        model.check_device(device)
        self.video = planning.plan(path, rotate, frame_rate)
        self.settings = settings
        self._spans = spans.plan(self.video, settings)
        folder = None if model_name is None else str(model.find(model_name).resolve())
        self._options = spans.Options(settings, folder, device, crops)
        if self._options.descriptors:
            face_net()  # told before any work where it is missing
        self._gallery = gallery
        self._executor, self._own = executor, execute.serial() if executor is None else None
        self._store = store if store is not None else Store.default()
        self._tick = tick
        self._key = _key(self.video, self._options, self.model)
        # What workers elsewhere must have.
        self.terms = wire.Terms(
            device,
            None if model_name is None else model.portable(model_name),
            "" if self.model is None else self.model.sha256,
            self.video.path,
            self.video.sha256,
        )
        self._stitcher: stitch.Stitcher | None = None
        self._timeline: Timeline | None = None
        self._work: Iterator[Segment] | None = None
        self._segments: list[Segment] = []
        self.row_count = 0
        self._is_held = False

    @property
    def selected_seconds(self) -> float:
        """How much of the video is analysed."""
        first, last = spans.selection(self.video, self.settings)
        last = self.video.end if last is None else min(last, self.video.end)
        return self.video.seconds(self.video.start + last - first)

    @property
    def key(self) -> str:
        """Under which the spans lie in the store."""
        return self._key

    @property
    def span_count(self) -> int:
        """How many spans there are to do."""
        return len(self._spans)

    @property
    def stored_count(self) -> int:
        """How many of them lie in the store by now."""
        return sum(self._path(span).exists() for span in self._spans)

    def prepare(self) -> Iterator[float]:
        """Bring every span into the store, in this process, telling the share that is done."""
        self._hold()
        lengths = [spans.length(self.video, span) for span in self._spans]
        before = 0.0
        for group in spans.groups(self.video, self._spans):
            done = 0.0
            for done in _work(self._task(group)):
                yield (before + done) / sum(lengths)
            before += done

    def _hold(self) -> None:
        if not self._is_held:
            self._store.hold(self._key)
            self._is_held = True

    def segments(self) -> Iterator[Segment]:
        """The segments, each as soon as it is final; this drives the work."""
        if self._work is None:
            self._work = self._drive()
        for segment in self._work:
            self._segments.append(segment)
            yield segment

    @property
    def timeline(self) -> Timeline:
        """The whole result; whatever is not done yet is done first."""
        for _ in self.segments():
            pass
        assert self._timeline is not None
        return self._timeline

    def _drive(self) -> Iterator[Segment]:
        net = None if self._options.model is None else model.load(self._options.model, self._options.device)
        self._hold()
        self._stitcher = stitcher = stitch.Stitcher(self.video, net, self.settings)
        context: AbstractContextManager[Executor] = (
            self._own if self._own is not None else nullcontext(self._executor)  # type: ignore[arg-type]
        )
        with context as executor, closing(self._analyzed(executor)) as analyzed:
            for span in analyzed:
                result = self._result(span)
                yield from stitcher.feed(span, result)
                self.row_count += _count_rows(span, result, stitcher.names[-1])
        yield from stitcher.close()
        shots = np.array(sorted({self._spans[0].start, *stitcher.cuts}), np.int64)
        self._timeline = timeline.build(
            self.video,
            self.model or NO_MODEL,
            self.settings,
            replace(stitcher.tally, undecodable=max(0, stitcher.tally.undecodable)),
            shots,
            tuple(stitcher.curves),
            tuple(self._segments),
            self._people(stitcher),
        )

    def _people(self, stitcher: stitch.Stitcher) -> tuple[Person, ...]:
        """Who is seen, by the descriptors of whole tracks."""
        groups = people.group_tracks(stitcher.descriptors, stitcher.together)
        names: dict[int, str] = {}
        if self._gallery is not None:
            groups, names = people.name_groups(groups, stitcher.descriptors, stitcher.together, self._gallery)
        return people.number(groups, stitcher.curves, stitcher.descriptors, names)

    def _analyzed(self, executor: Executor) -> Generator[Span]:
        """The spans in order, each once its result lies in the store; ticks meanwhile."""
        is_remote = executor.is_remote
        if is_remote:
            executor.check(wire.check, self.terms)
        groups = spans.groups(self.video, self._spans)
        ends = [list(accumulate(spans.length(self.video, span) for span in group)) for group in groups]
        reached = [0] * len(groups)  # ticks; work that is done again adds nothing
        # An interrupted pass is decoded up to the first missing span, and tells nothing meanwhile.
        longest = max(end[-1] for end in ends) * self.video.time_base
        current = given = 0  # the group at hand, and how many of its spans were given
        with closing(
            executor(
                wire.work if is_remote else _work,
                (self.parcel(group) if is_remote else self._task(group) for group in groups),
                float(PATIENCE + longest),
            )
        ) as events:  # so that a run that ends here leaves the workers to the next one
            for event in events:
                if isinstance(event, execute.Failed):
                    raise event.error
                is_result = isinstance(event, execute.Done)
                done = int(event.done) if isinstance(event, execute.Reached) else ends[current][-1]
                if is_remote and isinstance(event, execute.Done):
                    self._receive(event.result)
                if done > reached[event.place]:
                    reached[event.place] = min(done, ends[event.place][-1])
                    self._tell(sum(reached))
                # Here a span lies in the store once it is done; what comes from elsewhere, with its pass.
                ready = given
                if is_result or not is_remote:
                    ready = bisect_right(ends[current], reached[current])
                yield from groups[current][given:ready]
                given = ready
                if is_result:
                    current, given = current + 1, 0

    def _tell(self, done: int) -> None:
        if self._tick is not None:
            self._tick(self.video.seconds(self.video.start + done))

    def _task(self, group: tuple[Span, ...]) -> _Task:
        return _Task(self._around(*group), group, self._options, tuple(self._path(span) for span in group))

    def parcel(self, group: tuple[Span, ...]) -> wire.Parcel:
        """The spans of one decoding pass for a worker elsewhere, but for those that the store has."""
        missing = tuple(span for span in group if cache.read(self._path(span)) is None)
        return wire.Parcel(self._around(*(missing or group[:1])), missing, self._options, self.terms)

    def _receive(self, found: wire.Found) -> None:
        for span, arrays in found:
            cache.write(self._path(span), arrays)

    def _around(self, *group: Span) -> Video:
        """The video with as much of its plan as a worker needs for these spans."""
        return self.video.between(
            spans.with_halo(self.video, group[0])[0], spans.with_halo(self.video, group[-1])[1]
        )

    def _path(self, span: Span) -> Path:
        return self._store.entry(self._key, span.start, span.stop)

    def _result(self, span: Span) -> results.SpanResult:
        """A span's result from the store; done again where another run has meanwhile deleted it."""
        arrays = cache.read(self._path(span))
        if arrays is None:
            arrays = results.pack(spans.analyze_span(self._around(span), span, self._options))
            cache.write(self._path(span), arrays)
        return results.unpack(arrays)

    def rows(self) -> Iterator[Rows]:
        """The per-frame result, a chunk per span, from the disk."""
        result = self.timeline
        assert self._stitcher is not None
        curves = {curve.track: curve for curve in result.curves}
        for span, names in zip(self._spans, self._stitcher.names, strict=True):
            yield _rows(self.video, span, self._result(span), names, curves, len(result.model.labels))

    def crops(self) -> Iterator[Crops]:
        """Aligned faces, a chunk per track and span; needs `crops=True`."""
        if not self._options.crops:
            raise ValueError("crops were not asked for when the run was started")
        assert self.timeline is not None and self._stitcher is not None
        for span, names in zip(self._spans, self._stitcher.names, strict=True):
            result = self._result(span)
            for number, track, place in stitch.rows_of(span, result, names):
                yield Crops(number, track.pts, result.crops[place])

    def close(self, succeeded: bool = True) -> None:
        """Delete the span results that are of no more use."""
        if self._work is not None:
            self._work.close()  # type: ignore[attr-defined]
        self._store.forget(self._key, succeeded)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(succeeded=kind is None and self._timeline is not None)


def _key(planned: Video, options: spans.Options, info: ModelInfo | None) -> str:
    """What a span's result depends on, but for the range: content, settings, model, fervid's own formats."""
    # The range stands in the file's name, and segments are decided after the spans.
    settings = replace(options.settings, start=None, end=None, min_segment=0.0)
    facts = {
        "version": cache.VERSION,
        "video": planned.sha256,
        "rotate": planned.rotate,
        "rate": str(planned.rate),
        "settings": settings.as_json(),
        "model": None if info is None else info.sha256,
        "device": options.device,
        "crops": options.crops,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _count_rows(span: Span, result: results.SpanResult, names: dict[int, int]) -> int:
    return int(_faces_per_frame(span, result, names).clip(1).sum())


def _faces_per_frame(span: Span, result: results.SpanResult, names: dict[int, int]) -> Ints:
    """How many faces each frame of a span has, (F,); a repeated pts has none."""
    counts = np.zeros(len(result.pts), np.int64)
    for _, track, _ in stitch.rows_of(span, result, names):
        counts[_places(result, track.pts)] += 1
    return counts


def _places(result: results.SpanResult, pts: Ints) -> Ints:
    """The frames of these pts: the first of each, where a pts repeats."""
    first = np.flatnonzero((result.flags & results.REPEATED) == 0)
    return first[np.searchsorted(result.pts[first], pts)]


def _rows(
    planned: Video,
    span: Span,
    result: results.SpanResult,
    names: dict[int, int],
    curves: dict[int, Curve],
    classes: int,
) -> Rows:
    """A span's frames and faces as flat rows, by frame, then by track."""
    counts = _faces_per_frame(span, result, names)
    empty = np.flatnonzero(counts == 0)
    # Frames that repeat a pts follow one another, here and in the plan.
    repeats = np.arange(len(result.pts)) - np.searchsorted(result.pts, result.pts)
    frame = np.searchsorted(planned.pts, result.pts) + repeats
    sampled = (result.flags[empty] & results.SAMPLED) > 0
    parts: list[tuple[Array, ...]] = [
        (
            empty,
            np.full(len(empty), -1, np.int64),
            np.where(sampled, Status.NO_FACE, Status.NOT_SAMPLED).astype(np.uint8),
            np.full((len(empty), 4), np.nan, np.float32),
            np.full((len(empty), 68, 2), np.nan, np.float32),
            np.full((len(empty), 3), np.nan, np.float32),
            np.full(len(empty), np.nan, np.float32),
            np.full((len(empty), classes), np.nan, np.float32),
        )
    ]
    for number, track, _ in stitch.rows_of(span, result, names):
        curve = curves.get(number)
        scores = np.full((len(track), classes), np.nan, np.float32)
        if curve is not None and len(curve.pts):
            scores = timeline.interpolate(curve.pts, curve.scores, track.pts)
        parts.append(
            (
                _places(result, track.pts),
                np.full(len(track), number, np.int64),
                track.status,
                track.box,
                track.landmarks,
                track.pose,
                track.quality,
                scores,
            )
        )
    place, tracks, *rest = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((tracks, place))
    return Rows(frame[place][order], result.pts[place][order], tracks[order], *(part[order] for part in rest))
