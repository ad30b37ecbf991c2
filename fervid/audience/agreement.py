"""The agreement of viewers: inter-subject correlation, tested by permutation, and synchrony over time.

Inter-subject correlation (Hasson et al. 2004; Nastase et al. 2019) is the mean correlation of all pairs of
viewers over the film. The test shifts each viewer in a circle by a random time, which keeps the rhythm of
each and removes what they have in common. Missing samples add nothing to a correlation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fervid.types import Array

WINDOW = 8.0  # seconds over which synchrony is measured
LEAST = 0.5  # the share of the window, or of the film, with data that a viewer needs
FLAT = 1e-4  # deviation below which a curve has no shape to correlate


@dataclass(frozen=True, eq=False)
class Shifts:
    """The result of a test by shifts for one curve; `count` shifts of all viewers were tried."""

    correlation: float  # inter-subject
    p: float
    highest: Array  # (count,) the highest mean of the audience in each shift, ascending
    count: int


def unit(values: Array) -> Array:
    """Return each row (V, T) centred and with length 1, and 0 where it is missing; a flat row becomes 0."""
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    count = np.maximum(known.sum(-1, keepdims=True), 1)
    centred = np.where(known, filled - filled.sum(-1, keepdims=True) / count, 0.0)
    length = np.sqrt(np.square(centred).sum(-1, keepdims=True))
    is_flat = length / np.sqrt(count) < FLAT
    result: Array = np.where(is_flat, 0.0, centred / np.where(is_flat, 1.0, length))
    return result


def mean_correlation(units: Array) -> float:
    """Return the mean correlation of all pairs of rows that are not flat; nan without a pair."""
    active = int((units != 0).any(-1).sum())
    if active < 2:
        return float("nan")
    total = units.sum(0)
    return float((total @ total - np.square(units).sum()) / (active * (active - 1)))


def test(values: Array, count: int, generator: np.random.Generator, tick: Callable[[], None]) -> Shifts:
    """Return the inter-subject correlation of a curve (V, T), and its chance by `count` random shifts.

    `p` is the share of shifts with as high a correlation, counting the film's own.
    """
    viewers, length = values.shape
    units, known = unit(values), ~np.isnan(values)
    own = mean_correlation(units)
    filled = np.where(known, values, 0.0)
    # Twice in a row, so that a shifted row is a slice.
    twice = np.concatenate([np.stack([units, filled, known]).transpose(1, 0, 2)] * 2, axis=2)  # (V, 3, 2 T)
    active, squares = int((units != 0).any(-1).sum()), float(np.square(units).sum())
    highest, reached = np.empty(count), 0
    for index in range(count):
        total = np.zeros((3, length))
        shifts: Array = np.asarray(generator.integers(length, size=viewers))
        for row, shift in zip(twice, shifts.tolist(), strict=True):
            total += row[:, shift : shift + length]
        highest[index] = mean_of(total[1], total[2], viewers).max(initial=0.0)
        if active > 1:
            reached += (total[0] @ total[0] - squares) / (active * (active - 1)) >= own
        tick()
    p = float("nan") if np.isnan(own) else (1 + reached) / (1 + count)
    return Shifts(own, float(p), np.sort(highest), count)


def mean_of(total: Array, known: Array, viewers: int) -> Array:
    """Return the mean of the viewers with data, 0 where less than half of them have any."""
    enough = known >= LEAST * viewers
    mean: Array = np.where(enough, total / np.maximum(known, 1), 0.0)
    return mean


def with_others(values: Array) -> Array:
    """Return the correlation (V,) of each viewer (V, T) with the mean of all others, where both have data."""
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    total, count = filled.sum(0), known.sum(0)
    result = np.full(len(values), np.nan)
    for row, (own, mine) in enumerate(zip(filled, known, strict=True)):
        others = count - mine
        both = mine & (others > 0)
        if both.sum() < 3:
            continue
        rest = (total - own)[both] / others[both]
        if min(own[both].std(), rest.std()) >= FLAT:
            result[row] = np.corrcoef(own[both], rest)[0, 1]
    return result


def synchrony(values: Array, step: float) -> Array:
    """Return the mean correlation of pairs (T,) within a window around each sample; nan without a pair.

    A viewer without data for half of a window does not count in it.
    """
    _, length = values.shape
    half = max(1, round(WINDOW / step / 2))
    result = np.full(length, np.nan)
    for at in range(length):
        window = values[:, max(0, at - half) : at + half]
        enough = (~np.isnan(window)).sum(1) >= LEAST * 2 * half
        if enough.sum() >= 2:
            result[at] = mean_correlation(unit(window[enough]))
    return result


def corrected(values: dict[str, float]) -> dict[str, float]:
    """Return the chances of several tests, corrected by Holm's method."""
    known = sorted((p, name) for name, p in values.items() if not np.isnan(p))
    result, reached = dict(values), 0.0
    for rank, (p, name) in enumerate(known):
        reached = max(reached, min(1.0, p * (len(known) - rank)))
        result[name] = reached
    return result
