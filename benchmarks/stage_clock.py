"""A clock that charges the processor time of a process to stages: to the functions that each names."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import isgeneratorfunction
from pkgutil import resolve_name
from typing import Any

OTHER = "other"


class Clock:
    """A clock that charges time to the innermost running stage, so that the stages add up to the whole."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._running: list[str] = []
        self._since = 0.0

    def enter(self, stage: str) -> None:
        self._charge()
        self._running.append(stage)

    def leave(self) -> None:
        self._charge()
        self._running.pop()

    def _charge(self) -> None:
        now = time.process_time()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Charge a function's time to a stage; that of a generator while it computes its next value."""

        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls[stage] += 1
            self.enter(stage)
            try:
                return function(*arguments, **options)
            finally:
                self.leave()

        @wraps(function)
        def generate(*arguments: Any, **options: Any) -> Iterator[Any]:
            values = function(*arguments, **options)
            while True:
                try:
                    value = step(values)
                except StopIteration:
                    return
                yield value

        def step(values: Iterator[Any]) -> Any:
            self.calls[stage] += 1
            self.enter(stage)
            try:
                return next(values)
            finally:
                self.leave()

        return generate if isgeneratorfunction(function) else call

    @contextmanager
    def over(self, stages: dict[str, tuple[str, ...]]) -> Iterator[None]:
        """Time these functions inside the block, and charge all other time to OTHER."""
        replaced = []
        for stage, paths in stages.items():
            for path in paths:
                owner, _, name = path.replace(":", ".").rpartition(".")
                home = resolve_name(owner)
                own = getattr(home, name)
                replaced.append((home, name, own))
                setattr(home, name, self.timed(stage, own))
        self.enter(OTHER)
        try:
            yield
        finally:
            self.leave()
            for home, name, own in replaced:
                setattr(home, name, own)


def cost_of_timing(repeats: int = 20_000) -> float:
    """Return the seconds that timing adds to one call."""
    nothing: Callable[[], None] = lambda: None  # noqa: E731
    timed = Clock().timed(OTHER, nothing)
    spent = []
    for function in (nothing, timed):
        began = time.process_time()
        for _ in range(repeats):
            function()
        spent.append(time.process_time() - began)
    return (spent[1] - spent[0]) / repeats
