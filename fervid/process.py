"""Settings of a process: when it collects garbage or is interrupted, and how many threads torch uses."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType
from typing import TypeVar

# Between two collections; Python's default is 700 to 2,000. Importing torch makes 160,000 objects that stay.
# By default they are scanned several times during the import, and again at exit: together, this takes half as
# long as the import itself.
NEW_OBJECTS = 10_000
POSTPONED = 0.001  # seconds until a postponed interrupt is tried again

_Called = TypeVar("_Called", bound=Callable[..., object])
_callbacks: set[CodeType] = set()


def collect_less_often() -> None:
    """Collect garbage less often, from now on."""
    gc.set_threshold(NEW_OBJECTS)


def skip_last_collections() -> None:
    """Skip the garbage collections at the end of the process, which frees all memory anyway."""
    gc.freeze()


def callback(function: _Called) -> _Called:
    """Mark a function that C code calls, which discards its exceptions: it is never interrupted."""
    assert isinstance(function, FunctionType)
    _callbacks.add(function.__code__)
    return function


def postpone_signal(number: int, frame: FrameType | None) -> bool:
    """Return whether a signal arrived inside a callback; it is then raised again shortly."""
    while frame is not None:
        if frame.f_code in _callbacks:
            timer = threading.Timer(POSTPONED, signal.raise_signal, [number])
            timer.daemon = True
            timer.start()
            return True
        frame = frame.f_back
    return False


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one torch thread inside the block, and the former number after it.

    fervid uses processes, and scores must not depend on the number of cores.
    """
    import torch  # help must not load it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
