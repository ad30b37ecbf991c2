"""A viewer: the expressions of one person who watches a film, sampled on the film's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fervid.errors import InputError
from fervid.files import display_name
from fervid.timeline import interpolate
from fervid.types import READABLE, Array, Curve, Floats, Person, Timeline

STEP = 0.25  # seconds between samples; windows are 0.32 s apart
FAR = 0.5  # seconds: at times farther from a readable window there is no data
DIMENSIONS = ("valence", "arousal")  # the last columns of the values, after the scores


@dataclass(frozen=True, eq=False)
class Viewer:
    """A viewer. Times without a face, or with a face that cannot be read, are missing, not neutral."""

    name: str
    sha256: str  # of the recording
    offset: float  # seconds into the recording at which the film begins
    values: Floats = field(repr=False)  # (T, C + 2): scores, valence, arousal; nan where missing
    person: str | None = None

    @property
    def is_present(self) -> Array:
        """Whether there is data, (T,)."""
        return ~np.isnan(self.values[:, 0])

    @property
    def presence(self) -> float:
        """The share of the film for which there is data."""
        return float(self.is_present.mean())


def grid(seconds: float) -> Array:
    """Return the times of the samples of a film that lasts `seconds`: (T,), in the middle of each step."""
    return (np.arange(max(1, int(np.ceil(seconds / STEP - 1e-9)))) + 0.5) * STEP


def viewer_of(timeline: Timeline, name: str, offset: float, seconds: float) -> Viewer:
    """Return the viewer of a recording: the person who is visible for longest.

    `offset` is the time in the recording at which the film begins; `seconds` is the film's length.
    """
    if not timeline.has_curves:
        raise InputError(
            f"{display_name(name)} is JSON Lines, which have no curves: write JSON, -t "
            f"{display_name(name)}.json"
        )
    person = longest(timeline)
    curves = [curve for curve in timeline.curves if person is None or curve.track in person.tracks]
    times = grid(seconds)
    values = np.full((len(times), len(timeline.labels) + len(DIMENSIONS)), np.nan, np.float32)
    size = np.zeros(len(times), np.float32)  # of the face that a sample is from
    for curve in curves:
        if not len(curve.pts):
            continue
        rows, part = sampled(timeline, curve, times + offset)
        area = np.float32(curve.hull[2] * curve.hull[3])
        rows, part = rows[(larger := area > size[rows])], part[larger]  # two faces without identity
        values[rows], size[rows] = part, area
    return Viewer(name, timeline.source.sha256, offset, values, None if person is None else person.id)


def longest(timeline: Timeline) -> Person | None:
    """Return the person who is visible for longest; None if persons were not identified."""
    return max(timeline.people, key=lambda person: person.ticks, default=None)


def sampled(timeline: Timeline, curve: Curve, times: Array) -> tuple[Array, Floats]:
    """Return the rows of `times`, in seconds of the recording, with a readable face, and the values there."""
    source = timeline.source
    start, end = (float((pts - source.start) * source.time_base) for pts in (curve.start, curve.end))
    rows = np.flatnonzero((times >= start) & (times < end))
    seconds = (curve.pts - source.start) * float(source.time_base)
    readable = seconds[curve.quality >= READABLE]
    if not len(rows) or not len(readable):
        return rows[:0], np.empty((0, curve.scores.shape[1] + len(DIMENSIONS)), np.float32)
    columns = np.column_stack([curve.scores, curve.valence, curve.arousal, curve.quality])
    # In thousandths of a second, as `interpolate` takes ticks.
    ticks = np.rint(seconds * 1000).astype(np.int64)
    values = interpolate(ticks, columns.astype(np.float32), np.rint(times[rows] * 1000).astype(np.int64))
    after = np.searchsorted(readable, times[rows]).clip(1, max(1, len(readable) - 1))
    before = readable[(after - 1).clip(0)]
    after_time = readable[after.clip(max=len(readable) - 1)]
    near = np.minimum(np.abs(times[rows] - before), np.abs(after_time - times[rows])) <= FAR
    kept = near & (values[:, -1] >= READABLE)
    return rows[kept], values[kept, :-1]


def check_models(timelines: Sequence[tuple[str, Timeline]]) -> None:
    """Raise InputError if timelines are of different models: their scores cannot be compared."""
    (first, known), *others = timelines
    for name, timeline in others:
        if timeline.model.sha256 != known.model.sha256 or timeline.labels != known.labels:
            raise InputError(
                f"{display_name(name)} was analyzed with another model than {display_name(first)} "
                f"({timeline.model.name}, not {known.model.name}): analyze all viewers with the same"
            )
