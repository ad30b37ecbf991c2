"""The planned times of a video: from the times of its packets, or from a count of its frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fervid.times import FASTEST, MOST_SECONDS, MOST_TICKS
from fervid.types import Ints

MISSING = int(np.iinfo(np.int64).min)  # a time that a packet does not have
REORDER_LIMIT = 32  # most positions from decoding to display order; H.264 and HEVC: 16 frames or 32 fields
SECOND_FIELDS = 0.4  # in interlaced video, if more packets than this lack a pts, they are second fields
MOST_RATE = 10**6  # frames a second that a container may declare; the least is one in so many seconds
RATE_TOLERANCE = Fraction(1, 100)  # the most that the mean rate may differ from the declared one, relative

PACKET = np.dtype(
    [
        ("pts", np.int64),
        ("dts", np.int64),
        ("length", np.int64),  # ticks
        ("offset", np.int64),  # in the file, 0 if not known
        ("size", np.int64),  # bytes
        ("is_key", np.bool_),
        ("is_hidden", np.bool_),  # decoded but not shown, for instance by an edit list
    ]
)
Packets = npt.NDArray[np.void]  # (N,) of PACKET, in the order of decoding


@dataclass(frozen=True, eq=False)
class Times:
    """The planned times of a video."""

    time_base: Fraction
    pts: Ints  # (N,) ascending
    keyframes: Ints  # (K,) ascending
    length: int  # ticks that the last frame lasts
    is_counted: bool  # frames are counted at a mean rate: their own times are missing or wrong
    is_exact: bool  # each frame has its own time, so that a seek can find it
    is_reordered: bool  # packets come in another order than frames, as with B-frames

    def from_first(self, first: int | None) -> Times:
        """Return the times from the first decoded frame on: a broadcast may have packets before it."""
        pts = self.pts if first is None or self.is_counted else self.pts[self.pts >= first]
        pts = pts if len(pts) else self.pts
        # Decoding can always begin at the first frame, even if an edit hides the keyframe before it.
        keyframes = np.union1d(pts[:1], self.keyframes[self.keyframes >= pts[0]])
        return replace(self, pts=pts, keyframes=keyframes)


def usual_rate(*declared: Fraction | None) -> Fraction | None:
    """Return the first of several declared rates that is not damaged."""
    return next((rate for rate in declared if rate and Fraction(1, MOST_RATE) <= rate <= MOST_RATE), None)


def read(packets: Packets, time_base: Fraction, rate: Fraction, is_interlaced: bool) -> Times:
    """Return the times of these packets; `rate` is frames per second as declared."""
    goes_back = _goes_back(packets[packets["dts"] != MISSING])
    packets = packets[~packets["is_hidden"]]
    missing = packets["pts"] == MISSING
    in_pairs = is_interlaced and not (missing[1:] & missing[:-1]).any()
    if in_pairs and missing.mean() > SECOND_FIELDS:  # a frame has the time of its first field
        packets, missing = packets[~missing], missing[~missing]
    known = packets["pts"][~missing]
    step = typical_step(known, max(1, round(1 / (rate * time_base))))
    times = _filled(packets, missing, step)
    order = np.argsort(times, kind="stable")
    pts = times[order]
    length = int(packets["length"][order[-1]])
    planned = Times(
        time_base=time_base,
        pts=pts,
        keyframes=np.unique(times[packets["is_key"]]),
        length=length if 0 < length < MOST_TICKS else step,
        is_counted=False,
        is_exact=not missing.any() and bool((np.diff(pts) > 0).all()),
        is_reordered=bool((np.diff(known) < 0).any()),
    )
    is_wild = np.abs(order - np.arange(len(order))).max() > REORDER_LIMIT
    is_wild |= _is_damaged(planned)
    return counted(planned, rate) if goes_back or is_wild or missing.mean() > 0.5 else planned


def _is_damaged(times: Times) -> bool:
    """Return whether times are further from each other, or from zero, than a timeline can express."""
    start, end = int(times.pts[0]), int(times.pts[-1]) + times.length
    most = min(MOST_TICKS, int(MOST_SECONDS / times.time_base))
    return max(-start, end, end - start) > most or times.time_base * MOST_SECONDS < 1


def _goes_back(packets: Packets) -> bool:
    """Return whether decoding times fall, as in joined or damaged files, except at an edit."""
    is_hidden = packets["is_hidden"]
    return bool(((np.diff(packets["dts"]) < 0) & ~is_hidden[1:] & ~is_hidden[:-1]).any())


def counted(times: Times, rate: Fraction) -> Times:
    """Return times that count the same frames at the mean rate, for one serial pass."""
    # A time base other than the stream's marks the times as counted for `reading`.
    step = next(step for step in (1000, 1001) if 1 / (rate * step) != times.time_base)
    return Times(
        time_base=1 / (rate * step),
        pts=np.arange(len(times.pts), dtype=np.int64) * step,
        keyframes=np.zeros(1, np.int64),
        length=step,
        is_counted=True,
        is_exact=False,
        is_reordered=False,
    )


def _filled(packets: Packets, missing: npt.NDArray[np.bool_], step: int) -> Ints:
    """Return a time for every packet: its pts, else its dts, else one step after the packet before."""
    times = np.where(missing, packets["dts"], packets["pts"])
    gaps = np.flatnonzero(times == MISSING)
    first = int(np.argmax(times != MISSING))
    for gap in gaps:  # in order, as a gap may follow another
        times[gap] = times[first] - (first - gap) * step if gap < first else times[gap - 1] + step
    return times


def typical_step(pts: Ints, otherwise: int) -> int:
    """Return the median length of a frame in ticks."""
    steps = np.diff(np.sort(pts))
    steps = steps[steps > 0]
    return int(np.median(steps)) if len(steps) else otherwise


def mean_rate(times: Times, declared: Fraction) -> Fraction | None:
    """Return the mean frames per second: as declared if the frames agree; None if there is no usable rate."""
    span = int(times.pts[-1]) - int(times.pts[0])
    if span == 0:
        return None
    measured = Fraction(len(times.pts) - 1, span) / times.time_base
    if abs(measured / declared - 1) < RATE_TOLERANCE:
        return declared
    if measured > FASTEST:
        return None
    return measured.limit_denominator(1001) or None  # zero: the clock jumps by days inside the file
