"""The analysis of an audience: its curves over the film, its agreement, its moments and segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fervid.audience import agreement
from fervid.audience.agreement import Shifts
from fervid.audience.segments import segments
from fervid.audience.viewers import DIMENSIONS, STEP, Viewer, grid
from fervid.labels import NEUTRAL
from fervid.timeline.maxima import find_maxima
from fervid.types import Array, Source

CHANCE = 0.05  # the largest p of a moment: the chance that independent viewers reach it anywhere in the film
PROMINENCE = 0.03  # the smallest rise of the mean above the lowest point between a moment and a higher one
APART = 1.5  # seconds between two moments of an expression
FOOT = 0.8  # a moment begins and ends where the mean has fallen by this share of its prominence
AROUND = 0.5  # seconds before and after a moment within which a viewer may show the expression


@dataclass(frozen=True)
class Options:
    """The options of an analysis."""

    permutations: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Moment:
    """A moment at which the audience shows an expression together; times in seconds of the film."""

    emotion: str
    onset: float
    apex: float
    offset: float
    score: float  # the mean of the audience at the apex
    prominence: float
    share: float  # of the viewers with data, who show the expression most of all
    p: float  # chance of as high a mean anywhere in the film, if viewers were independent


@dataclass(frozen=True, eq=False)
class Audience:
    """The results for an audience; arrays (T, K) have the columns `names`, nan where no viewer has data."""

    film: Source
    labels: tuple[str, ...]
    viewers: tuple[Viewer, ...]
    count: Array  # (T,) viewers with data
    mean: Array  # (T, K)
    spread: Array  # (T, K) standard deviation between viewers
    synchrony: Array  # (T, K) mean correlation of pairs in a window
    tests: dict[str, Shifts]  # by column
    corrected: dict[str, float]  # chance of each column, corrected for their number
    agreement: Array  # (V,) mean correlation of each viewer with the others
    segments: tuple[int | None, ...]  # of each viewer, from 1
    moments: tuple[Moment, ...]  # by time
    options: Options

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return (*self.labels, *DIMENSIONS)

    @property
    def times(self) -> Array:
        """The seconds of the film of each row."""
        return grid(length(self.film))

    def group(self, number: int) -> list[Viewer]:
        """Return the viewers of a segment."""
        return [viewer for viewer, own in zip(self.viewers, self.segments, strict=True) if own == number]

    @property
    def group_count(self) -> int:
        return max((number for number in self.segments if number is not None), default=0)


def length(film: Source) -> float:
    """Return the length of a film in seconds."""
    return float(film.duration * film.time_base)


def analyze(
    film: Source,
    labels: Sequence[str],
    viewers: Sequence[Viewer],
    options: Options | None = None,
    tick: Callable[[float], None] | None = None,
) -> Audience:
    """Return the analysis of the viewers of a film; the same viewers and seed give the same result."""
    options = options or Options()
    values = np.stack([viewer.values for viewer in viewers]).astype(np.float64)  # (V, T, K)
    names = (*labels, *DIMENSIONS)
    generator = np.random.default_rng(options.seed)
    total, done = len(names) * options.permutations, 0

    def count_one() -> None:
        nonlocal done
        done += 1
        if tick is not None:
            tick(done / total)

    tests = {
        name: agreement.test(values[:, :, column], options.permutations, generator, count_one)
        for column, name in enumerate(names)
    }
    mean, spread, count = summary(values)
    own = np.stack([agreement.with_others(values[:, :, column]) for column in range(len(names))])
    synchrony = [agreement.synchrony(values[:, :, column], STEP) for column in range(len(names))]
    varying = [
        column for column, name in enumerate(names) if name != NEUTRAL
    ]  # neutral follows from the others
    return Audience(
        film=film,
        labels=tuple(labels),
        viewers=tuple(viewers),
        count=count,
        mean=mean,
        spread=spread,
        synchrony=np.stack(synchrony, axis=1),
        tests=tests,
        corrected=agreement.corrected({name: test.p for name, test in tests.items()}),
        agreement=nan_mean(own, 0),
        segments=tuple(segments(values[:, :, varying], generator)),
        moments=tuple(find_moments(values, mean, labels, tests)),
        options=options,
    )


def summary(values: Array) -> tuple[Array, Array, Array]:
    """Return the mean and spread (T, K) of viewers (V, T, K), and how many have data (T,)."""
    count = (~np.isnan(values[:, :, 0])).sum(0)
    mean = nan_mean(values, 0)
    spread = np.sqrt(nan_mean(np.square(values - mean), 0))
    return mean, spread, count


def nan_mean(values: Array, axis: int) -> Array:
    """Return the mean of the numbers along an axis, nan where there are none."""
    known = ~np.isnan(values)
    count = known.sum(axis)
    total = np.where(known, values, 0.0).sum(axis)
    result: Array = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return result


def find_moments(values: Array, mean: Array, labels: Sequence[str], tests: dict[str, Shifts]) -> list[Moment]:
    """Return the maxima of the mean that are higher than independent viewers would reach, by time.

    Where no viewer shows the expression, such as at a small rise of low scores, there is no moment.
    """
    moments = []
    for column, emotion in enumerate(labels):
        if emotion == NEUTRAL or not tests[emotion].count:
            continue
        known = (~np.isnan(values[:, :, column])).sum(0)
        curve = np.where(known >= agreement.LEAST * len(values), np.nan_to_num(mean[:, column]), 0.0)
        highest = tests[emotion].highest
        least = float(highest[min(len(highest) - 1, int(np.ceil((1 - CHANCE) * len(highest))))])
        padded = np.pad(curve, 1)
        for maximum in find_maxima(padded, least, PROMINENCE, APART / STEP, FOOT):
            row = maximum.top - 1
            reach = max(1, round(AROUND / STEP))
            near = values[:, max(0, row - reach) : row + reach + 1, : len(labels)]
            p = (1 + int((highest >= curve[row]).sum())) / (1 + len(highest))
            share = shown_by(near, column)
            if p > CHANCE or not share:  # p is above CHANCE in a curve without any change
                continue
            moments.append(
                Moment(
                    emotion=emotion,
                    onset=(max(maximum.left - 1, 0) + 0.5) * STEP,
                    apex=(row + 0.5) * STEP,
                    offset=(min(maximum.right - 1, len(curve) - 1) + 0.5) * STEP,
                    score=float(curve[row]),
                    prominence=maximum.prominence,
                    share=share,
                    p=p,
                )
            )
    return sorted(moments, key=lambda moment: (moment.apex, moment.emotion))


def shown_by(near: Array, column: int) -> float:
    """Return the share of viewers with data (V, N, C) for whom this column is the highest at some time."""
    is_known = ~np.isnan(near[:, :, 0])
    shows = (np.nan_to_num(near).argmax(2) == column) & is_known
    present = is_known.any(1)
    return float(shows.any(1).sum() / max(1, present.sum()))
