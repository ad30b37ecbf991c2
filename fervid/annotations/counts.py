"""How far a timeline agrees with annotations, frame by frame, in counts that add."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from fervid.metrics.counts import NO_FACE, Confusion
from fervid.types import Ints, check

NONE = -1  # of a frame: nothing was said of it

Said = npt.NDArray[np.int8]  # (N,) what is said of each frame: an index of a label, or NONE

Stretch = tuple[Fraction, Fraction, int]  # seconds from the first frame [start, end), index of a label


@dataclass(frozen=True)
class Ruler:
    """The frames that are compared, at the video's mean rate; each stands for the moment in its middle."""

    start: Fraction  # seconds from the first frame
    step: Fraction  # seconds
    count: int

    def paint(self, stretches: Iterable[Stretch]) -> Said:
        """What is said of each frame; of stretches that overlap, the later one in the list."""
        frames = np.full(self.count, NONE, np.int8)
        for start, end, label in stretches:
            low, high = (math.ceil((time - self.start) / self.step - Fraction(1, 2)) for time in (start, end))
            frames[max(0, low) : max(0, high)] = label
        return frames


@dataclass(frozen=True, eq=False)
class Agreement:
    """How often two said what of the same frames; agreements add."""

    labels: tuple[str, ...]
    counts: Ints  # (C + 1, C + 1) the annotator x the timeline; the last of each: nothing

    def __post_init__(self) -> None:
        check("counts", self.counts, (len(self.labels) + 1, len(self.labels) + 1), np.int64)

    @classmethod
    def of(cls, labels: tuple[str, ...], annotated: Said, seen: Said) -> Agreement:
        """Count frames."""
        size = len(labels) + 1
        pairs = (annotated.astype(np.int64) % size) * size + seen.astype(np.int64) % size  # NONE is the last
        return cls(labels, np.bincount(pairs, minlength=size * size).astype(np.int64).reshape(size, size))

    def __add__(self, other: Agreement) -> Agreement:
        if self.labels != other.labels:
            raise ValueError("agreements over different labels cannot be added")
        return Agreement(self.labels, self.counts + other.counts)

    @property
    def confusion(self) -> Confusion:
        """Of the frames of which both say something."""
        counts = self.counts[:NONE].copy()
        counts[:, NO_FACE] = 0
        return Confusion(self.labels, counts)

    @property
    def kappa(self) -> float:
        """Cohen's kappa where both say something; nan where chance alone would agree everywhere."""
        counts = self.counts[:NONE, :NONE]
        total = int(counts.sum())
        chance = int((counts.sum(axis=0) * counts.sum(axis=1)).sum())  # of total ** 2
        if total * total == chance:
            return float("nan")
        return (total * int(counts.trace()) - chance) / (total * total - chance)

    @property
    def found(self) -> float:
        """The share of annotated frames of which the timeline says the same; nothing is not the same."""
        annotated = int(self.counts[:NONE].sum())
        return int(self.counts[:NONE, :NONE].trace()) / annotated if annotated else float("nan")

    @property
    def coverage(self) -> dict[str, int]:
        """Frames of which both, one, or neither say something."""
        silent = int(self.counts[NONE, NONE])
        return {
            "both": int(self.counts[:NONE, :NONE].sum()),
            "annotator_only": int(self.counts[:NONE, NONE].sum()),
            "timeline_only": int(self.counts[NONE, :NONE].sum()),
            "neither": silent,
        }

    def report(self, step: Fraction) -> dict[str, Any]:
        """Every figure, for JSON; undefined ones are None. `step` is a frame in seconds."""
        confusion = self.confusion
        frames = max(1, int(self.counts.sum()))
        return {
            "frames": confusion.n,
            "accuracy": _figure(confusion.accuracy),
            "kappa": _figure(self.kappa),
            "macro_f1": _figure(confusion.macro_f1),
            "mean_recall": _figure(confusion.mean_recall),
            "found": _figure(self.found),
            "per_emotion": {
                label: {
                    "frames": int(confusion.support[place]),
                    "precision": _figure(confusion.precision[place]),
                    "recall": _figure(confusion.recall[place]),
                    "f1": _figure(confusion.f1[place]),
                }
                for place, label in enumerate(self.labels)
            },
            "confusion": confusion.counts[:, :NO_FACE].tolist(),
            "coverage": {
                part: {"seconds": round(float(count * step), 3), "share": round(count / frames, 6)}
                for part, count in self.coverage.items()
            },
        }


def _figure(value: float | np.floating[Any]) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)
