"""The moments at which an emotion stands out, and which of them to look at first."""

from __future__ import annotations

import math
from bisect import bisect, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fervid.errors import UsageError
from fervid.labels import NEUTRAL
from fervid.types import READABLE, Curve, Floats, Peak, Source

STEP = 0.05  # seconds between the points on which a curve is searched, at most
SIGMA = 0.2  # seconds of the Gaussian that smooths a curve before the search
HEIGHT = 0.25  # a peak's least smoothed score
PROMINENCE = 0.1  # how far it rises at least above what lies between it and a higher one
DISTANCE = 0.5  # seconds between two peaks of one emotion, at least
FOOT = 0.8  # onset and offset lie where the curve has fallen by this share of the prominence
SCORES = ("prominence", "arousal", "intensity")  # what peaks can be ranked by
DECIMALS = 6  # by which scores rank: those of a written timeline, which must rank alike
LONGEST_HOLE = 1.0  # seconds without a readable window that a curve is carried over


def find_peaks(source: Source, curve: Curve, labels: Sequence[str]) -> list[Peak]:
    """The peaks of every emotion but neutral on one track's curve, by time.

    `score`, valence, arousal and intensity are the curve's own at the apex; the prominence is that of the
    curve lightly smoothed, where chance level stands for the unknown before and after it.
    """
    readable = np.flatnonzero(curve.quality >= READABLE)
    if len(readable) == 0:
        return []
    holes = np.diff(curve.pts[readable]) * float(source.time_base) > LONGEST_HOLE
    pieces = np.split(readable, np.flatnonzero(holes) + 1)
    peaks = [peak for rows in pieces for peak in _search(curve, rows, labels, float(source.time_base))]
    return sorted(peaks, key=lambda peak: (peak.apex, peak.emotion))


def _search(curve: Curve, rows: npt.NDArray[np.intp], labels: Sequence[str], tick: float) -> Iterator[Peak]:
    """The peaks on the windows `rows`, between which there is no long hole."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks, peak_widths

    pts = curve.pts[rows]
    # The stretch that the piece speaks for: to the track's own ends, or to the hole.
    low = curve.start if rows[0] == 0 else int(pts[0])
    high = curve.end if rows[-1] == len(curve.pts) - 1 else int(pts[-1])
    length = float(pts[-1] - pts[0])
    count = math.ceil(length * tick / STEP) + 1
    step = length / max(1, count - 1)  # ticks
    grid = np.linspace(0.0, length, count)

    def at(values: Floats, apex: int) -> float:
        return float(np.interp(apex, curve.pts, values))

    def moment(index: float) -> int:
        """The pts of a fractional index into the padded curve; beyond the curve lies its end."""
        if index < 1:
            return low
        if index > count:
            return high
        return int(pts[0]) + round((index - 1) * step)

    for column, emotion in enumerate(labels):
        if emotion == NEUTRAL:
            continue
        values = np.interp(grid, pts - pts[0], curve.scores[rows, column].astype(np.float64))
        if step:
            values = gaussian_filter1d(values, SIGMA / (step * tick), mode="nearest")
        values = np.pad(values, 1, constant_values=1 / len(labels))
        distance = max(1.0, DISTANCE / (step * tick)) if step else 1.0
        tops, facts = find_peaks(values, height=HEIGHT, prominence=PROMINENCE, distance=distance)
        bases = (facts["prominences"], facts["left_bases"], facts["right_bases"])
        _, _, lefts, rights = peak_widths(values, tops, rel_height=FOOT, prominence_data=bases)
        for top, prominence, left, right in zip(tops, facts["prominences"], lefts, rights, strict=True):
            apex = int(pts[0]) + round((int(top) - 1) * step)
            if at(curve.quality, apex) < READABLE:
                continue
            yield Peak(
                track=curve.track,
                emotion=emotion,
                onset=moment(float(left)),
                apex=apex,
                offset=moment(float(right)),
                score=at(curve.scores[:, column], apex),
                prominence=float(prominence),
                valence=at(curve.valence, apex),
                arousal=at(curve.arousal, apex),
                intensity=at(curve.intensity, apex),
                person=curve.person,
            )


def rank(
    peaks: Iterable[Peak],
    time_base: Fraction,
    emotion: Collection[str] | None = None,
    top: int | None = None,
    min_gap: float = 0.0,
    person: Collection[str] | None = None,
    score: str = "prominence",
) -> list[Peak]:
    """The peaks worth seeing first: highest `score` first, each at least `min_gap` seconds from any above it.

    `emotion` and `person` keep those alone; the gap then holds between all that are left, of whatever emotion
    or track. Ties go to the earlier peak. A peak's place in the list is its rank; sort by `apex` for time.
    """
    if score not in SCORES:
        raise UsageError(f"peaks are not ranked by {score!r}: choose one of {', '.join(SCORES)}")
    wanted = [
        peak
        for peak in peaks
        if (emotion is None or peak.emotion in emotion) and (person is None or peak.person in person)
    ]
    wanted.sort(
        key=lambda peak: (-round(getattr(peak, score), DECIMALS), peak.apex, peak.track, peak.emotion)
    )
    gap = math.ceil(Fraction(min_gap) / time_base)  # ticks
    taken: list[int] = []  # apexes, ascending
    chosen: list[Peak] = []
    for peak in wanted:
        if top is not None and len(chosen) >= top:
            break
        place = bisect(taken, peak.apex)
        if any(abs(peak.apex - near) < gap for near in taken[max(0, place - 1) : place + 1]):
            continue
        insort(taken, peak.apex)
        chosen.append(peak)
    return chosen
