"""Who hears of a run while it works: in one argument, so that every stage can pass it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What a bar shows of a stage."""

    stage: str
    epoch: int
    epochs: int  # 0 where nothing is learnt by epochs
    done: float  # share of the stage
    loss: float
    accuracy: float
    validation: float  # accuracy of the last validation; nan before the first


def _ignore(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Listener:
    """What is called while a run works; by default nothing is."""

    warn: Callable[[str], None] = _ignore  # what is strange
    note: Callable[[str], None] = _ignore  # what is merely good to know
    tick: Callable[[Progress], None] = _ignore  # after each step and each epoch
    cutting: Callable[[int, int], None] = _ignore  # how many samples have been looked at, and of how many


SILENT = Listener()
