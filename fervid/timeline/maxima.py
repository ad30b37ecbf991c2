"""Maxima of a sampled curve: smoothing, prominence and width.

The results equal those of SciPy's `gaussian_filter1d`, `find_peaks` and `peak_widths` bit for bit. Importing
these takes as long as analyzing several seconds of video.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

REACH = 4.0  # standard deviations at which the Gaussian ends

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Maximum:
    """A maximum of a curve, in samples from its start."""

    top: int  # the middle of a plateau, rounded down
    prominence: float  # the height above the higher of the two lowest points between it and higher ones
    left: float  # where the curve has fallen by a share of the prominence
    right: float


def smooth(values: Doubles, sigma: float) -> Doubles:
    """Return a curve convolved with a Gaussian of `sigma` samples; the end values hold outside."""
    radius = int(REACH * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 / (sigma * sigma) * offsets**2)
    weights /= weights.sum()
    padded, count = np.pad(values, radius, mode="edge"), len(values)
    total = values * weights[radius]
    for far in range(radius, 0, -1):  # the order in which SciPy adds
        before, after = padded[radius - far :][:count], padded[radius + far :][:count]
        total += (before + after) * weights[radius + far]
    return total


def find_maxima(
    values: Doubles, height: float, prominence: float, distance: float, fall: float
) -> Iterator[Maximum]:
    """Yield the maxima of at least a height and a prominence, from left to right.

    Of two that are nearer than `distance` samples, the lower is dropped before prominences are compared.
    `left` and `right` are where the curve has fallen by `fall`, a share of the prominence below 1.
    """
    tops = _tops(values)
    for top in _apart(values, tops[values[tops] >= height], distance):
        higher = np.flatnonzero(values > values[top])
        split = int(np.searchsorted(higher, top))
        low = 0 if split == 0 else int(higher[split - 1]) + 1
        high = len(values) if split == len(higher) else int(higher[split])
        rise = values[top] - max(values[low : top + 1].min(), values[top:high].min())
        if rise >= prominence:
            level = values[top] - rise * fall
            yield Maximum(top, float(rise), *_crossings(values, top, level))


def _tops(values: Doubles) -> npt.NDArray[np.intp]:
    """Return the maxima, in the middle of their plateaus; the first and the last value are none."""
    steps = np.diff(values)
    changes = np.flatnonzero(steps)
    is_rising = steps[changes] > 0
    turns = np.flatnonzero(is_rising[:-1] & ~is_rising[1:])
    return (changes[turns] + 1 + changes[turns + 1]) // 2


def _apart(values: Doubles, tops: npt.NDArray[np.intp], distance: float) -> list[int]:
    """Return the maxima without those near a higher one; of equals, the later counts as higher."""
    is_kept = np.ones(len(tops), bool)
    for index in np.argsort(values[tops], kind="stable")[::-1]:
        if is_kept[index]:
            is_kept &= np.abs(tops - tops[index]) >= distance
            is_kept[index] = True
    kept: list[int] = tops[is_kept].tolist()
    return kept


def _crossings(values: Doubles, top: int, level: float) -> tuple[float, float]:
    """Return where the curve falls to a level left and right of a maximum, interpolated between samples."""
    low = int(np.flatnonzero(values[:top] <= level)[-1])
    high = top + 1 + int(np.flatnonzero(values[top + 1 :] <= level)[0])
    left = low + (level - values[low]) / (values[low + 1] - values[low])
    right = high - (level - values[high]) / (values[high - 1] - values[high])
    return float(left), float(right)
