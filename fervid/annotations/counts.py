"""Agreement between a timeline and annotations, as counts of frames."""

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

NONE = -1  # a frame without a label

Labels = npt.NDArray[np.int8]  # (N,) each frame's index of a label, or NONE

Stretch = tuple[Fraction, Fraction, int]  # seconds from the first frame [start, end), index of a label


@dataclass(frozen=True)
class Ruler:
    """The compared frames, at the video's mean rate; a frame's time is that of its middle."""

    start: Fraction  # seconds from the first frame
    step: Fraction  # seconds
    count: int

    def paint(self, stretches: Iterable[Stretch]) -> Labels:
        """Return each frame's label; where stretches overlap, the last in the list counts."""
        frames = np.full(self.count, NONE, np.int8)
        for start, end, label in stretches:
            low, high = (math.ceil((time - self.start) / self.step - Fraction(1, 2)) for time in (start, end))
            frames[max(0, low) : max(0, high)] = label
        return frames


@dataclass(frozen=True, eq=False)
class Agreement:
    """A confusion matrix of an annotator and a timeline (or another annotator), which can be added."""

    labels: tuple[str, ...]
    counts: Ints  # (C + 1, C + 1) annotator x timeline; the last is NONE

    def __post_init__(self) -> None:
        check("counts", self.counts, (len(self.labels) + 1, len(self.labels) + 1), np.int64)

    @classmethod
    def of(cls, labels: tuple[str, ...], annotated: Labels, seen: Labels) -> Agreement:
        """Count the frames of each pair of labels."""
        size = len(labels) + 1
        pairs = (annotated.astype(np.int64) % size) * size + seen.astype(np.int64) % size  # NONE is the last
        return cls(labels, np.bincount(pairs, minlength=size * size).astype(np.int64).reshape(size, size))

    def __add__(self, other: Agreement) -> Agreement:
        if self.labels != other.labels:
            raise ValueError("agreements over different labels cannot be added")
        return Agreement(self.labels, self.counts + other.counts)

    @property
    def confusion(self) -> Confusion:
        """The confusion over frames that both labelled."""
        counts = self.counts[:NONE].copy()
        counts[:, NO_FACE] = 0
        return Confusion(self.labels, counts)

    @property
    def kappa(self) -> float:
        """Cohen's kappa over frames that both labelled; nan if chance alone would agree everywhere."""
        counts = self.counts[:NONE, :NONE]
        total = int(counts.sum())
        chance = int((counts.sum(axis=0) * counts.sum(axis=1)).sum())  # of total ** 2
        if total * total == chance:
            return float("nan")
        return (total * int(counts.trace()) - chance) / (total * total - chance)

    @property
    def matched(self) -> float:
        """The share of annotated frames with the same label in the timeline."""
        annotated = int(self.counts[:NONE].sum())
        return int(self.counts[:NONE, :NONE].trace()) / annotated if annotated else float("nan")

    @property
    def coverage(self) -> dict[str, int]:
        """The numbers of frames labelled by both, by one, or by neither."""
        return {
            "both": int(self.counts[:NONE, :NONE].sum()),
            "annotator_only": int(self.counts[:NONE, NONE].sum()),
            "timeline_only": int(self.counts[NONE, :NONE].sum()),
            "neither": int(self.counts[NONE, NONE]),
        }

    def report(self, step: Fraction) -> dict[str, Any]:
        """Return all figures for JSON, undefined ones as None. `step` is the seconds of a frame."""
        confusion = self.confusion
        frames = max(1, int(self.counts.sum()))
        return {
            "frames": confusion.n,
            "accuracy": _figure(confusion.accuracy),
            "kappa": _figure(self.kappa),
            "macro_f1": _figure(confusion.macro_f1),
            "mean_recall": _figure(confusion.mean_recall),
            "found": _figure(self.matched),
            "per_emotion": {
                label: {
                    "frames": int(confusion.support[index]),
                    "precision": _figure(confusion.precision[index]),
                    "recall": _figure(confusion.recall[index]),
                    "f1": _figure(confusion.f1[index]),
                }
                for index, label in enumerate(self.labels)
            },
            "confusion": confusion.counts[:, :NO_FACE].tolist(),
            "coverage": {
                part: {"seconds": round(float(count * step), 3), "share": round(count / frames, 6)}
                for part, count in self.coverage.items()
            },
        }


def _figure(value: float | np.floating[Any]) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)
