"""A CSV table with a row per frame and face, and a row per frame without a face."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from fervid.export.timelines import fields
from fervid.export.timelines.fields import number
from fervid.timeline import valence_arousal
from fervid.types import Array, Clock, Rows, Status
from fervid.units import VideoUnits


@dataclass(frozen=True)
class Column:
    """Values of a column: an array with nan, or a list with None, where there is no value."""

    values: list[Any] | Array
    decimals: int = 0  # of an array's numbers in text
    repeats: int = 1  # the rows, one after the other, that each value is for

    def texts(self) -> list[Any]:
        """Return the cells of a CSV table."""
        cells = texts(self.values, self.decimals) if isinstance(self.values, np.ndarray) else self.values
        return cells if self.repeats == 1 else [cell for cell in cells for _ in range(self.repeats)]

    def numbers(self) -> list[Any] | Array:
        """Return the unrounded values of the rows."""
        if self.repeats == 1:
            return self.values
        if isinstance(self.values, np.ndarray):
            return np.repeat(self.values, self.repeats)
        return [value for value in self.values for _ in range(self.repeats)]


def write(
    chunks: Iterable[Rows],
    clock: Clock,
    labels: Sequence[str],
    stream: TextIO,
    people: Mapping[int, str] | None = None,
    units: VideoUnits | None = None,
) -> None:
    """Write the rows; cells without a face are empty, and so is the emotion where quality is low.

    Times are seconds from the first frame, boxes pixels of the upright picture; `people` gives the person
    of a track, `units` adds the intensities of action units. Open the stream with newline="".
    """
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(names(labels, units))
    for rows in chunks:
        parts = columns(rows, clock, labels, people, units).values()
        table.writerows(zip(*(column.texts() for column in parts), strict=True))


def names(labels: Sequence[str], units: VideoUnits | None = None) -> list[str]:
    """Return the names of the table's columns."""
    box, rest = ["x", "y", "width", "height"], ["valence", "arousal", "quality"]
    rest += [] if units is None else [f"{unit}_r" for unit in units.names]
    return ["frame", "pts", "time", "track", "person", "status", *box, "emotion", *labels, *rest]


def columns(
    rows: Rows,
    clock: Clock,
    labels: Sequence[str],
    people: Mapping[int, str] | None = None,
    units: VideoUnits | None = None,
) -> dict[str, Column]:
    """Return the columns of some rows by name."""
    status = [known.label for known in Status]
    valence, arousal = valence_arousal(rows.scores, labels)
    best = np.nan_to_num(rows.scores, nan=-1.0).argmax(axis=1)
    scored = np.isfinite(rows.scores.sum(axis=1))
    read = (scored & (rows.status == Status.OK)).tolist()
    tracks = rows.track.tolist()
    parts = [
        Column(rows.frame.tolist()),
        Column(rows.pts.tolist()),
        Column(fields.times(clock, rows.pts), 6),
        Column([None if track < 0 else track for track in tracks]),
        Column([(people or {}).get(track) for track in tracks]),
        Column([status[number] for number in rows.status.tolist()]),
        *(Column(rows.box[:, column], 2) for column in range(4)),
        Column(
            [labels[column] if known else None for column, known in zip(best.tolist(), read, strict=True)]
        ),
        *(Column(rows.scores[:, column], 6) for column in range(len(labels))),
        *(Column(values, 6) for values in (valence, arousal, rows.quality)),
        *([] if units is None else (Column(values, 2) for values in units.of(rows).T)),
    ]
    return dict(zip(names(labels, units), parts, strict=True))


def texts(values: Array, decimals: int) -> list[str]:
    """Return numbers (N,) as text with fixed decimals: empty for nan, and no negative zero."""
    form = f"%.{decimals}f"
    return [form % number(value, decimals) if value == value else "" for value in values.tolist()]
