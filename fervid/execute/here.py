"""Tasks in this process, one after the other; and what a process needs that runs them."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from typing import Any

from fervid.execute.events import Done, Event, Executor, Failed, Function, Reached, failure_of

# What a worker's libraries shall know from its start. One thread in every numeric library: parallelism is
# processes, and sums keep their order. And glibc shall give large blocks back: by default its threshold grows
# with them, and the heap of a worker with every span.
SURROUNDINGS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
) | {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}


class _Serial:
    is_remote = False

    def check(self, function: Function, argument: Any) -> None:
        """There is no worker elsewhere."""

    def __call__(
        self, function: Function, tasks: Iterable[Any], deadline: float | None = None
    ) -> Generator[Event]:
        for place, task in enumerate(tasks):
            yield from run(function, place, task)


@contextmanager
def serial() -> Iterator[Executor]:
    """Everything here, one task after the other; nothing can be ended, so that no deadline is watched."""
    os.environ.update(SURROUNDINGS)
    yield _Serial()


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(function: Function, place: int, task: Any) -> Iterator[Event]:
    """One task in this process: how far it comes, and how it ends."""
    end: Event
    with closing(_steps(function, task)) as steps:
        while True:
            try:
                done = next(steps)
            except StopIteration as stop:
                end = Done(place, stop.value)
                break
            except Exception as error:
                end = Failed(place, failure_of(error))
                break
            yield Reached(place, done)
    yield end


def _steps(function: Callable[[Any], Any], task: Any) -> Generator[float, None, Any]:
    """What a task yields and returns; then what it freed goes back, or the peaks of a film's spans add up."""
    try:
        answer = function(task)
        if isinstance(answer, Generator):
            answer = yield from answer
        return answer
    finally:
        give_back()


def give_back() -> None:
    """Return freed memory to the system."""
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
