"""Tasks in this process, one after the other; and the environment of worker processes."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from typing import Any

from fervid.execute.events import Done, Event, Executor, Failed, Function, Reached, failure_of

# Environment variables of a process that runs tasks. Each numeric library uses one thread: processes run in
# parallel, and the order of sums does not change. The malloc threshold is fixed so that glibc returns large
# blocks: by default it grows with their size, and the heap of a worker grows with every span.
ENVIRONMENT = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
) | {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}


class _Serial:
    is_remote = False

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
            yield Reached(index, done)
    yield end


def _steps(function: Callable[[Any], Any], task: Any) -> Generator[float, None, Any]:
    """Run a task, then return freed memory to the system: otherwise the peaks of a film's spans add up."""
    try:
        answer = function(task)
        if isinstance(answer, Generator):
            answer = yield from answer
        return answer
    finally:
        trim_memory()


def trim_memory() -> None:
    """Return freed memory to the system, if this is possible."""
    if trim := _malloc_trim():
        trim(0)


@cache
def _malloc_trim() -> Any:
    """Return glibc's malloc_trim; None with other C libraries."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return None
