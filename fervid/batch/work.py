"""One input from its path to its outputs: what a worker does, and what travels to it and back."""

from __future__ import annotations

import hashlib
import io
import json
import socket
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np

from fervid import analysis, cache
from fervid.analysis import Run, Tick
from fervid.batch.records import DONE, Record
from fervid.cache import Store
from fervid.errors import ModelError, UsageError
from fervid.execute import Executor
from fervid.export import FRAMES, TIMELINES
from fervid.export.frames import geometry
from fervid.export.timelines.shapes import SCHEMA_VERSION, number
from fervid.types import Floats, Settings
from fervid.video import remote, source

# What a format's file is called, behind the input's whole name.
FORMATS = {name: form.suffix for name, form in TIMELINES.items()} | {
    "csv": FRAMES["frames"].suffix,
    "openface": FRAMES["openface"].suffix,
    "npz": ".npz",
}
BEGUN = 1e-3  # the share that is told when a worker takes an input
PREPARED = 0.95  # the share of the work that lies in the spans


@dataclass(frozen=True)
class Wish:
    """What is asked for each input alike."""

    formats: tuple[str, ...]
    settings: Settings
    model: str  # its name, or its folder
    model_sha256: str
    rotate: str = "auto"
    frame_rate: Fraction | None = None
    device: str = "cpu"

    def key(self, sha256: str) -> str:
        """What the results of some content depend on, as one word; paths and formats are no part of it."""
        facts = {
            "version": [cache.VERSION, SCHEMA_VERSION],
            "content": sha256,
            "settings": self.settings.as_json(),
            "rotate": self.rotate,
            "frame_rate": None if self.frame_rate is None else str(self.frame_rate),
            "model": self.model_sha256,
            "device": self.device,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Job:
    """One input as it travels to a worker."""

    path: str
    name: str
    wish: Wish
    most_spans: int  # an input of more is left to all workers together
    known: str | None  # the key of the results that are there
    store: Store | None  # lent, for span results; None: they go to a folder of the worker's own


@dataclass(frozen=True)
class Made:
    """An input was analysed: its record, still without outputs, and these."""

    record: Record
    texts: Mapping[str, bytes]  # by format
    cached: str  # under which its spans lie in the store, until the outputs are safe
    reused: int  # spans that lay there already


@dataclass(frozen=True)
class Same:
    """The results that are there are those of this content."""


@dataclass(frozen=True)
class Long:
    """An input of many spans."""


Answer = Made | Same | Long


def work(job: Job) -> Generator[float, None, Answer]:
    """Do one input, as far as it is for one worker; tells the share done, and returns an Answer."""
    yield BEGUN
    with local(job.path) as path:
        if job.known is not None and job.wish.key(source.content(Path(path))) == job.known:
            return Same()
        # What is lent is kept until the outputs are written: the caller deletes it.
        store = Store.temporary() if job.store is None else job.store
        with start(path, job.wish, store) as run:
            if run.model is None or run.model.sha256 != job.wish.model_sha256:
                raise ModelError(
                    f"on {socket.gethostname()}: the model {job.wish.model} is another one there"
                )
            yield BEGUN
            if run.span_count > job.most_spans:
                return Long()
            reused = run.stored_count
            for share in run.prepare():
                yield BEGUN + (PREPARED - BEGUN) * share
            texts = {name: _bytes(run, name) for name in job.wish.formats}
            made = Made(record_of(run, job.name, job.wish), texts, run.key, reused)
            yield 1.0  # what was done sooner than what stands before it waits there
            return made


def start(
    path: str, wish: Wish, store: Store, executor: Executor | None = None, tick: Tick | None = None
) -> Run:
    """The analysis of one input, as it is wished for."""
    return analysis.start(
        path,
        model=wish.model,
        settings=wish.settings,
        rotate=wish.rotate,
        frame_rate=wish.frame_rate,
        executor=executor,
        device=wish.device,
        store=store,
        tick=tick,
    )


@contextmanager
def local(path: str) -> Iterator[str]:
    """Where an input lies while the block runs."""
    if remote.is_remote(path):
        with remote.fetched(path) as copy:
            yield copy
    else:
        yield path


def write(run: Run, form: str, stream: BinaryIO) -> None:
    """Write one format of a run's results."""
    if form == "npz":
        labels = run.timeline.model.labels  # the timeline first: it counts the rows
        geometry.write(run.rows, run.row_count, run.video, labels, stream)
        return
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    try:
        _write_text(run, form, text)
        text.flush()
    finally:
        text.detach()


def _write_text(run: Run, form: str, text: TextIO) -> None:
    timeline = run.timeline
    labels = timeline.model.labels
    if form == "csv":  # of frames: a batch has no table of scores
        people = {curve.track: curve.person for curve in timeline.curves if curve.person is not None}
        FRAMES["frames"].write(run.rows(), run.video, labels, text, people)
    elif form in TIMELINES:
        TIMELINES[form].write(timeline, text)
    elif form in FRAMES:
        FRAMES[form].write(run.rows(), run.video, labels, text)
    else:
        raise UsageError(f"there is no format {form!r}: choose some of {', '.join(FORMATS)}")


def _bytes(run: Run, form: str) -> bytes:
    stream = io.BytesIO()
    write(run, form, stream)
    return stream.getvalue()


def record_of(run: Run, name: str, wish: Wish) -> Record:
    """What the manifest tells of an analysed input, but for its outputs."""
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
        key=wish.key(video.sha256),
    )


def _main_scores(run: Run) -> Floats | None:
    """What the main face shows over all of its windows, (C,): the face that is largest for longest.

    The mean of logits, as `fervid eval` has it: scores are a softmax of them, so that the mean of their
    logarithms differs by a constant that the softmax takes out again.
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
    logits = np.log(np.maximum(main.scores.astype(np.float64), np.finfo(np.float32).tiny)).mean(axis=0)
    scores = np.exp(logits - logits.max())
    return (scores / scores.sum()).astype(np.float32)
