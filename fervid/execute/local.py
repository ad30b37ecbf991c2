"""Worker processes of this machine: one that dies or hangs is replaced, and only its own task suffers."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from typing import Any

from fervid.errors import WorkerError
from fervid.execute import here
from fervid.execute.events import Done, Event, Executor, Failed, Function, Reached
from fervid.execute.worker import BEATS, DONE, PLACE, PREFIX, STARTING, serve

AHEAD = 4  # tasks taken and not yet answered for, per worker: none idles while the first of them takes long
AT_HAND = 2  # of these, tasks that a worker has: the one under way, and the next
SMALL = 32 << 10  # bytes that a pipe holds before they are read: what a busy worker is given
LOOK_EVERY = 0.2  # seconds between two looks at how far workers are
DEATHS = 2  # of workers over one task, until it counts as failed
STARTS = 3  # of workers in a row that fail, until the run does
LEAVE_WITHIN = 5.0  # seconds in which a worker without work ends


@contextmanager
def pool(jobs: int, contained: bool = False) -> Iterator[Executor]:
    """Worker processes that start with the first task and serve every run until the end.

    One task alone runs in this process, unless it is to be contained.
    """
    os.environ.update(here.SURROUNDINGS)  # which the workers inherit
    workers = Pool(jobs, contained)
    try:
        yield workers
    finally:
        workers.stop()


@dataclass(eq=False)
class _Item:
    """A task on its way."""

    place: int
    order: bytes  # the place, the function and the task, as a worker reads them
    told: float = 0.0  # how far it is known to be
    deaths: int = 0


@dataclass(eq=False)
class _Worker:
    process: Any
    connection: Connection
    slot: Any  # where it writes how far it is: no lock, which a worker that dies would keep
    given: deque[_Item] = field(default_factory=deque)
    seen: tuple[float, float] = (STARTING, 0.0)  # place and beats, when last looked at
    since: float = 0.0  # the moment at which these changed

    def give(self, item: _Item) -> None:
        self.given.append(item)
        with suppress(OSError):  # it is dead, which is noticed like every death
            self.connection.send_bytes(item.order)

    def done(self) -> float | None:
        """How far the task under way is."""
        place, done = self.slot[PLACE], self.slot[DONE]
        is_same = bool(self.given) and self.given[0].place == place == self.slot[PLACE]
        return float(done) if is_same else None


class Pool:
    """Workers, started one by one as there are tasks for them."""

    is_remote = False

    def __init__(self, jobs: int, contained: bool = False) -> None:
        self.jobs = jobs
        self.workers: list[_Worker] = []
        self._contained = contained
        self._is_running = False

    def check(self, function: Function, argument: Any) -> None:
        """There is no worker elsewhere."""

    def __call__(
        self, function: Function, tasks: Iterable[Any], deadline: float | None = None
    ) -> Generator[Event]:
        source: Iterator[tuple[int, Any]] = enumerate(tasks)
        first = list(islice(source, 2))
        if len(first) == 1 and not self._contained and not self.workers:
            yield from here.run(function, *first[0])  # a worker would start, import and load for nothing
            return
        if self._is_running:
            raise RuntimeError("these workers have a run already: end it first")
        self._is_running = True
        try:
            yield from _Run(self, function, chain(first, source), deadline).events()
        finally:
            for worker in [worker for worker in self.workers if worker.given]:
                self.bury(worker)
            self._is_running = False

    def hire(self) -> _Worker:
        """A new worker."""
        # Spawn: a fork of a process in which torch has run can hang.
        context = multiprocessing.get_context("spawn")
        slot = context.RawArray("d", 3)
        slot[PLACE] = STARTING
        ours, its = context.Pipe()
        process = context.Process(target=serve, args=(its, slot), daemon=True)
        process.start()
        its.close()
        worker = _Worker(process, ours, slot)
        self.workers.append(worker)
        return worker

    def bury(self, worker: _Worker) -> int | None:
        """End a worker, if it has not ended by itself; its exit code."""
        self.workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        code: int | None = worker.process.exitcode
        worker.connection.close()
        worker.process.close()
        return code

    def stop(self) -> None:
        """Let the workers go: those without work by themselves, the others at once."""
        for worker in self.workers:
            if not worker.given:
                worker.connection.close()  # at which it leaves
        for worker in self.workers.copy():
            if not worker.given:
                worker.process.join(LEAVE_WITHIN)
            self.bury(worker)


class _Run:
    """One run over tasks."""

    def __init__(
        self, pool: Pool, function: Function, source: Iterator[tuple[int, Any]], deadline: float | None
    ) -> None:
        self._pool, self._function, self._source, self._deadline = pool, function, source, deadline
        self._ready: deque[_Item] = deque()  # no worker has them
        self._suspects: deque[_Item] = deque()  # their worker died: once more, alone
        self._ended: dict[int, Done | Failed] = {}
        self._taken = self._next = 0  # places
        self._looked = 0.0
        self._false_starts = 0

    def events(self) -> Iterator[Event]:
        self._take()
        while self._next < self._taken:
            self._hand_out()
            yield from self._listen(0 if self._next in self._ended else LOOK_EVERY)
            yield from self._look()
            self._hand_out()
            if self._next in self._ended:
                end = self._ended.pop(self._next)
                self._next += 1
                self._take()
                yield end
                del end
                here.give_back()  # what the caller made of it, and dropped

    def _take(self) -> None:
        room = AHEAD * self._pool.jobs - (self._taken - self._next)
        for place, task in islice(self._source, max(0, room)):
            body = pickle.dumps((self._function, task), pickle.HIGHEST_PROTOCOL)
            self._ready.append(_Item(place, place.to_bytes(PREFIX, "little") + body))
            self._taken = place + 1

    def _hand_out(self) -> None:
        """Give tasks to workers; a suspect when nobody else works, for it may have starved among many."""
        busy = [worker for worker in self._pool.workers if worker.given]
        if any(item.deaths for worker in busy for item in worker.given):
            return
        if self._suspects:
            if not busy:
                worker = self._choose(self._suspects[0])
                assert worker is not None
                worker.give(self._suspects.popleft())
            return
        while self._ready and (worker := self._choose(self._ready[0])) is not None:
            worker.give(self._ready.popleft())

    def _choose(self, item: _Item) -> _Worker | None:
        """Who takes a task: whoever is free, a new worker, or one that is busy; None: nobody for now."""
        workers = self._pool.workers
        free = next((worker for worker in workers if not worker.given), None)
        if free is not None:
            return free
        if len(workers) < self._pool.jobs:
            return self._pool.hire()
        if len(item.order) > SMALL:  # sending would last until the worker reads
            return None
        return next((worker for worker in workers if len(worker.given) < AT_HAND), None)

    def _listen(self, timeout: float) -> Iterator[Reached]:
        """Wait for workers to answer or to die."""
        handles = {worker.connection: worker for worker in self._pool.workers} | {
            worker.process.sentinel: worker for worker in self._pool.workers
        }
        for worker in dict.fromkeys(handles[handle] for handle in wait(list(handles), timeout)):
            yield from self._hear(worker)

    def _hear(self, worker: _Worker) -> Iterator[Reached]:
        is_alive = worker.process.is_alive()  # asked first: its last words are read below
        try:
            while worker.connection.poll():
                done, end = pickle.loads(worker.connection.recv_bytes())
                item = worker.given.popleft()
                self._ended[item.place] = end
                if done > item.told and isinstance(end, Done):
                    yield Reached(item.place, done)
        except (EOFError, OSError):
            is_alive = False
        if not is_alive:
            self._lose(worker)

    def _look(self) -> Iterator[Reached]:
        """Tell how far the tasks are, and end those that stand still."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        for worker in [worker for worker in self._pool.workers if worker.given]:
            done, seen = worker.done(), (worker.slot[PLACE], worker.slot[BEATS])
            if done is not None and done > worker.given[0].told:
                worker.given[0].told = done
                yield Reached(worker.given[0].place, done)
            if seen != worker.seen or seen[0] < 0:
                worker.seen, worker.since = seen, now
            elif self._deadline is not None and now - worker.since > self._deadline:
                yield from self._hear(worker)
                if worker.given and worker.given[0].place == seen[0]:
                    self._lose(worker, f"no progress for {self._deadline:g} s")

    def _lose(self, worker: _Worker, reason: str = "") -> None:
        """A worker is dead, or as good as dead: whatever it was at is done once more, or has failed."""
        code, has_begun = self._pool.bury(worker), worker.slot[PLACE] != STARTING
        if not worker.given:
            return
        if not has_begun:
            self._ready.extendleft(reversed(worker.given))
            self._false_starts += 1
            if self._false_starts == STARTS:
                raise WorkerError(f"worker processes cannot start ({_cause(code)}); try --jobs 1")
            return
        self._false_starts = 0
        item = worker.given.popleft()
        self._ready.extendleft(reversed(worker.given))
        item.deaths += 1
        if item.deaths < DEATHS:
            self._suspects.append(item)
            return
        error = WorkerError(
            f"a worker process {'stood still' if reason else 'died'} twice at the same place of the input "
            f"({reason or _cause(code)}); leave that place out with --start and --end, or convert the file"
        )
        self._ended[item.place] = Failed(item.place, error)


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}: out of memory?" if name == "SIGKILL" else f"{name}: a crash in a decoder?"
