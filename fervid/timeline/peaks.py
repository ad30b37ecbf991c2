"""Peaks: finding and ranking them."""

from __future__ import annotations

import math
from bisect import bisect, insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fervid.errors import UsageError
from fervid.labels import NEUTRAL
from fervid.timeline.maxima import find_maxima, smooth
from fervid.types import READABLE, Curve, Floats, Peak, Source

STEP = 0.05  # the most seconds between the points of the search
SIGMA = 0.2  # seconds of the Gaussian that smooths a curve before the search
HEIGHT = 0.25  # the least smoothed score of a peak
PROMINENCE = 0.1  # the least rise above the lowest point between it and a higher peak
DISTANCE = 0.5  # the fewest seconds between two peaks of an emotion
PLATEAU = 0.05  # a curve, or motion, may fall by this share of its height on a plateau
AMONG = 3  # the fewest windows of a plateau among which motion decides: of fewer, the curve is exact enough
SEEN = 0.5  # the fewest seconds of a track that has peaks, and of a plateau at its edge
FOOT = 0.8  # onset and offset are where the curve has fallen by this share of the prominence
SCORES = ("prominence", "arousal", "intensity")  # what peaks can be ranked by
DECIMALS = 6  # of scores when ranking, so that a timeline read from a file ranks the same
LONGEST_HOLE = 1.0  # the most seconds without a readable window within a searched piece


def find_peaks(source: Source, curve: Curve, labels: Sequence[str]) -> list[Peak]:
    """Find the peaks of every emotion but neutral on a track's curve, by time.

    The apex is on the plateau around a maximum of the smoothed curve. Motion decides among its windows: the
    apex is where the face is farthest from neutral. Without motion, or of few windows, it is in the middle.
    `score`, valence, arousal and intensity are the curve's at the apex; the prominence is that of the
    smoothed curve, which is continued at chance level before its start and after its end. A curve that is
    highest at the very edge of its track has no peak there, unless it holds: the rest of it is not known.
    """
    if (curve.end - curve.start) * float(source.time_base) < SEEN:
        return []
    readable = np.flatnonzero(curve.quality >= READABLE)
    if len(readable) == 0:
        return []
    holes = np.diff(curve.pts[readable]) * float(source.time_base) > LONGEST_HOLE
    pieces = np.split(readable, np.flatnonzero(holes) + 1)
    peaks = [peak for rows in pieces for peak in _search(curve, rows, labels, float(source.time_base))]
    return sorted(peaks, key=lambda peak: (peak.apex, peak.emotion))


def _search(curve: Curve, rows: npt.NDArray[np.intp], labels: Sequence[str], tick: float) -> Iterator[Peak]:
    """Yield the peaks on the windows `rows`, which have no long gap between them."""
    pts = curve.pts[rows]
    # The piece ends at the track's ends, or at the hole.
    low = curve.start if rows[0] == 0 else int(pts[0])
    high = curve.end if rows[-1] == len(curve.pts) - 1 else int(pts[-1])
    length = float(pts[-1] - pts[0])
    count = math.ceil(length * tick / STEP) + 1
    step = length / max(1, count - 1)  # ticks
    grid = np.linspace(0.0, length, count)

    def at(values: Floats, apex: int) -> float:
        return float(np.interp(apex, curve.pts, values))

    def moment(index: float) -> int:
        """Return the pts of a fractional index into the padded curve, clamped to the piece."""
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
            values = smooth(values, SIGMA / (step * tick))
        values = np.pad(values, 1, constant_values=1 / len(labels))
        distance = max(1.0, DISTANCE / (step * tick)) if step else 1.0
        for maximum in find_maxima(values, HEIGHT, PROMINENCE, distance, FOOT):
            first, last = _plateau(values, maximum.top)
            if (first == 1 or last == count) and (last - first) * step * tick < SEEN:
                continue
            middle = int(pts[0]) + round(((first + last) / 2 - 1) * step)
            apex = _most_moved(curve, rows, ((first - 1) * step, (last - 1) * step), middle)
            if at(curve.quality, apex) < READABLE:
                continue
            yield Peak(
                track=curve.track,
                emotion=emotion,
                onset=moment(maximum.left),
                apex=apex,
                offset=moment(maximum.right),
                score=at(curve.scores[:, column], apex),
                prominence=maximum.prominence,
                valence=at(curve.valence, apex),
                arousal=at(curve.arousal, apex),
                intensity=at(curve.intensity, apex),
                person=curve.person,
            )


