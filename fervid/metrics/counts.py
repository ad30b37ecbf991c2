"""Counts of predictions: confusion, calibration, and risk against coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fervid.types import Array, Ints, check

Doubles = npt.NDArray[np.float64]

NO_FACE = -1  # as a prediction: no face to read
BINS = 15  # of confidence, in every calibration error


def ratio(part: Array | int, whole: Array | int) -> Doubles:
    """Return part / whole; nan if whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def mean(values: Array) -> float:
    """Return the mean of the values that are not nan; nan if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


@dataclass(frozen=True, eq=False)
class Confusion:
    """A confusion matrix: counts by label and prediction. Confusions add."""

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
        """The share of right predictions (WAR); nan without samples."""
        return float(ratio(self.right.sum(), self.counts.sum()))

    @property
    def recall(self) -> Doubles:  # (C,)
        """The share of right predictions among samples of each label; nan without samples."""
        return ratio(self.right, self.support)

    @property
    def precision(self) -> Doubles:  # (C,)
        """The share of right predictions among predictions of each label; nan without predictions."""
        return ratio(self.right, self.counts[:, :NO_FACE].sum(axis=0))

    @property
    def f1(self) -> Doubles:  # (C,)
        return ratio(2 * self.right, self.support + self.counts[:, :NO_FACE].sum(axis=0))

    @property
    def mean_recall(self) -> float:
        """The mean recall over the labels that occur (UAR)."""
        return mean(self.recall)

    @property
    def macro_f1(self) -> float:
        """The mean F1 over the labels that occur."""
        return mean(self.f1[self.support > 0])


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence against accuracy, in bins of confidence. Calibrations add."""

    count: Ints  # (B,)
    confidence: Doubles  # (B,) sums
    right: Ints  # (B,)

    @classmethod
    def of(cls, confidence: Array, right: Array, bins: int = BINS) -> Calibration:
        """Count in bins of equal width, each with its upper edge: (0, 1/B], (1/B, 2/B] ..."""
        index = np.clip(np.ceil(confidence.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)
        return cls._count(index, confidence, right, bins)

    @classmethod
    def adaptive(cls, confidence: Array, right: Array, bins: int = BINS) -> Calibration:
        """Count in bins of equal size, as far as possible with equal confidences in one bin."""
        before = np.searchsorted(np.sort(confidence), confidence)
        return cls._count(before * bins // max(1, len(confidence)), confidence, right, bins)

    @classmethod
    def _count(cls, index: Ints, confidence: Array, right: Array, bins: int) -> Calibration:
        return cls(
            np.bincount(index, minlength=bins),
            np.bincount(index, confidence.astype(np.float64), minlength=bins).astype(np.float64),
            np.bincount(index[right.astype(bool)], minlength=bins),
        )

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(
            self.count + other.count, self.confidence + other.confidence, self.right + other.right
        )

    @property
    def error(self) -> float:
        """The expected calibration error; nan without samples."""
        return float(ratio(np.abs(self.right - self.confidence).sum(), self.count.sum()))


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The share of errors among the n most confident predictions, for every n."""

    risk: Doubles  # (N,) among the 1, 2 ... N most confident

    @property
    def coverage(self) -> Doubles:  # (N,)
        return np.arange(1, len(self.risk) + 1) / max(1, len(self.risk))

    @property
    def area(self) -> float:
        """The area under the curve (AURC): the mean risk over all coverages."""
        return mean(self.risk)

    def accuracy(self, coverage: float) -> float:
        """Return the accuracy of the most confident predictions that are `coverage` of all."""
        if len(self.risk) == 0:
            return float("nan")
        return float(1 - self.risk[max(0, int(np.ceil(coverage * len(self.risk) - 1e-9)) - 1)])


def ece(confidence: Array, right: Array, bins: int = BINS) -> float:
    """Return the expected calibration error of confidences (N,), over bins of equal width."""
    return Calibration.of(confidence, right, bins).error


def adaptive_ece(confidence: Array, right: Array, bins: int = BINS) -> float:
    """Return the expected calibration error of confidences (N,), over bins of equal size."""
    return Calibration.adaptive(confidence, right, bins).error


def risk_coverage(confidence: Array, right: Array) -> RiskCoverage:
    """Return the risk as less confident predictions are added.

    Equal confidences have no order: their errors are spread evenly over them.
    """
    values, group, size = np.unique(-confidence, return_inverse=True, return_counts=True)
    errors = np.bincount(group, ~right.astype(bool), minlength=len(values))
    return RiskCoverage(np.cumsum(np.repeat(errors / size, size)) / np.arange(1, len(confidence) + 1))
