"""Where work runs: here, or in worker processes. Executors have one signature, and results come in order."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import Any, Protocol

from fervid.errors import InputError, UsageError

AHEAD = 2  # tasks under way per worker: enough to keep it busy, few enough to bound what waits
LOOK_EVERY = 0.2  # seconds between two looks at how far workers are

# What a worker's libraries shall know from its start. One thread in every numeric library: parallelism is
# processes, and sums keep their order. And glibc shall give large blocks back: by default its threshold grows
# with them, and the heap of a worker with every span.
SURROUNDINGS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
) | {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}


@dataclass(frozen=True)
class Reached:
    """How far the task at a place in the order has come, in the task's own unit."""

    place: int
    done: float


class Executor(Protocol):
    """Runs a function over tasks; yields the results in the tasks' order.

    A function may be a generator of numbers that grow: how far it has come. Then a `Reached` of any task may
    stand between the results, each number as it comes or only now and then; the function returns its result.
    """

    def __call__(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]: ...


@contextmanager
def open_executor(jobs: int | None = None) -> Iterator[Executor]:
    """As many workers as asked for; None takes one per core."""
    wanted = jobs if jobs is not None else cores()
    if wanted < 1:
        raise UsageError(f"--jobs should be at least 1, not {wanted}")
    with serial() if wanted == 1 else pool(wanted) as executor:
        yield executor


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def serial() -> Iterator[Executor]:
    """Everything here, one task after the other."""
    os.environ.update(SURROUNDINGS)

    def run(function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        for place, task in enumerate(tasks):
            yield from _here(function, place, task)

    yield run


@contextmanager
def pool(jobs: int) -> Iterator[Executor]:
    """Worker processes that start with the first task and serve every run until the end."""
    os.environ.update(SURROUNDINGS)  # which the workers inherit
    workers = _Pool(jobs)
    try:
        yield workers
    except BaseException:
        workers.stop(wait=False)
        raise
    workers.stop(wait=True)


@dataclass
class _Sent:
    """A task that a worker has, or will have."""

    place: int
    task: Any
    future: Future[tuple[float, Any]]  # how far it came, and its result
    slot: int
    told: float = 0.0


class _Pool:
    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._workers: ProcessPoolExecutor | None = None
        # Where workers write how far they are: no lock, which a worker that dies would keep.
        self._slots: Any = None
        self._free: set[int] = set()

    def _ready(self) -> ProcessPoolExecutor:
        if self._workers is None:
            # Spawn: a fork of a process in which torch has run can hang.
            context = multiprocessing.get_context("spawn")
            # What a run before this one left unfinished keeps its slot: one task in each worker, and as many
            # and one more on their way to them.
            count = (AHEAD + 2) * self._jobs + 1
            self._slots, self._free = context.RawArray("d", count), set(range(count))
            self._workers = ProcessPoolExecutor(
                self._jobs, mp_context=context, initializer=_begin, initargs=(self._slots,)
            )
        return self._workers

    def __call__(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        source: Iterator[tuple[int, Any]] = enumerate(tasks)
        first = list(islice(source, 2))
        if len(first) == 1 and self._workers is None:
            yield from _here(function, *first[0])  # a worker would start, import and load for nothing
            return
        source = chain(first, source)
        waiting: deque[_Sent] = deque()

        def fill() -> None:
            for place, task in islice(source, max(0, AHEAD * self._jobs - len(waiting))):
                waiting.append(self._submit(function, place, task))

        fill()
        try:
            while waiting:
                yield from self._watch(waiting)
                sent = waiting.popleft()
                try:
                    _, result = sent.future.result()
                except BrokenProcessPool:
                    result = yield from self._again(function, sent)
                    waiting = deque(self._submit(function, other.place, other.task) for other in waiting)
                fill()
                yield result
                _give_back()  # what the caller made of it, and dropped
        finally:
            for sent in waiting:
                sent.future.cancel()

    def _submit(self, function: Callable[[Any], Any], place: int, task: Any) -> _Sent:
        try:
            workers = self._ready()
            slot, free = self._free.pop(), self._free
            self._slots[slot] = 0
            future = workers.submit(_do, function, task, slot)
            future.add_done_callback(lambda _: free.add(slot))
        except BrokenProcessPool as failure:  # a worker died just now: told when this result is asked for
            future, slot = Future(), 0
            future.set_exception(failure)
        return _Sent(place, task, future, slot)

    def _watch(self, waiting: deque[_Sent]) -> Iterator[Reached]:
        """Wait for the first task; tell meanwhile how far all are."""
        while not wait([waiting[0].future], timeout=LOOK_EVERY).done:
            for sent in waiting:
                done = self._done(sent)
                if done > sent.told:
                    sent.told = done
                    yield Reached(sent.place, done)

    def _done(self, sent: _Sent) -> float:
        if not sent.future.done():
            return float(self._slots[sent.slot])
        return 0.0 if sent.future.exception() else sent.future.result()[0]  # the slot may be another's by now

    def _again(self, function: Callable[[Any], Any], dead: _Sent) -> Generator[Reached, None, Any]:
        """A worker died, and took the pool with it: this task once more, alone in a new one."""
        self.stop(wait=False)
        sent = self._submit(function, dead.place, dead.task)
        yield from self._watch(deque([sent]))
        try:
            return sent.future.result()[1]
        except BrokenProcessPool as failure:
            self.stop(wait=False)
            raise InputError(
                "a worker process died twice at the same place of the input (out of memory, or a crash in a "
                "decoder); try --jobs 1, or leave that place out with --start and --end"
            ) from failure

    def stop(self, wait: bool) -> None:
        """End the workers: after their work, or at once."""
        if self._workers is None:
            return
        workers, self._workers = self._workers, None
        if wait:
            workers.shutdown()
            return
        own = list((getattr(workers, "_processes", None) or {}).values())
        workers.shutdown(wait=False, cancel_futures=True)
        for process in own:
            process.terminate()
        for process in own:
            process.join()


def _here(function: Callable[[Any], Any], place: int, task: Any) -> Iterator[Any]:
    """One task in this process: how far it comes, and its result."""
    steps = _steps(function, task)
    while True:
        try:
            done = next(steps)
        except StopIteration as end:
            result = end.value
            break
        yield Reached(place, done)
    yield result


def _do(function: Callable[[Any], Any], task: Any, slot: int) -> tuple[float, Any]:
    """One task in a worker: how far it came, which the slot tells meanwhile, and its result."""
    done, steps = 0.0, _steps(function, task)
    while True:
        try:
            done = _slots[slot] = next(steps)
        except StopIteration as end:
            return done, end.value


def _steps(function: Callable[[Any], Any], task: Any) -> Generator[float, None, Any]:
    """What a task yields and returns; then what it freed goes back, or the peaks of a film's spans add up."""
    try:
        answer = function(task)
        if isinstance(answer, Generator):
            answer = yield from answer
        return answer
    finally:
        _give_back()


def _give_back() -> None:
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    """glibc's malloc_trim, which keeps freed memory otherwise; None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):  # another C library
        return None


_slots: Any = None  # in a worker: where it writes how far it is


def _begin(slots: Any) -> None:
    """Prepare a worker: the terminal's Ctrl-C is the parent's affair, and so is the worker's life."""
    global _slots
    _slots = slots
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The pool's manager ends workers with SIGTERM; whatever handler was inherited must not answer it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a killed parent cannot ask anyone to stop
