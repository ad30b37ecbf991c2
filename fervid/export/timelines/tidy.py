"""A timeline as tidy CSV tables; times are seconds from the video's first frame."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TextIO

from fervid.export.frames.table import Column
from fervid.export.timelines import fields
from fervid.export.timelines.tiers import clean
from fervid.types import Curve, Timeline

MEANS = ("emotion", "confidence", "uncertain", "valence", "arousal", "intensity", "frames")  # of a segment
MEASURES = ("valence", "arousal", "intensity", "quality")  # of a window
WINDOW = ["track", "person", "name", "pts", "time"]
SCORES = [*WINDOW, "quality", "emotion", "score"]


def scores(timeline: Timeline, stream: TextIO) -> None:
    """Write a row per track, window and emotion."""
    _write(SCORES, score_columns(timeline), stream)


def windows(timeline: Timeline, stream: TextIO) -> None:
    """Write a row per track and window, with a column per emotion, and per action unit if measured."""
    _write(window_names(timeline), window_columns(timeline), stream)


def segments(timeline: Timeline, stream: TextIO) -> None:
    """Write a row per segment, with its mean scores."""
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(segment_columns(timeline))
    for row in segment_rows(timeline):
        table.writerow(str(cell).lower() if isinstance(cell, bool) else cell for cell in row)


def score_columns(timeline: Timeline) -> Iterator[list[Column]]:
    """Return the columns of `scores` for each track."""
    count = len(timeline.labels)
    return (
        [
            *(replace(column, repeats=count) for column in (*window, Column(curve.quality, 6))),
            Column(list(timeline.labels) * len(curve.pts)),
            Column(curve.scores.ravel(), 6),
        ]
        for curve, window in _curves(timeline)
    )


def window_names(timeline: Timeline) -> list[str]:
    """Return the names of the columns of windows."""
    return [*WINDOW, *timeline.labels, *MEASURES, *_units(timeline)]


def window_columns(timeline: Timeline) -> Iterator[list[Column]]:
    """Return the columns of `windows` for each track."""
    units = _units(timeline)
    return (
        [
            *window,
            *(Column(values, 6) for values in curve.scores.T),
            *(Column(getattr(curve, name), 6) for name in MEASURES),
            *(Column(curve.units[unit], 6) for unit in units),
        ]
        for curve, window in _curves(timeline)
    )


def segment_columns(timeline: Timeline) -> list[str]:
    """Return the names of the columns of segments."""
    times = ["start_pts", "end_pts", "start", "end", "duration"]
    return ["track", "person", "name", *times, *MEANS, *timeline.labels, *_phases(timeline)]


def segment_rows(timeline: Timeline) -> Iterator[list[Any]]:
    """Yield the cells of each segment; an unknown person or name is an empty cell."""
    named, phases = _names(timeline), _phases(timeline)
    for stretch in timeline.segments:
        shape = fields.segment(stretch, timeline.source, timeline.labels)
        shape["uncertain"] = stretch.is_uncertain
        yield (
            [stretch.track, stretch.person or "", named.get(stretch.person, "")]
            + [stretch.start, stretch.end, shape["start"]["seconds"], shape["end"]["seconds"]]
            + [fields.number((stretch.end - stretch.start) * timeline.source.time_base)]
            + [shape[column] for column in MEANS]
            + list(shape["scores"].values())
            + [shape["phases"][name]["seconds"] if "phases" in shape else "" for name in phases]
        )


def _write(names: list[str], parts: Iterator[list[Column]], stream: TextIO) -> None:
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(names)
    for part in parts:
        table.writerows(zip(*(column.texts() for column in part), strict=True))


def _phases(timeline: Timeline) -> tuple[str, ...]:
    """Return the names of the phases, if some segment has them."""
    return fields.PHASES if any(stretch.phases is not None for stretch in timeline.segments) else ()


def _units(timeline: Timeline) -> list[str]:
    return list(dict.fromkeys(unit for curve in timeline.curves for unit in curve.units))


def _curves(timeline: Timeline) -> Iterator[tuple[Curve, list[Column]]]:
    """Return each track's curve with the columns in WINDOW; raise InputError if there are no curves."""
    named = _names(timeline)
    return ((curve, _window(timeline, curve, named.get(curve.person))) for curve in fields.curves(timeline))


def _window(timeline: Timeline, curve: Curve, name: str | None) -> list[Column]:
    ids = [Column([value] * len(curve.pts)) for value in (curve.track, curve.person or None, name or None)]
    return [*ids, Column(curve.pts.tolist()), Column(fields.times(timeline.source, curve.pts), 6)]


def _names(timeline: Timeline) -> dict[str | None, str]:
    return {person.id: clean(person.name or "") for person in timeline.people}
