"""The run of a batch: a worker per input, all workers together for a long input, results into the folder."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, cast

from fervid.analysis import tasks
from fervid.batch.folder import Results
from fervid.batch.inputs import Input
from fervid.batch.records import FAILED, Record
from fervid.batch.work import (
    Analyzed,
    Job,
    ManySpans,
    Request,
    Unchanged,
    local,
    record_of,
    results_of,
    start,
    work,
    write,
)
from fervid.cache import Store
from fervid.errors import FervidError, InputError, ModelError, OutputError
from fervid.execute import Done, Executor, Failed, Progress
from fervid.files import display_name, encodable, urls

DEADLINE = 1800.0  # seconds without progress after which an input counts as failed
CLUSTER = 16  # workers that a cluster is assumed to have: it may gain some
WHOLE = 40  # spans (20 minutes) that a worker does alone while the others have enough to do


@dataclass(frozen=True)
class Ended:
    """An input is finished."""

    index: int
    record: Record
    is_skipped: bool = False  # its results existed already
    reused: int = 0  # spans that an earlier run had done


Event = Progress | Ended  # `Progress` has the index of the input and the share of it that is done


class Batch:
    """A batch: `run` processes every input and reports every event."""

    def __init__(
        self,
        inputs: Sequence[Input],
        request: Request,
        results: Results,
        executor: Executor,
        store: Store,
        workers: int,
        deadline: float = DEADLINE,
        notify: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self._inputs, self._request, self._results = inputs, request, results
        self._executor, self._store, self._workers = executor, store, workers
        self._deadline, self._notify = deadline, notify
        self._lent: Store | None = None  # the store for workers; None: they share no cache
        self.records: dict[int, Record] = {}  # by the index of the input
        self._long: list[int] = []

    def run(self) -> list[Record]:
        """Process every input; return the records in the order of the inputs."""
        if self._executor.is_remote:
            terms = tasks.Terms(self._request.device, self._request.model, self._request.model_sha256)
            self._executor.check(tasks.check, terms)
        if not self._store.keep:
            for key in self._results.unfinished:  # the last run was killed after their outputs
                self._store.forget(key, succeeded=True)
        for index, item in enumerate(self._inputs):
            if item.error:
                self._fail(index, InputError(f"{display_name(item.name)}: {item.error}"))
        # Workers on other machines do not use this cache: their results could not be deleted from here.
        is_ours = self._store.resume and not self._executor.is_remote
        with self._store.lend() if is_ours else nullcontext() as self._lent:
            self._one_worker_each()
        for index in self._long:
            self._with_all_workers(index)
        if self._store.resume and not self._store.keep:
            self._store.sync()  # before the journal is deleted: it lists what was deleted from the cache
        return [self.records[index] for index in range(len(self._inputs))]

    def _one_worker_each(self) -> None:
        taken: list[int] = []  # the input of each task
        known: dict[int, Record] = {}

        def jobs() -> Iterator[Job]:
            for index, item in enumerate(self._inputs):
                if not item.error:
                    taken.append(index)
                    if record := self._results.known(item, self._request.formats):
                        known[index] = record
                    yield self._job(index, None if record is None else record.key)

        events = cast("Generator[object]", self._executor(work, jobs(), self._deadline))
        with closing(events):  # if this stops, its tasks stop at once
            for event in events:
                if isinstance(event, Progress):
                    self._notify(Progress(taken[event.index], event.done))
                elif isinstance(event, Failed):
                    self._fail(taken[event.index], event.error)
                elif isinstance(event, Done):
                    index, answer = taken[event.index], event.result
                    if isinstance(answer, Unchanged):
                        self._end(Ended(index, known[index], is_skipped=True))
                    elif isinstance(answer, ManySpans):
                        self._long.append(index)
                    else:
                        self._save(index, answer)
                    known.pop(index, None)

    def _job(self, index: int, known: str | None) -> Job:
        item = self._inputs[index]
        workers = CLUSTER if self._executor.is_remote else self._workers
        is_last = len(self._inputs) - index <= 2 * workers
        most = 1 if is_last and workers > 1 else WHOLE
        return Job(item.path, encodable(item.name), self._request, most, known, self._lent)

    def _save(self, index: int, answer: Analyzed) -> None:
        writers = {form: partial(_copy, content) for form, content in answer.outputs.items()}
        try:
            record = self._results.save(self._inputs[index], answer.record, writers, answer.cached)
        except FervidError as error:
            self._fail(index, error)
            return
        if not self._store.keep:
            self._store.forget(answer.cached, succeeded=True)
        self._store.limit_size()
        self._end(Ended(index, record, reused=answer.reused))

    def _with_all_workers(self, index: int) -> None:
        """Analyze an input of many spans with all workers together."""
        item = self._inputs[index]
        self._notify(Progress(index, 0.0))
        try:
            with (
                local(item.path, self._request.limit) as path,
                start(
                    path,
                    self._request,
                    self._store,
                    self._executor,
                    lambda done: self._notify(Progress(index, done / run.selected_seconds)),
                ) as run,
            ):
                reused = run.stored_count
                record = record_of(run, encodable(item.name), self._request)
                results = results_of(run, self._request)
                writers = {form: partial(write, results, form) for form in self._request.formats}
                record = self._results.save(item, record, writers, run.key)
        except FervidError as error:
            self._fail(index, error)
        else:
            self._end(Ended(index, record, reused=reused))

    def _fail(self, index: int, error: FervidError) -> None:
        if isinstance(error, OutputError | ModelError):
            raise error  # the next input would fail in the same way
        item = self._inputs[index]
        # Other people may read the manifest: it contains no paths of this machine.
        reason = urls.scrubbed(str(error), urls.secrets(item.path))
        reason = reason.replace(display_name(item.path), display_name(item.name))
        record = Record(encodable(item.name), FAILED, error=encodable(" ".join(reason.split())))
        self._end(Ended(index, record))

    def _end(self, event: Ended) -> None:
        self.records[event.index] = event.record
        self._notify(event)


def _copy(content: bytes, stream: BinaryIO) -> None:
    stream.write(content)
