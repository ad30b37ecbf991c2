"""The work on one input, from its path to its outputs, and the messages to and from a worker."""

from __future__ import annotations

import hashlib
import io
import json
import socket
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np

from fervid import analysis, cache, model
from fervid.analysis import Run, Tick
from fervid.batch.records import DONE, Record
from fervid.cache import Store
from fervid.errors import ModelError, UsageError
from fervid.execute import Executor
from fervid.export import FRAMES, PARQUET, TIMELINES, Format
from fervid.export.frames import geometry
from fervid.export.timelines.fields import SCHEMA_VERSION, number
from fervid.files import temporary
from fervid.files.urls import LIMIT, Limit, is_url
from fervid.types import Floats, Settings, Timeline
from fervid.units import VideoUnits, measure, with_phases
from fervid.video import remote, source

# Formats that are tables as Parquet; "parquet" is the same table as "csv".
PARQUET_TABLES = {
    "parquet": "frames",
    "windows.parquet": "windows",
    "segments.parquet": "segments",
    "openface.parquet": "openface",
}
# The suffix of each format's file, after the whole name of the input.
FORMATS = {name: form.suffix for name, form in TIMELINES.items()} | {
    "csv": FRAMES["frames"].suffix,
    "openface": FRAMES["openface"].suffix,
    "npz": ".npz",
    **{name: f".{name}" for name in PARQUET_TABLES},
}
WITH_UNITS = ("json", "windows", "csv", "openface", "parquet", "windows.parquet", "openface.parquet")
WITH_PHASES = ("json", "segments", "segments.parquet")
BEGUN = 1e-3  # the share that is reported when a worker takes an input
FETCHED = 2e-3  # the share after a download
PREPARED = 0.95  # the share of the work that is done with the spans


