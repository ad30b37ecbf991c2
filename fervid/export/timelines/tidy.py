"""A timeline as tidy CSV tables; times are seconds from the video's first frame."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, TextIO

from fervid.export.frames.table import texts
from fervid.export.timelines import shapes
from fervid.export.timelines.tiers import clean
from fervid.types import Curve, Timeline

MEANS = ("emotion", "confidence", "uncertain", "valence", "arousal", "intensity", "frames")  # of a segment
MEASURES = ("valence", "arousal", "intensity", "quality")  # of a window


def scores(timeline: Timeline, stream: TextIO) -> None:
    """Write a row per track, window and emotion."""
    curves = _curves(timeline)
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["track", "person", "name", "pts", "time", "quality", "emotion", "score"])
    for curve, person in curves:
        columns = zip(curve.pts.tolist(), _times(timeline, curve), texts(curve.quality, 6), strict=True)
        rows = [texts(row, 6) for row in curve.scores]
        table.writerows(
            [curve.track, *person, *window, emotion, score]
            for window, row in zip(columns, rows, strict=True)
            for emotion, score in zip(timeline.labels, row, strict=True)
        )


def windows(timeline: Timeline, stream: TextIO) -> None:
    """Write a row per track and window, with a column per emotion, and per action unit if measured."""
    curves = _curves(timeline)
    table = csv.writer(stream, lineterminator="\n")
    units = list(dict.fromkeys(unit for curve in timeline.curves for unit in curve.units))
    table.writerow(["track", "person", "name", "pts", "time", *timeline.labels, *MEASURES, *units])
    for curve, person in curves:
        columns = [
            curve.pts.tolist(),
            _times(timeline, curve),
            *(texts(curve.scores[:, column], 6) for column in range(len(timeline.labels))),
            *(texts(getattr(curve, name), 6) for name in MEASURES),
            *(texts(curve.units[unit], 6) for unit in units),
        ]
        table.writerows([curve.track, *person, *row] for row in zip(*columns, strict=True))


def segments(timeline: Timeline, stream: TextIO) -> None:
    """Write a row per segment, with its mean scores."""
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(segment_columns(timeline))
    for row in segment_rows(timeline):
        table.writerow(str(cell).lower() if isinstance(cell, bool) else cell for cell in row)


def segment_columns(timeline: Timeline) -> list[str]:
    """Return the names of the columns of segments."""
    times = ["start_pts", "end_pts", "start", "end", "duration"]
    return ["track", "person", "name", *times, *MEANS, *timeline.labels]


def segment_rows(timeline: Timeline) -> Iterator[list[Any]]:
    """Yield the cells of each segment; a person or a name that is not known is empty."""
    named = _names(timeline)
    for stretch in timeline.segments:
        shape = shapes.segment(stretch, timeline.source, timeline.labels)
        shape["uncertain"] = stretch.is_uncertain
        yield (
            [stretch.track, stretch.person or "", named.get(stretch.person, "")]
            + [stretch.start, stretch.end, shape["start"]["seconds"], shape["end"]["seconds"]]
            + [shapes.number((stretch.end - stretch.start) * timeline.source.time_base)]
            + [shape[column] for column in MEANS]
            + list(shape["scores"].values())
        )


def _curves(timeline: Timeline) -> Iterator[tuple[Curve, tuple[str, str]]]:
    """Return each track's curve with the person's id and name."""
    named = _names(timeline)
    return ((curve, (curve.person or "", named.get(curve.person, ""))) for curve in shapes.curves(timeline))


def _names(timeline: Timeline) -> dict[str | None, str]:
    return {person.id: clean(person.name or "") for person in timeline.people}


def _times(timeline: Timeline, curve: Curve) -> list[str]:
    return texts(shapes.times(timeline.source, curve.pts), 6)