def _most_moved(curve: Curve, rows: npt.NDArray[np.intp], plateau: tuple[float, float], middle: int) -> int:
    """Return the pts of the window of a plateau with the face farthest from neutral, or else the middle.

    `rows` are the windows of the searched piece, and the plateau is in ticks from the first of them. Of those
    that have moved nearly as far (PLATEAU), it is the window nearest to the middle.
    """
    pts = curve.pts[rows]
    low, high = plateau
    among = np.flatnonzero((pts - pts[0] > low - 0.5) & (pts - pts[0] < high + 0.5))
    if curve.motion is None or len(among) < AMONG:
        return middle
    motion = curve.motion[rows]
    for of_three in (np.median, np.mean):  # the median drops a single jittered window
        around = np.lib.stride_tricks.sliding_window_view(np.pad(motion, 1, mode="reflect"), 3)
        motion = of_three(around, axis=1)
    farthest = pts[among[motion[among] >= (1 - PLATEAU) * motion[among].max()]]
    return int(farthest[np.abs(farthest - middle).argmin()])


def _plateau(values: npt.NDArray[np.float64], top: int) -> tuple[int, int]:
    """Return the first and last index of the stretch around a maximum on which a curve is nearly as high."""
    low = np.flatnonzero(values < (1 - PLATEAU) * values[top])  # the padding is always lower
    after = int(np.searchsorted(low, top))
    return int(low[after - 1]) + 1, int(low[after]) - 1


def rank(
    peaks: Iterable[Peak],
    time_base: Fraction,
    emotion: Collection[str] | None = None,
    top: int | None = None,
    min_gap: float = 0.0,
    person: Collection[str] | None = None,
    score: str = "prominence",
) -> list[Peak]:
    """Rank peaks by `score`, highest first, dropping any within `min_gap` seconds of a higher one like it.

    `emotion` and `person` filter the peaks first. The gap is between peaks of one emotion and one person, or
    one track where people were not identified: a smile must not hide the surprise before it. Of equal
    scores, the earlier peak is first. The `top` peaks are the highest of each emotion, and then the highest
    of the rest: otherwise the most common emotion would leave no room for others.
    """
    if score not in SCORES:
        raise UsageError(f"peaks cannot be ranked by {score!r}: choose one of {', '.join(SCORES)}")
    wanted = [
        peak
        for peak in peaks
        if (emotion is None or peak.emotion in emotion) and (person is None or peak.person in person)
    ]
    wanted.sort(
        key=lambda peak: (-round(getattr(peak, score), DECIMALS), peak.apex, peak.track, peak.emotion)
    )
    gap = math.ceil(Fraction(min_gap) / time_base)  # ticks
    apexes: defaultdict[tuple[str, str | int], list[int]] = defaultdict(list)  # ascending
    chosen: list[Peak] = []
    for peak in wanted:
        taken = apexes[peak.emotion, peak.track if peak.person is None else peak.person]
        index = bisect(taken, peak.apex)
        if any(abs(peak.apex - near) < gap for near in taken[max(0, index - 1) : index + 1]):
            continue
        insort(taken, peak.apex)
        chosen.append(peak)
    return chosen if top is None else _fairest(chosen, top)


def _fairest(ranked: Sequence[Peak], top: int) -> list[Peak]:
    """Return `top` ranked peaks: the first of each emotion, then the first of the rest, in their order."""
    firsts = {peak.emotion: index for index, peak in reversed(list(enumerate(ranked)))}
    order = sorted(range(len(ranked)), key=lambda index: (firsts[ranked[index].emotion] != index, index))
    return [ranked[index] for index in sorted(order[:top])]
