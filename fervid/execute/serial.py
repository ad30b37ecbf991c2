"""The serial executor, which runs tasks in this process; and the environment of worker processes."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from typing import Any

from fervid.execute.events import Done, Event, Executor, Failed, Function, Progress, failure_of

# Environment variables of a process that runs tasks. Each numeric library uses one thread: processes run in
# parallel, and the order of sums does not change.
ENVIRONMENT = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)

# Within a task, glibc should keep freed memory: in every new block it gets from the system, each 4 KiB cost a
# page fault, which together took a third of the time of the networks. The largest array of the default
# networks has 8 MiB.
LARGE = 16 << 20  # bytes: larger blocks are returned to the system when they are freed
SPARE = 128 << 20  # bytes: no more than this is kept at the end of the heap
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


class _Serial:
    has_workers = False
    is_remote = False
    jobs = 1

    def check(self, function: Function, argument: Any) -> None:
        """Do nothing: no worker is remote."""

    def __call__(
        self, function: Function, tasks: Iterable[Any], deadline: float | None = None
    ) -> Generator[Event]:
        for index, task in enumerate(tasks):
            yield from run(function, index, task)


@contextmanager
def serial() -> Iterator[Executor]:
    """Run tasks in this process, one after the other; deadlines do not apply, as no task can be killed."""
    limit_threads()
    yield _Serial()


def limit_threads() -> None:
    """Make libraries that are imported from now on use one thread, in this process and in its workers."""
    os.environ.update(ENVIRONMENT)


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(function: Function, index: int, task: Any) -> Iterator[Event]:
    """Run one task in this process; yield its progress and its end."""
    end: Event
    with closing(_steps(function, task)) as steps:
        while True:
            try:
                done = next(steps)
            except StopIteration as stop:
                end = Done(index, stop.value)
                break
            except Exception as error:
                end = Failed(index, failure_of(error))
                break
            yield Progress(index, done)
    yield end


def _steps(function: Callable[[Any], Any], task: Any) -> Generator[float, None, Any]:
    """Run a task, then return freed memory to the system: otherwise the peaks of a film's spans add up."""
    _keep_memory()
    try:
        answer = function(task)
        if isinstance(answer, Generator):
            answer = yield from answer
        return answer
    finally:
        trim_memory()


def trim_memory() -> None:
    """Return freed memory to the system, if this is possible."""
    if glibc := _glibc():
        glibc.malloc_trim(0)


@cache
def _keep_memory() -> None:
    """Keep freed memory for later blocks, in this process, until `trim_memory`."""
    if glibc := _glibc():
        glibc.mallopt(M_MMAP_THRESHOLD, LARGE)
        glibc.mallopt(M_TRIM_THRESHOLD, SPARE)


@cache
def _glibc() -> Any:
    """Return the C library, if it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
        return library if library.malloc_trim and library.mallopt else None
    except (OSError, AttributeError):
        return None
