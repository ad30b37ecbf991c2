"""A CSV table with a row per frame and face, and a row per frame without a face."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

import numpy as np

from fervid.export.timelines import shapes
from fervid.export.timelines.shapes import number
from fervid.timeline import valence_arousal
from fervid.types import Array, Clock, Rows, Status
from fervid.units import Measured


def write(
    chunks: Iterable[Rows],
    clock: Clock,
    labels: Sequence[str],
    stream: TextIO,
    people: Mapping[int, str] | None = None,
    units: Measured | None = None,
) -> None:
    """Write the rows; cells without a face are empty, and so is the emotion where quality is low.

    Times are seconds from the first frame, boxes pixels of the upright picture; `people` gives the person
    of a track, `units` adds the intensities of action units. Open the stream with newline="".
    """
    table = csv.writer(stream, lineterminator="\n")
    box, rest = ["x", "y", "width", "height"], ["valence", "arousal", "quality"]
    rest += [] if units is None else [f"{unit}_r" for unit in units.names]
    table.writerow(["frame", "pts", "time", "track", "person", "status", *box, "emotion", *labels, *rest])
    names = [status.label for status in Status]
    for rows in chunks:
        valence, arousal = valence_arousal(rows.scores, labels)
        best = np.nan_to_num(rows.scores, nan=-1.0).argmax(axis=1)
        scored = np.isfinite(rows.scores.sum(axis=1))
        read = (scored & (rows.status == Status.OK)).tolist()
        emotions = [
            labels[column] if known else "" for column, known in zip(best.tolist(), read, strict=True)
        ]
        tracks = rows.track.tolist()
        table.writerows(
            zip(
                rows.frame.tolist(),
                rows.pts.tolist(),
                texts(shapes.times(clock, rows.pts), 6),
                ["" if track < 0 else track for track in tracks],
                [(people or {}).get(track, "") for track in tracks],
                [names[status] for status in rows.status.tolist()],
                *(texts(rows.box[:, column], 2) for column in range(4)),
                emotions,
                *(texts(rows.scores[:, column], 6) for column in range(len(labels))),
                texts(valence, 6),
                texts(arousal, 6),
                texts(rows.quality, 6),
                *([] if units is None else (texts(column, 2) for column in units.of(rows).T)),
                strict=True,
            )
        )


def texts(values: Array, decimals: int) -> list[str]:
    """Return numbers (N,) as text with fixed decimals: empty for nan, and no negative zero."""
    form = f"%.{decimals}f"
    return [form % number(value, decimals) if value == value else "" for value in values.tolist()]