@dataclass(frozen=True)
class Request:
    """The options of a batch, which are the same for every input."""

    formats: tuple[str, ...]
    settings: Settings
    model: str  # its name, or its folder
    model_sha256: str
    rotate: str = "auto"
    frame_rate: Fraction | None = None
    device: str = "cpu"
    limit: Limit = LIMIT  # of a download
    aus: bool = False  # whether action units are measured
    phases: bool = False  # whether the phases of expressions are measured

    def key(self, sha256: str) -> str:
        """Return a hash of what results depend on: content, settings and model, not paths or formats."""
        facts = {
            "version": [cache.VERSION, SCHEMA_VERSION],
            "content": sha256,
            "settings": self.settings.as_json(),
            "rotate": self.rotate,
            "frame_rate": None if self.frame_rate is None else str(self.frame_rate),
            "model": self.model_sha256,
            "device": self.device,
            **({"aus": True} if self.aus else {}),
            **({"phases": True} if self.phases else {}),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Job:
    """An input as it is sent to a worker."""

    path: str
    name: str
    request: Request
    most_spans: int  # an input with more is done by all workers together
    known: str | None  # the key of existing results
    store: Store | None  # lent, for span results; None: the worker uses a folder of its own


@dataclass(frozen=True)
class Analyzed:
    """The answer for an analyzed input: its record, without the paths of outputs, and the outputs."""

    record: Record
    outputs: Mapping[str, bytes]  # by format
    cached: str  # the key of its spans in the store, until the outputs are written
    reused: int  # spans that an earlier run had done


@dataclass(frozen=True)
class Unchanged:
    """The answer for an input with existing results of the same content."""


@dataclass(frozen=True)
class ManySpans:
    """The answer for an input with more than `most_spans` spans, which all workers do together."""


Answer = Analyzed | Unchanged | ManySpans


def work(job: Job) -> Generator[float, None, Answer]:
    """Process an input in one worker; yield the share done, and return an Answer."""
    yield BEGUN
    if not is_url(job.path):
        return (yield from _analyze(job, job.path))
    with temporary.folder() as folder:
        path = yield from _fetch(job, folder)
        return (yield from _analyze(job, str(path)))


def _fetch(job: Job, folder: Path) -> Generator[float, None, Path]:
    """Download an input; yield the share done, so that the deadline does not end a long download."""
    steps = remote.fetch(job.path, folder, job.request.limit)
    while True:
        try:
            yield BEGUN + (FETCHED - BEGUN) * next(steps)
        except StopIteration as stop:
            path: Path = stop.value
            return path


def _analyze(job: Job, path: str) -> Generator[float, None, Answer]:
    """Analyze an input on this machine, unless there are results of the same content."""
    if job.known is not None and job.request.key(source.content_hash(Path(path))) == job.known:
        return Unchanged()
    # A lent store is kept until the outputs are written: the caller deletes its entries.
    store = Store.temporary() if job.store is None else job.store
    with start(path, job.request, store) as run:
        if run.model is None or run.model.sha256 != job.request.model_sha256:
            raise ModelError(
                f"on {socket.gethostname()}: the model {job.request.model} differs from the one here"
            )
        yield FETCHED
        if run.span_count > job.most_spans:
            return ManySpans()
        reused = run.stored_count
        for share in run.prepare():
            yield FETCHED + (PREPARED - FETCHED) * share
        record, results = record_of(run, job.name, job.request), results_of(run, job.request)
        outputs = {name: _bytes(results, name) for name in job.request.formats}
        yield 1.0  # the result waits until those of earlier inputs are there

        return Analyzed(record, outputs, run.key, reused)


def start(
    path: str, request: Request, store: Store, executor: Executor | None = None, tick: Tick | None = None
) -> Run:
    """Start the analysis of one input."""
    return analysis.start(
        path,
        model=request.model,
        settings=request.settings,
        rotate=request.rotate,
        frame_rate=request.frame_rate,
        executor=executor,
        device=request.device,
        store=store,
        tick=tick,
    )


@contextmanager
def local(path: str, limit: Limit) -> Iterator[str]:
    """Yield the local path of an input while the block runs."""
    if is_url(path):
        with remote.fetched(path, limit) as copy:
            yield copy
    else:
        yield path


@dataclass(frozen=True)
class RunResults:
    """The results of a run that has ended."""

    run: Run
    timeline: Timeline
    units: VideoUnits | None  # None: not requested

    @property
    def people(self) -> dict[int, str]:
        """The person of each track that has one."""
        return {curve.track: curve.person for curve in self.timeline.curves if curve.person is not None}


def results_of(run: Run, request: Request) -> RunResults:
    """Return the results of a run, with action units and phases if requested."""
    results = RunResults(run, run.timeline, None)
    if request.aus:
        units = measure(run.rows, run.video, results.people)
        curves = tuple(map(units.added_to, results.timeline.curves))
        results = RunResults(run, replace(results.timeline, curves=curves), units)
    if request.phases:
        results = replace(results, timeline=with_phases(results.timeline, run.rows, run.video))
    return results


def write(results: RunResults, form: str, stream: BinaryIO) -> None:
    """Write one format of a run's results."""
    run = results.run
    if form == "npz":
        labels = results.timeline.model.labels
        geometry.write(run.rows, run.row_count, run.video, labels, stream, results.people)
        return
    if form in PARQUET_TABLES:
        _write_table(results, PARQUET, PARQUET_TABLES[form], stream)
        return
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    try:
        _write_text(results, form, text)
        text.flush()
    finally:
        text.detach()


def _write_text(results: RunResults, form: str, text: TextIO) -> None:
    if form == "csv":  # of frames: a batch has no table of scores
        _write_table(results, FRAMES, "frames", text)
    elif form in TIMELINES:
        TIMELINES[form].write(results.timeline, text)
    elif form in FRAMES:
        _write_table(results, FRAMES, form, text)
    else:
        raise UsageError(f"there is no format {form!r}: choose from {', '.join(FORMATS)}")


def _write_table(
    results: RunResults, formats: Mapping[str, Format], name: str, stream: BinaryIO | TextIO
) -> None:
    if name not in FRAMES:
        formats[name].write(results.timeline, stream)
        return
    rows = results.run.rows(), results.run.video, results.timeline.model.labels
    if name == "frames":
        formats[name].write(*rows, stream, results.people, results.units)
    else:
        formats[name].write(*rows, stream, results.units)


def _bytes(results: RunResults, form: str) -> bytes:
    stream = io.BytesIO()
    write(results, form, stream)
    return stream.getvalue()


def record_of(run: Run, name: str, request: Request) -> Record:
    """Return the manifest record of an analyzed input, without its outputs."""
    timeline = run.timeline
    tally, video = timeline.tally, run.video
    shown: dict[str, int] = defaultdict(int)
    for segment in timeline.segments:
        shown[segment.emotion] += segment.end - segment.start
    main = _main_scores(run)
    labels = timeline.model.labels
    return Record(
        input=name,
        status=DONE,
        frames={
            "planned": len(video.pts),
            "decoded": tally.decoded,
            "with_faces": tally.with_faces,
            "undecodable": tally.undecodable,
        },
        complete=tally.complete,
        seconds=number(run.selected_seconds),
        spans=run.span_count,
        tracks=len(timeline.curves),
        scores=None if main is None else {k: number(v) for k, v in zip(labels, main, strict=True)},
        shown={label: number(shown[label] * video.time_base) for label in labels if label in shown},
        sha256=video.sha256,
        key=request.key(video.sha256),
    )


def _main_scores(run: Run) -> Floats | None:
    """Return the scores (C,) of the main face over all its windows: the largest face for the longest time.

    They are pooled as in `fervid eval`. The logarithms of scores differ from logits by a constant, which the
    softmax removes.
    """
    curves = {curve.track: curve for curve in run.timeline.curves if len(curve.pts)}
    if not curves:
        return None
    areas: dict[int, float] = dict.fromkeys(curves, 0.0)
    for rows in run.rows():
        area = np.nan_to_num(rows.box[:, 2].astype(np.float64) * rows.box[:, 3])
        for track in np.unique(rows.track).tolist():
            if track in areas:
                areas[track] += float(area[rows.track == track].sum())
    main = curves[max(areas, key=lambda track: (areas[track], -track))]
    by_window = np.log(np.maximum(main.scores, np.finfo(np.float32).tiny))
    assert main.straightness is not None
    owners, labels = np.zeros(len(by_window), np.int64), run.timeline.model.labels
    logits = model.pooled(by_window, main.straightness, owners, 1, labels)[0]
    return np.asarray(model.softmax(logits), np.float32)
