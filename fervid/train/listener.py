"""Callbacks of a training run, in a single argument that stages pass along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The progress of a stage, for a bar."""

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
    """Functions that a run calls while it works; the defaults do nothing."""

    warn: Callable[[str], None] = _ignore  # about something unusual
    note: Callable[[str], None] = _ignore  # about something good to know
    tick: Callable[[Progress], None] = _ignore  # after each step and each epoch
    cutting: Callable[[int, int], None] = _ignore  # how many samples have been cut, and of how many


SILENT = Listener()
