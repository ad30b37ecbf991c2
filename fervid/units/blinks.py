"""Blinks in the intensity of closed lids over time."""

from __future__ import annotations

import numpy as np

from fervid.types import Clock, Floats, Ints

LEAST = 1.5  # intensity above the lids' usual height
LONGEST = 1.0  # seconds at half height; lids that stay down longer do not blink
SPARSEST = 1 / 12  # seconds between frames; blinks are lost between frames that are further apart
AROUND = 1.5  # seconds on each side: the lids' usual height is the median


def can_count(clock: Clock, pts: Ints) -> bool:
    """Return whether the frames are close enough together to show blinks."""
    return len(pts) > 1 and float(np.median(np.diff(pts)) * clock.time_base) <= SPARSEST


def find_blinks(clock: Clock, pts: Ints, lids: Floats) -> Ints:
    """Return the pts (B,) at which the lids of a track are down in a blink, for AU45 (N,) over time."""
    seconds = ((pts - pts[0]) * float(clock.time_base)).astype(np.float64)
    low, high = (
        np.searchsorted(seconds, seconds - AROUND),
        np.searchsorted(seconds, seconds + AROUND, "right"),
    )
    usual = np.array([np.median(lids[a:b]) for a, b in zip(low.tolist(), high.tolist(), strict=True)])
    raised = lids - usual
    apexes: list[int] = []
    down = np.flatnonzero(np.diff(np.concatenate([[False], raised >= LEAST, [False]]).astype(np.int8)))
    for start, stop in down.reshape(-1, 2).tolist():
        apex = start + int(np.argmax(raised[start:stop]))
        half = raised[apex] / 2
        first, last = apex, apex
        while first > 0 and raised[first - 1] >= half:
            first -= 1
        while last + 1 < len(raised) and raised[last + 1] >= half:
            last += 1
        is_new = not apexes or apexes[-1] < first
        if is_new and seconds[last] - seconds[first] <= LONGEST:
            apexes.append(apex)
    return pts[np.array(apexes, np.int64)]
