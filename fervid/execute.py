"""Where work runs: here, or in worker processes. Executors have one signature, and results come in order."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from itertools import chain, islice
from typing import Any, Protocol

from fervid.errors import InputError, UsageError

AHEAD = 2  # tasks under way per worker: enough to keep it busy, few enough to bound what waits

# What a worker's libraries shall know from its start. One thread in every numeric library: parallelism is
# processes, and sums keep their order. And glibc shall give large blocks back: by default its threshold grows
# with them, and the heap of a worker with every span.
SURROUNDINGS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
) | {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}


class Executor(Protocol):
    """Runs a function over tasks; yields the results in the tasks' order."""

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
        for task in tasks:
            yield _do(function, task)

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


class _Pool:
    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._workers: ProcessPoolExecutor | None = None

    def _ready(self) -> ProcessPoolExecutor:
        if self._workers is None:
            # Spawn: a fork of a process in which torch has run can hang.
            context = multiprocessing.get_context("spawn")
            self._workers = ProcessPoolExecutor(self._jobs, mp_context=context, initializer=_begin)
        return self._workers

    def __call__(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        source = iter(tasks)
        first = list(islice(source, 2))
        if len(first) == 1 and self._workers is None:
            yield _do(function, first[0])  # a worker would start, import and load for nothing
            return
        source = chain(first, source)
        waiting: deque[tuple[Any, Future[Any]]] = deque()

        def fill() -> None:
            for task in islice(source, max(0, AHEAD * self._jobs - len(waiting))):
                waiting.append((task, self._submit(function, task)))

        fill()
        try:
            while waiting:
                task, future = waiting.popleft()
                try:
                    result = future.result()
                except BrokenProcessPool:
                    result = self._again(function, task)
                    waiting = deque((other, self._submit(function, other)) for other, _ in waiting)
                fill()
                yield result
                _give_back()  # what the caller made of it, and dropped
        finally:
            for _, future in waiting:
                future.cancel()

    def _submit(self, function: Callable[[Any], Any], task: Any) -> Future[Any]:
        try:
            return self._ready().submit(_do, function, task)
        except BrokenProcessPool as failure:  # a worker died just now: told when this result is asked for
            future: Future[Any] = Future()
            future.set_exception(failure)
            return future

    def _again(self, function: Callable[[Any], Any], task: Any) -> Any:
        """A worker died, and took the pool with it: this task once more, alone in a new one."""
        self.stop(wait=False)
        try:
            return self._ready().submit(_do, function, task).result()
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


def _do(function: Callable[[Any], Any], task: Any) -> Any:
    """One task; what it freed goes back to the system, or a long film's spans would add up their peaks."""
    try:
        return function(task)
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


def _begin() -> None:
    """Prepare a worker: the terminal's Ctrl-C is the parent's affair, and so is the worker's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The pool's manager ends workers with SIGTERM; whatever handler was inherited must not answer it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a killed parent cannot ask anyone to stop
