"""What executors say: how far a task has come, its result, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from fervid.errors import FervidError, UnexpectedError


@dataclass(frozen=True)
class Reached:
    """How far the task at a place in the order has come, in the task's own unit."""

    place: int
    done: float


@dataclass(frozen=True)
class Done:
    """What the task at a place gave."""

    place: int
    result: Any


@dataclass(frozen=True)
class Failed:
    """Why the task at a place gave nothing."""

    place: int
    error: FervidError


Event = Reached | Done | Failed
Function = Callable[[Any], Any]


class Executor(Protocol):
    """Runs a function over tasks, which may come from a lazy iterable and are taken only a little ahead.

    Each task ends in a `Done` or a `Failed`, in the tasks' order, and a failure stops no other task. A
    function may be a generator of numbers that grow: how far it has come. Then a `Reached` of any task that
    has not ended may stand between, each number as it comes or only now and then; the function returns its
    result. A task that gives no number for `deadline` seconds, or no result where it is no generator, hangs:
    its process is ended and it is done once more, then it fails. A task in one's own process cannot be ended.

    One executor serves one run at a time. A run that is closed before its end stops its tasks.
    """

    # Whether workers may lie on other machines: they share no cache, so that results must travel.
    is_remote: bool

    def check(self, function: Function, argument: Any) -> None:
        """Call `function(argument)` on each worker elsewhere; refuse those where it raises."""

    def __call__(
        self, function: Function, tasks: Iterable[Any], deadline: float | None = None
    ) -> Generator[Event]: ...


def results(events: Generator[Event]) -> Generator[Any]:
    """The results alone; the first failure is raised, and ends the run."""
    with closing(events):
        for event in events:
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Done):
                yield event.result


def failure_of(error: Exception) -> FervidError:
    """An error as one that is told in a line; what it was made from stays its cause."""
    if isinstance(error, FervidError):
        return error
    if isinstance(error, MemoryError):
        told = FervidError("there is not enough memory; try fewer --jobs, or --sample-fps")
    elif isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        told = FervidError(f"{place}{error.strerror or error}")
    else:
        reason = f"unexpected {type(error).__name__}: {error}".rstrip(": ")
        told = UnexpectedError(f"{reason}; please report it with what the same command says with -vv")
    told.__cause__ = error
    return told
