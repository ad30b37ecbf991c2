"""A timeline as tables for statistics: tidy CSV, times in seconds from the first frame."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TextIO

from fervid.export.frames.table import texts
from fervid.export.timelines import shapes
from fervid.export.timelines.tiers import clean
from fervid.types import Curve, Timeline

MEASURES = ("valence", "arousal", "intensity", "quality")  # of a window, whatever the emotion


def scores(timeline: Timeline, stream: TextIO) -> None:
    """Write a row per track, window and emotion."""
    curves = _curves(timeline)
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["track", "person", "name", "pts", "time", "quality", "emotion", "score"])
    for curve, whose in curves:
        columns = zip(curve.pts.tolist(), _times(timeline, curve), texts(curve.quality, 6), strict=True)
        rows = [texts(row, 6) for row in curve.scores]
        table.writerows(
            [curve.track, *whose, *window, emotion, score]
            for window, row in zip(columns, rows, strict=True)
            for emotion, score in zip(timeline.labels, row, strict=True)
        )


def windows(timeline: Timeline, stream: TextIO) -> None:
    """Write a row per track and window, with a column per emotion."""
    curves = _curves(timeline)
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["track", "person", "name", "pts", "time", *timeline.labels, *MEASURES])
    for curve, whose in curves:
        columns = [
            curve.pts.tolist(),
            _times(timeline, curve),
            *(texts(curve.scores[:, column], 6) for column in range(len(timeline.labels))),
            *(texts(getattr(curve, name), 6) for name in MEASURES),
        ]
        table.writerows([curve.track, *whose, *row] for row in zip(*columns, strict=True))


def segments(timeline: Timeline, stream: TextIO) -> None:
    """Write a row per segment: where it begins and ends, its emotion, and the mean of every score."""
    told = ["emotion", "confidence", "valence", "arousal", "intensity", "frames"]
    table = csv.writer(stream, lineterminator="\n")
    times = ["start_pts", "end_pts", "start", "end", "duration"]
    table.writerow(["track", "person", "name", *times, *told, *timeline.labels])
    named = _names(timeline)
    for stretch in timeline.segments:
        found = shapes.segment(stretch, timeline.source, timeline.labels)
        table.writerow(
            [stretch.track, stretch.person or "", named.get(stretch.person, "")]
            + [stretch.start, stretch.end, found["start"]["seconds"], found["end"]["seconds"]]
            + [shapes.number((stretch.end - stretch.start) * timeline.source.time_base)]
            + [found[column] for column in told]
            + list(found["scores"].values())
        )


def _curves(timeline: Timeline) -> Iterator[tuple[Curve, tuple[str, str]]]:
    """Each track's curve, with its person's id and name."""
    named = _names(timeline)
    return ((curve, (curve.person or "", named.get(curve.person, ""))) for curve in shapes.curves(timeline))


def _names(timeline: Timeline) -> dict[str | None, str]:
    return {person.id: clean(person.name or "") for person in timeline.people}


def _times(timeline: Timeline, curve: Curve) -> list[str]:
    return texts(shapes.times(timeline.source, curve.pts), 6)
