"""Worker processes on this machine. One that dies or hangs is replaced, and only its task is affected."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
import signal
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from fervid.errors import WorkerError
from fervid.execute import serial
from fervid.execute.events import Done, Event, Executor, Failed, Function, Progress
from fervid.execute.worker import BEATS, DONE, INDEX, PREFIX, STARTING, serve
from fervid.files.temporary import Temporary

AHEAD = 4  # unfinished tasks in memory per worker: no worker is idle while the first task is slow
LAST = 2  # tasks per worker that wait at the end until one is free
ASSIGNED = 2  # of these, tasks that a worker has: the current one and the next
SMALL = 32 << 10  # bytes that fit in a pipe: a larger task waits until a worker is free
POLL_EVERY = 0.2  # seconds between two checks of progress
DEATHS = 2  # of workers at one task, after which the task fails
STARTS = 3  # failed starts of workers in a row, after which the run fails
LEAVE_WITHIN = 5.0  # seconds for an idle worker to end


@contextmanager
def pool(jobs: int, contained: bool = False) -> Iterator[Executor]:
    """Open worker processes, which start with the first task and stay for all runs of the block.

    A single task runs in this process, unless `contained`.
    """
    serial.limit_threads()
    workers = Pool(jobs, contained)
    try:
        yield workers
    finally:
        workers.stop()


@dataclass(eq=False)
class _Item:
    """An unfinished task."""

    index: int
    message: bytes  # the index, then the pickled function and task
    reached: float = 0.0  # the progress that was last reported
    deaths: int = 0


@dataclass(eq=False)
class _Worker:
    process: Any
    connection: Connection
    folder: Path  # for its temporary files
    slot: Any  # shared memory for its progress, without a lock: a worker that dies would keep it
    assigned: deque[_Item] = field(default_factory=deque)
    seen: tuple[float, float] = (STARTING, 0.0)  # index and beats at the last check
    since: float = 0.0  # the time of their last change

    def give(self, item: _Item) -> None:
        self.assigned.append(item)
        with suppress(OSError):  # it is dead: `_receive` handles that
            self.connection.send_bytes(item.message)

    def done(self) -> float | None:
        """Return the progress of the current task."""
        index, done = self.slot[INDEX], self.slot[DONE]
        is_same = bool(self.assigned) and self.assigned[0].index == index == self.slot[INDEX]
        return float(done) if is_same else None


class Pool:
    """Worker processes, started one by one as there are tasks for them."""

    has_workers = True
    is_remote = False

    def __init__(self, jobs: int, contained: bool = False) -> None:
        self.jobs = jobs
        self.workers: list[_Worker] = []
        self._contained = contained
        self._is_running = False
        self._temporary: Temporary | None = None
        self._started = 0  # workers

    def check(self, function: Function, argument: Any) -> None:
        """Do nothing: no worker is remote."""

    def __call__(
        self, function: Function, tasks: Iterable[Any], deadline: float | None = None
    ) -> Generator[Event]:
        source: Iterator[tuple[int, Any]] = enumerate(tasks)
        first = list(islice(source, 2))
        if len(first) == 1 and not self._contained and not self.workers:
            yield from serial.run(function, *first[0])  # without starting, importing and loading in a worker
            return
        if self._is_running:
            raise RuntimeError("these workers have an unfinished run: close it first")
        self._is_running = True
        try:
            yield from _Run(self, function, chain(first, source), deadline).events()
        finally:
            for worker in [worker for worker in self.workers if worker.assigned]:
                self.end_worker(worker)
            self._is_running = False

    def start_worker(self) -> _Worker:
        """Start a worker."""
        # Spawn: a fork of a process in which torch has run can hang.
        context = multiprocessing.get_context("spawn")
        slot = context.RawArray("d", 3)
        slot[INDEX] = STARTING
        ours, its = context.Pipe()
        if self._temporary is None:
            self._temporary = Temporary()
        # A worker is killed in the middle of its work, so its temporary files are deleted here.
        folder = self._temporary.path / str(self._started)
        folder.mkdir(mode=0o700)
        self._started += 1
        process = context.Process(target=serve, args=(its, slot, str(folder)), daemon=True)
        process.start()
        its.close()
        worker = _Worker(process, ours, folder, slot)
        self.workers.append(worker)
        return worker

    def end_worker(self, worker: _Worker) -> int | None:
        """Kill a worker that has not ended and return its exit code."""
        self.workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        code: int | None = worker.process.exitcode
        worker.connection.close()
        worker.process.close()
        shutil.rmtree(worker.folder, ignore_errors=True)
        return code

    def stop(self) -> None:
        """Stop all workers: idle ones end by themselves, the others are killed."""
        try:
            for worker in self.workers:
                if not worker.assigned:
                    worker.connection.close()  # this ends it
            for worker in self.workers.copy():
                if not worker.assigned:
                    worker.process.join(LEAVE_WITHIN)
                self.end_worker(worker)
        finally:
            if self._temporary is not None:
                self._temporary.remove()
                self._temporary = None


class _Run:
    """One run of a function over tasks."""

    def __init__(
        self, pool: Pool, function: Function, source: Iterator[tuple[int, Any]], deadline: float | None
    ) -> None:
        self._pool, self._function, self._source, self._deadline = pool, function, source, deadline
        self._ready: deque[_Item] = deque()  # not assigned to a worker
        self._suspects: deque[_Item] = deque()  # their worker died: each runs once more, alone
        self._ended: dict[int, Done | Failed] = {}
        self._taken = self._next = 0  # indices
        self._checked_at = 0.0
        self._false_starts = 0

    def events(self) -> Iterator[Event]:
        self._take()
        while self._next < self._taken:
            self._assign()
            yield from self._listen(0 if self._next in self._ended else POLL_EVERY)
            yield from self._check_progress()
            self._assign()
            if self._next in self._ended:
                end = self._ended.pop(self._next)
                self._next += 1
                self._take()
                yield end
                del end
                serial.trim_memory()  # memory that the caller used and freed

    def _take(self) -> None:
        room = AHEAD * self._pool.jobs - (self._taken - self._next)
        for index, task in islice(self._source, max(0, room)):
            body = pickle.dumps((self._function, task), pickle.HIGHEST_PROTOCOL)
            self._ready.append(_Item(index, index.to_bytes(PREFIX, "little") + body))
            self._taken = index + 1

    def _assign(self) -> None:
        """Assign tasks to workers; a suspect only when all are idle, as a worker may have lacked memory."""
        busy = [worker for worker in self._pool.workers if worker.assigned]
        if any(item.deaths for worker in busy for item in worker.assigned):
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
        """Return the worker for a task: an idle, a new or a busy one; None if the task must wait."""
        workers = self._pool.workers
        free = next((worker for worker in workers if not worker.assigned), None)
        if free is not None:
            return free
        if len(workers) < self._pool.jobs:
            return self._pool.start_worker()
        # The last tasks wait for a worker that is free: one that is busy might end after all others.
        if len(self._ready) <= LAST * self._pool.jobs:
            return None
        if len(item.message) > SMALL:  # sending would block until the worker reads
            return None
        return next((worker for worker in workers if len(worker.assigned) < ASSIGNED), None)

    def _listen(self, timeout: float) -> Iterator[Progress]:
        """Wait until workers send results or die."""
        handles = {worker.connection: worker for worker in self._pool.workers} | {
            worker.process.sentinel: worker for worker in self._pool.workers
        }
        for worker in dict.fromkeys(handles[handle] for handle in wait(list(handles), timeout)):
            yield from self._receive(worker)

    def _receive(self, worker: _Worker) -> Iterator[Progress]:
        is_alive = worker.process.is_alive()  # before the last messages are read below
        try:
            while worker.connection.poll():
                done, end = pickle.loads(worker.connection.recv_bytes())
                item = worker.assigned.popleft()
                self._ended[item.index] = end
                if done > item.reached and isinstance(end, Done):
                    yield Progress(item.index, done)
        except (EOFError, OSError):
            is_alive = False
        if not is_alive:
            self._handle_death(worker)

    def _check_progress(self) -> Iterator[Progress]:
        """Yield the progress of tasks, and end workers without progress."""
        now = time.monotonic()
        if now - self._checked_at < POLL_EVERY:
            return
        self._checked_at = now
        for worker in [worker for worker in self._pool.workers if worker.assigned]:
            done, seen = worker.done(), (worker.slot[INDEX], worker.slot[BEATS])
            if done is not None and done > worker.assigned[0].reached:
                worker.assigned[0].reached = done
                yield Progress(worker.assigned[0].index, done)
            if seen != worker.seen or seen[0] < 0:
                worker.seen, worker.since = seen, now
            elif self._deadline is not None and now - worker.since > self._deadline:
                yield from self._receive(worker)
                if worker.assigned and worker.assigned[0].index == seen[0]:
                    self._handle_death(worker, f"no progress for {self._deadline:g} s")

    def _handle_death(self, worker: _Worker, reason: str = "") -> None:
        """End a worker that is dead or hangs; its task runs once more, or fails."""
        code, has_begun = self._pool.end_worker(worker), worker.slot[INDEX] != STARTING
        if not worker.assigned:
            return
        if not has_begun:
            self._ready.extendleft(reversed(worker.assigned))
            self._false_starts += 1
            if self._false_starts == STARTS:
                raise WorkerError(f"worker processes cannot start ({_cause(code)}); try --jobs 1")
            return
        self._false_starts = 0
        item = worker.assigned.popleft()
        self._ready.extendleft(reversed(worker.assigned))
        item.deaths += 1
        if item.deaths < DEATHS:
            self._suspects.append(item)
            return
        error = WorkerError(
            f"a worker process {'hung' if reason else 'died'} twice at the same position of the input "
            f"({reason or _cause(code)}); skip that position with --start and --end, or convert the file"
        )
        self._ended[item.index] = Failed(item.index, error)


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}: out of memory?" if name == "SIGKILL" else f"{name}: a crash in a decoder?"
