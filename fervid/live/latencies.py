"""The latencies of all frames, as counts: they take the same memory after a second and after a week."""

from __future__ import annotations

import numpy as np

from fervid.live.events import Latency

STEP = 0.01  # seconds: the width of a bin
LONGEST = 60.0  # seconds: the last bin has all that are longer


class Latencies:
    """Counts of latencies by bins."""

    def __init__(self) -> None:
        self._counts = np.zeros(round(LONGEST / STEP), np.int64)
        self._most = 0.0

    def add(self, seconds: float) -> None:
        """Count a latency."""
        self._counts[min(max(int(seconds / STEP), 0), len(self._counts) - 1)] += 1
        self._most = max(self._most, seconds)

    def summary(self) -> Latency | None:
        """Return the median, the 95th percentile and the maximum; None without a latency."""
        if not self._counts.any():
            return None
        return Latency(self._quantile(0.5), self._quantile(0.95), self._most)

    def _quantile(self, share: float) -> float:
        """Return the upper edge of the bin that has the latency at this share."""
        reached = np.cumsum(self._counts)
        edge = (int(np.searchsorted(reached, share * reached[-1])) + 1) * STEP
        return float(min(edge, self._most))
