"""Events of an executor: the progress of a task, its result, or its error."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from fervid.errors import FervidError, UnexpectedError


@dataclass(frozen=True)
class Progress:
    """The progress of a task, in the task's own unit."""

    index: int  # of the task in the order of tasks
    done: float


@dataclass(frozen=True)
class Done:
    """The result of a task."""

    index: int
    result: Any


@dataclass(frozen=True)
class Failed:
    """The error of a task."""

    index: int
    error: FervidError


Event = Progress | Done | Failed
Function = Callable[[Any], Any]


class Executor(Protocol):
    """Runs a function over tasks. The iterable of tasks may be lazy: it is read only a few tasks ahead.

    Each task ends in a `Done` or a `Failed`, in the order of the tasks, and a failure stops no other task. A
    function may be a generator that yields its progress as increasing numbers and returns its result. Then
    `Progress` events of unfinished tasks may come between; numbers may be skipped. A task that yields no
    number (or, if it is not a generator, returns no result) for `deadline` seconds hangs: its process is
    killed and the task runs once more, then it fails. A task in this process cannot be killed.

    An executor does one run at a time. Closing a run before its end stops its tasks.
    """

    # Whether tasks run in other processes; a single one may run in this.
    has_workers: bool
    # Whether workers may be on other machines. They share no cache, so results are sent back.
    is_remote: bool
    jobs: int  # the most tasks at once; 0: not known, as workers come and go

    def check(self, function: Function, argument: Any) -> None:
        """Call `function(argument)` on each remote worker; raise UsageError if any call raises."""

    def __call__(
        self, function: Function, tasks: Iterable[Any], deadline: float | None = None
    ) -> Generator[Event]: ...


def results(events: Generator[Event]) -> Generator[Any]:
    """Yield only the results; raise the first failure, which ends the run."""
    with closing(events):
        for event in events:
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Done):
                yield event.result


def failure_of(error: Exception) -> FervidError:
    """Return an error as a FervidError with a one-line message; the original error is its cause."""
    if isinstance(error, FervidError):
        return error
    if isinstance(error, MemoryError):
        failure = FervidError("there is not enough memory; try fewer --jobs, or --sample-fps")
    elif isinstance(error, OSError):
        path = f"{error.filename}: " if error.filename else ""
        failure = FervidError(f"{path}{error.strerror or error}")
    else:
        reason = f"unexpected {type(error).__name__}: {error}".rstrip(": ")
        failure = UnexpectedError(f"{reason}; please report it with the output of the same command with -vv")
    failure.__cause__ = error
    return failure
