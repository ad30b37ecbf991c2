"""What is counted of predictions: confusions, calibration, and risk against coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fervid.types import Array, Ints, check

Doubles = npt.NDArray[np.float64]

NO_FACE = -1  # as a prediction: there was nothing to read
BINS = 15  # of confidence, in every calibration error


def ratio(part: Array | int, whole: Array | int) -> Doubles:
    """A share; nan of nothing."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def mean(values: Array) -> float:
    """The mean of the values that are defined; nan of none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often each label was taken for which; confusions add."""

    labels: tuple[str, ...]
    counts: Ints  # (C, C + 1) truth x prediction; the last column: no face, so wrong

    def __post_init__(self) -> None:
        check("counts", self.counts, (len(self.labels), len(self.labels) + 1), np.int64)

    @classmethod
    def of(cls, labels: tuple[str, ...], truth: Ints, predicted: Ints) -> Confusion:
        """Count pairs of indices into `labels`; a prediction may be NO_FACE."""
        counts = np.zeros((len(labels), len(labels) + 1), np.int64)
        np.add.at(counts, (truth, predicted), 1)  # NO_FACE, -1, is the last column
        return cls(labels, counts)

    def __add__(self, other: Confusion) -> Confusion:
        if self.labels != other.labels:
            raise ValueError("confusions of different labels cannot be added")
        return Confusion(self.labels, self.counts + other.counts)

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def support(self) -> Ints:  # (C,)
        return self.counts.sum(axis=1)

    @property
    def no_face(self) -> Ints:  # (C,)
        return self.counts[:, NO_FACE]

    @property
    def right(self) -> Ints:  # (C,)
        return self.counts.diagonal()

    @property
    def accuracy(self) -> float:
        """The share that is right (WAR); nan of nothing."""
        return float(ratio(self.right.sum(), self.counts.sum()))

    @property
    def recall(self) -> Doubles:  # (C,)
        """Right of those that are so labelled; nan where none is."""
        return ratio(self.right, self.support)

    @property
    def precision(self) -> Doubles:  # (C,)
        """Right of those so predicted; nan where none is."""
        return ratio(self.right, self.counts[:, :NO_FACE].sum(axis=0))

    @property
    def f1(self) -> Doubles:  # (C,)
        return ratio(2 * self.right, self.support + self.counts[:, :NO_FACE].sum(axis=0))

    @property
    def mean_recall(self) -> float:
        """The mean over the labels that occur (UAR)."""
        return mean(self.recall)

    @property
    def macro_f1(self) -> float:
        """The mean over the labels that occur."""
        return mean(self.f1[self.support > 0])


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence against how often it is right, in bins of confidence; calibrations add."""

    count: Ints  # (B,)
    confidence: Doubles  # (B,) sums
    right: Ints  # (B,)

    @classmethod
    def of(cls, confidence: Array, right: Array, bins: int = BINS) -> Calibration:
        """Bins of equal width, each with its upper edge: (0, 1/B], (1/B, 2/B] ..."""
        place = np.clip(np.ceil(confidence.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)
        return cls._binned(place, confidence, right, bins)

    @classmethod
    def adaptive(cls, confidence: Array, right: Array, bins: int = BINS) -> Calibration:
        """Bins of equal mass, as far as equal confidences, which stay together, let them be."""
        before = np.searchsorted(np.sort(confidence), confidence)
        return cls._binned(before * bins // max(1, len(confidence)), confidence, right, bins)

    @classmethod
    def _binned(cls, place: Ints, confidence: Array, right: Array, bins: int) -> Calibration:
        return cls(
            np.bincount(place, minlength=bins),
            np.bincount(place, confidence.astype(np.float64), minlength=bins).astype(np.float64),
            np.bincount(place[right.astype(bool)], minlength=bins),
        )

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(
            self.count + other.count, self.confidence + other.confidence, self.right + other.right
        )

    @property
    def error(self) -> float:
        """The expected calibration error; nan of nothing."""
        return float(ratio(np.abs(self.right - self.confidence).sum(), self.count.sum()))


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The share of errors among the most confident, for every number of them."""

    risk: Doubles  # (N,) among the 1, 2 ... N most confident

    @property
    def coverage(self) -> Doubles:  # (N,)
        return np.arange(1, len(self.risk) + 1) / max(1, len(self.risk))

    @property
    def area(self) -> float:
        """Under the curve (AURC): the mean risk over all coverages."""
        return mean(self.risk)

    def accuracy(self, coverage: float) -> float:
        """Among the most confident that make up `coverage` of all."""
        if len(self.risk) == 0:
            return float("nan")
        return float(1 - self.risk[max(0, int(np.ceil(coverage * len(self.risk) - 1e-9)) - 1)])


def ece(confidence: Array, right: Array, bins: int = BINS) -> float:
    """The expected calibration error of confidences (N,), over bins of equal width."""
    return Calibration.of(confidence, right, bins).error


def adaptive_ece(confidence: Array, right: Array, bins: int = BINS) -> float:
    """The expected calibration error of confidences (N,), over bins of equal mass."""
    return Calibration.adaptive(confidence, right, bins).error


def risk_coverage(confidence: Array, right: Array) -> RiskCoverage:
    """How errors grow as less confident answers are let in.

    Among equal confidences no order is better than another: they share their errors evenly.
    """
    values, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    errors = np.bincount(group, ~right.astype(bool), minlength=len(values))
    return RiskCoverage(np.cumsum(np.repeat(errors / size, size)) / np.arange(1, len(confidence) + 1))
