"""The callbacks of a run, in one argument that all stages share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The progress of a stage, for a bar."""

    stage: str
    epoch: int
    epochs: int  # 0 in stages without epochs
    done: float  # share of the stage, 0 to 1
    loss: float
    accuracy: float  # nan in stages without labels
    validation: float  # accuracy, or another measure, of the last validation; nan before the first
    measure: str = "accuracy"  # the name of `validation`


def _ignore(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Listener:
    """Functions that a run calls; by default they do nothing."""

    warn: Callable[[str], None] = _ignore  # of problems
    note: Callable[[str], None] = _ignore  # of results
    tick: Callable[[Progress], None] = _ignore  # after each step and each epoch
    crop: Callable[[int, int], None] = _ignore  # samples with cropped faces so far, and of all


SILENT = Listener()
