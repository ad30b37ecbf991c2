"""The conductor of a batch: inputs to workers, long ones to all workers together, results to the folder."""

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
from fervid.batch.work import Job, Long, Made, Same, Wish, local, record_of, start, work, write
from fervid.cache import Store
from fervid.errors import FervidError, InputError, ModelError, OutputError
from fervid.execute import Done, Executor, Failed, Reached
from fervid.files import encodable, shown

DEADLINE = 1800.0  # seconds without a sign of life after which an input is given up
CLUSTER = 16  # workers that a cluster is taken to have: it may gain some on the way
WHOLE = 40  # spans, 20 minutes, that one worker does alone while there is enough for the others


@dataclass(frozen=True)
class Begun:
    """A worker has taken the input at a place."""

    place: int


@dataclass(frozen=True)
class Advanced:
    """How much of an input is done."""

    place: int
    share: float


@dataclass(frozen=True)
class Ended:
    """An input is dealt with."""

    place: int
    record: Record
    is_skipped: bool = False  # its results were there
    reused: int = 0  # spans that an earlier run had done


Event = Begun | Advanced | Ended


class Batch:
    """One batch; `run` does it, and tells of every step."""

    def __init__(
        self,
        inputs: Sequence[Input],
        wish: Wish,
        results: Results,
        executor: Executor,
        store: Store,
        workers: int,
        deadline: float = DEADLINE,
        told: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self._inputs, self._wish, self._results = inputs, wish, results
        self._executor, self._store, self._workers = executor, store, workers
        self._deadline, self._told = deadline, told
        self._lent: Store | None = None  # the store as workers use it; None: they share no cache
        self.records: dict[int, Record] = {}  # by the input's place
        self._long: list[int] = []

    def run(self) -> list[Record]:
        """Deal with every input; the records in the inputs' order."""
        if self._executor.is_remote:
            terms = tasks.Terms(self._wish.device, self._wish.model, self._wish.model_sha256)
            self._executor.check(tasks.check, terms)
        if not self._store.keep:
            for key in self._results.unfinished:  # their outputs are there: the last run was ended before
                self._store.forget(key, succeeded=True)
        for place, item in enumerate(self._inputs):
            if item.trouble:
                self._fail(place, InputError(f"{shown(item.name)}: {item.trouble}"))
        # Workers elsewhere have no part in this cache: what they keep, nobody here could delete.
        is_ours = self._store.resume and not self._executor.is_remote
        with self._store.lent() if is_ours else nullcontext() as self._lent:
            self._each_to_a_worker()
        for place in self._long:
            self._with_all_workers(place)
        return [self.records[place] for place in range(len(self._inputs))]

    def _each_to_a_worker(self) -> None:
        taken: list[int] = []  # the input of each task
        known: dict[int, Record] = {}

        def jobs() -> Iterator[Job]:
            for place, item in enumerate(self._inputs):
                if not item.trouble:
                    taken.append(place)
                    if record := self._results.known(item, self._wish.formats):
                        known[place] = record
                    yield self._job(place, None if record is None else record.key)

        events = cast("Generator[object]", self._executor(work, jobs(), self._deadline))
        with closing(events):  # tasks under way stop at once where this does
            for event in events:
                if isinstance(event, Reached):
                    self._told(Advanced(taken[event.place], event.done))
                elif isinstance(event, Failed):
                    self._fail(taken[event.place], event.error)
                elif isinstance(event, Done):
                    place, answer = taken[event.place], event.result
                    if isinstance(answer, Same):
                        self._end(Ended(place, known[place], is_skipped=True))
                    elif isinstance(answer, Long):
                        self._long.append(place)
                    else:
                        self._keep(place, answer)
                    known.pop(place, None)

    def _job(self, place: int, known: str | None) -> Job:
        item = self._inputs[place]
        workers = CLUSTER if self._executor.is_remote else self._workers
        is_last = len(self._inputs) - place <= 2 * workers
        most = 1 if is_last and workers > 1 else WHOLE
        return Job(item.path, encodable(item.name), self._wish, most, known, self._lent)

    def _keep(self, place: int, made: Made) -> None:
        writers = {form: partial(_copy, text) for form, text in made.texts.items()}
        try:
            record = self._results.save(self._inputs[place], made.record, writers, made.cached)
        except FervidError as error:
            self._fail(place, error)
            return
        if not self._store.keep:
            self._store.forget(made.cached, succeeded=True)
        self._end(Ended(place, record, reused=made.reused))

    def _with_all_workers(self, place: int) -> None:
        """An input of many spans, which all workers share."""
        item = self._inputs[place]
        self._told(Begun(place))
        try:
            with (
                local(item.path) as path,
                start(
                    path,
                    self._wish,
                    self._store,
                    self._executor,
                    lambda done: self._told(Advanced(place, done / run.selected_seconds)),
                ) as run,
            ):
                reused = run.stored_count
                record = record_of(run, encodable(item.name), self._wish)
                writers = {form: partial(write, run, form) for form in self._wish.formats}
                record = self._results.save(item, record, writers, run.key)
        except FervidError as error:
            self._fail(place, error)
        else:
            self._end(Ended(place, record, reused=reused))

    def _fail(self, place: int, error: FervidError) -> None:
        if isinstance(error, OutputError | ModelError):
            raise error  # it would be the next input's as well
        item = self._inputs[place]
        # Where the file lies on this machine is nobody's business who reads the manifest.
        reason = str(error)
        reason = reason.replace(shown(item.path), shown(item.name))
        record = Record(encodable(item.name), FAILED, error=encodable(" ".join(reason.split())))
        self._end(Ended(place, record))

    def _end(self, event: Ended) -> None:
        self.records[event.place] = event.record
        self._told(event)


def _copy(text: bytes, stream: BinaryIO) -> None:
    stream.write(text)
