"""The analysis of one video, from its path to its timeline, by workers that store results in the cache."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from types import TracebackType

import numpy as np

from fervid import cache, execute, people, timeline
from fervid.analysis import results, rows, spans, stitch, tasks
from fervid.analysis.results import Span
from fervid.cache import Store
from fervid.errors import InputError
from fervid.execute import Done, Executor, Failed, Progress
from fervid.faces.finder import FaceFinder, face_net
from fervid.model import Model, check_device, check_short_windows, info, load, load_light, portable_name
from fervid.types import Crops, ModelInfo, Person, Rows, Segment, Settings, Timeline, Video
from fervid.video import planning

Tick = Callable[[float], None]

EVERYTHING = Settings()
PATIENCE = 600  # seconds without progress before a pass counts as stuck, plus the length of the pass

NO_MODEL = ModelInfo("none", "", False, (), (), {})


def analyze(path: str | Path, *, jobs: int | None = None, **options: object) -> Timeline:
    """Return the timeline of a video; the options are the same as for `start`."""
    with execute.open_executor(jobs) as executor, start(path, executor=executor, **options) as run:  # type: ignore[arg-type]
        return run.timeline


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
    """Plan the analysis of a video, and raise an error if it cannot run; `model=None` only finds faces."""
    FaceFinder.of(settings)  # raises if the settings cannot be used
    name, facts = (None, None) if model is None else (portable_name(model), info(model))
    if model is not None:
        check_short_windows(model)
    check_device(device)
    options = spans.Options(settings, name, device, crops)
    video = planning.plan(path, rotate, frame_rate)
    run = Run(video, facts, options, executor, store or Store.default(), gallery, tick)
    if options.descriptors:
        face_net()  # raises now if it is missing
    return run


@dataclass(eq=False)
class Run:
    """A planned analysis: it runs when a result is requested, and cleans up when it is closed."""

    video: Video
    model: ModelInfo | None
    options: spans.Options
    executor: Executor | None  # None: everything runs in this process
    store: Store
    gallery: people.Gallery | None = None
    tick: Tick | None = None  # called with the seconds of video that are done
    row_count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.settings = self.options.settings
        self.key = tasks.key(self.video, self.options, self.model)  # of the spans in the store
        self._spans = spans.plan(self.video, self.settings)
        self._timeline: Timeline | None = None
        self._work: Generator[Segment] | None = None
        self._segments: list[Segment] = []
        self._is_held = False

    @property
    def selected_seconds(self) -> float:
        """The seconds of video that are analyzed."""
        first, last = spans.selection(self.video, self.settings)
        last = self.video.end if last is None else min(last, self.video.end)
        return self.video.seconds(self.video.start + last - first)

    @property
    def span_count(self) -> int:
        """The number of spans."""
        return len(self._spans)

    @property
    def stored_count(self) -> int:
        """The number of spans that are in the store."""
        return sum(self._path(span).exists() for span in self._spans)

    @property
    def terms(self) -> tasks.Terms:
        """The conditions that workers on other machines must meet."""
        sha256 = "" if self.model is None else self.model.sha256
        return tasks.Terms(
            self.options.device, self.options.model, sha256, self.video.path, self.video.sha256
        )

    def prepare(self) -> Iterator[float]:
        """Analyze every span in this process and store the results; yield the share that is done."""
        self._hold()
        total = sum(spans.length(self.video, span) for span in self._spans)
        before = 0.0
        for group in spans.passes(self.video, self._spans, jobs=1):
            done = 0.0
            for done in tasks.work(self.task(group)):
                yield (before + done) / total
            before += done

    def segments(self) -> Iterator[Segment]:
        """Yield each segment as soon as it is final; this runs the analysis."""
        if self._work is None:
            self._work = self._drive()
        for segment in self._work:
            self._segments.append(segment)
            yield segment

    @property
    def timeline(self) -> Timeline:
        """The whole result, after finishing the analysis if necessary."""
        for _ in self.segments():
            pass
        assert self._timeline is not None
        return self._timeline

    def rows(self) -> Iterator[Rows]:
        """Yield the per-frame result from the store, one `Rows` per span."""
        curves = {curve.track: curve for curve in self.timeline.curves}
        classes = len(self.timeline.model.labels)
        for span, result, names in self._stitched():
            yield rows.build(self.video, span, result, names, curves, classes)

    def crops(self) -> Iterator[Crops]:
        """Yield aligned faces, one `Crops` per track and span; needs `crops=True`."""
        if not self.options.crops:
            raise ValueError("crops need crops=True at the start")
        for span, result, names in self._stitched():
            for number, track, index in stitch.rows_of(span, result, names):
                yield Crops(number, track.pts, result.crops[index])

    def close(self, succeeded: bool = True) -> None:
        """Delete span results that are no longer needed."""
        if self._work is not None:
            self._work.close()
        self.store.forget(self.key, succeeded)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # With an input that does not fit, the same command fails again: it needs no results to resume from.
        is_done = kind is None or issubclass(kind, InputError)
        self.close(succeeded=is_done and self._timeline is not None)

    @cached_property
    def _stitcher(self) -> stitch.Stitcher:
        """The stitcher and its networks; torch takes long to import, so the workers have begun by then."""
        if self.options.model is None:
            return stitch.Stitcher(self.video, None, self.settings)
        net: Model | None = load_light(self.options.model, stitch.READS)
        if net is None:
            executor = self.executor
            is_alone = executor is None or not executor.has_workers or len(self._passes(executor)) == 1
            net = load(self.options.model, self.options.device, "" if is_alone else stitch.READS)
        return stitch.Stitcher(self.video, net, self.settings)

    def _drive(self) -> Generator[Segment]:
        self._hold()
        context = execute.serial() if self.executor is None else nullcontext(self.executor)
        with context as executor, closing(self._analyzed(executor)) as analyzed:
            for span in analyzed:
                result = self._result(span)
                yield from self._stitcher.feed(span, result)
                self.row_count += rows.count(span, result, self._stitcher.names[-1])
        stitcher = self._stitcher
        yield from stitcher.close()
        self._timeline = timeline.build(
            self.video,
            self.model or NO_MODEL,
            self.settings,
            replace(stitcher.tally, undecodable=max(0, stitcher.tally.undecodable)),
            np.array(sorted({self._spans[0].start, *stitcher.cuts}), np.int64),
            tuple(stitcher.curves),
            tuple(self._segments),
            self._people(stitcher),
        )

    def _analyzed(self, executor: Executor) -> Generator[Span]:
        """Yield the spans in order, each once its result is in the store; report progress meanwhile."""
        if executor.is_remote:
            executor.check(tasks.check, self.terms)
        groups = self._passes(executor)
        ends = [list(accumulate(spans.length(self.video, span) for span in group)) for group in groups]
        reached = [0] * len(groups)  # ticks; repeated work adds nothing
        # A resumed pass decodes up to the first missing span without reporting progress.
        longest = float(max(end[-1] for end in ends) * self.video.time_base)
        patience = PATIENCE + min(longest, len(self.video.pts))  # the clock may jump by years
        work = (self.task(group, executor.is_remote) for group in groups)
        current = given = 0  # index of the current group, and the number of its spans yielded
        with closing(executor(tasks.work, work, patience)) as events:  # frees the workers
            for event in events:
                if isinstance(event, Failed):
                    raise event.error
                _ = self._stitcher  # now, while the workers are busy
                if isinstance(event, Done):
                    for span, arrays in event.result:
                        cache.write(self._path(span), arrays)
                done = int(event.done) if isinstance(event, Progress) else ends[current][-1]
                if done > reached[event.index]:
                    reached[event.index] = min(done, ends[event.index][-1])
                    if self.tick is not None:
                        self.tick(self.video.seconds(self.video.start + sum(reached)))
                # Workers here store each span as it finishes; workers elsewhere return whole passes.
                if isinstance(event, Done) or not executor.is_remote:
                    ready = bisect_right(ends[current], reached[current])
                    yield from groups[current][given:ready]
                    given = ready
                if isinstance(event, Done):
                    current, given = current + 1, 0

    def _passes(self, executor: Executor) -> list[tuple[Span, ...]]:
        return spans.passes(self.video, self._spans, executor.jobs)

    def task(self, group: tuple[Span, ...], is_remote: bool = False) -> tasks.Task:
        """Return the task of some spans; a worker on another machine cannot use the store."""
        paths = {span: self._path(span) for span in group}
        if not is_remote:
            return tasks.Task(self._around(*group), group, self.options, paths)
        missing = tuple(span for span in group if cache.read(paths[span]) is None)
        return tasks.Task(self._around(*(missing or group[:1])), missing, self.options, {}, self.terms)

    def _around(self, *group: Span) -> Video:
        """Return the video with only the frames that these spans need, and the frame before them.

        That frame decides whether the next one is sampled.
        """
        first, _ = spans.with_halo(self.video, group[0])
        _, last = spans.with_halo(self.video, group[-1])
        before = self.video.pts[self.video.pts < first]
        return self.video.between(int(before[-1]) if len(before) else first, last)

    def _hold(self) -> None:
        if not self._is_held:
            self.store.lock(self.key)
            self._is_held = True

    def _path(self, span: Span) -> Path:
        return self.store.entry(self.key, span.start, span.stop)

    def _result(self, span: Span) -> results.SpanResult:
        """Return the result of a span from the store; analyze it again if another run deleted it."""
        arrays = cache.read(self._path(span))
        if arrays is None:
            arrays = results.pack(spans.analyze_span(self._around(span), span, self.options))
            cache.write(self._path(span), arrays, makes_folder=self.store.may_make_folders)
        return results.unpack(arrays)

    def _stitched(self) -> Iterator[tuple[Span, results.SpanResult, dict[int, int]]]:
        """Yield every span with its result and the numbers of its tracks in the video."""
        assert self.timeline is not None
        for span, names in zip(self._spans, self._stitcher.names, strict=True):
            yield span, self._result(span), names

    def _people(self, stitcher: stitch.Stitcher) -> tuple[Person, ...]:
        """Return the persons, grouped by the descriptors of whole tracks."""
        groups = people.group_tracks(stitcher.descriptors, stitcher.together)
        names: dict[int, str] = {}
        if self.gallery is not None:
            groups, names = people.name_groups(groups, stitcher.descriptors, stitcher.together, self.gallery)
        return people.number_persons(groups, stitcher.curves, stitcher.descriptors, names)
