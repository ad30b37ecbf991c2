"""A timeline as tables for statistics: tidy CSV, times in seconds from the first frame."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TextIO

from fervid.errors import InputError
from fervid.export.frames.table import texts
from fervid.export.timelines import shapes
from fervid.export.timelines.reading import Document
from fervid.export.timelines.tiers import clean
from fervid.types import Curve

MEASURES = ("valence", "arousal", "intensity", "quality")  # of a window, whatever the emotion


def scores(document: Document, stream: TextIO) -> None:
    """Write a row per track, window and emotion."""
    curves = _curves(document)
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["track", "person", "name", "pts", "time", "quality", "emotion", "score"])
    for curve, whose in curves:
        columns = zip(curve.pts.tolist(), _times(document, curve), texts(curve.quality, 6), strict=True)
        rows = [texts(row, 6) for row in curve.scores]
        table.writerows(
            [curve.track, *whose, *window, emotion, score]
            for window, row in zip(columns, rows, strict=True)
            for emotion, score in zip(document.labels, row, strict=True)
        )


def windows(document: Document, stream: TextIO) -> None:
    """Write a row per track and window, with a column per emotion."""
    curves = _curves(document)
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["track", "person", "name", "pts", "time", *document.labels, *MEASURES])
    for curve, whose in curves:
        columns = [
            curve.pts.tolist(),
            _times(document, curve),
            *(texts(curve.scores[:, column], 6) for column in range(len(document.labels))),
            *(texts(getattr(curve, name), 6) for name in MEASURES),
        ]
        table.writerows([curve.track, *whose, *row] for row in zip(*columns, strict=True))


def segments(document: Document, stream: TextIO) -> None:
    """Write a row per segment: where it begins and ends, its emotion, and the mean of every score."""
    told = ["emotion", "confidence", "valence", "arousal", "intensity", "frames"]
    table = csv.writer(stream, lineterminator="\n")
    times = ["start_pts", "end_pts", "start", "end", "duration"]
    table.writerow(["track", "person", "name", *times, *told, *document.labels])
    named = _names(document)
    for stretch in document.segments:
        found = shapes.segment(stretch, document.clock, document.labels)
        table.writerow(
            [stretch.track, stretch.person or "", named.get(stretch.person, "")]
            + [stretch.start, stretch.end, found["start"]["seconds"], found["end"]["seconds"]]
            + [shapes.number((stretch.end - stretch.start) * document.clock.time_base)]
            + [found[column] for column in told]
            + list(found["scores"].values())
        )


def _curves(document: Document) -> Iterator[tuple[Curve, tuple[str, str]]]:
    """Each track's curve, with its person's id and name."""
    if not document.has_curves:
        raise InputError(
            "JSON Lines hold no curves, and this table is made of them: "
            "write the timeline as JSON (`fervid analyze -t out.json`), or export `segments`"
        )
    named = _names(document)
    return ((curve, (curve.person or "", named.get(curve.person, ""))) for curve in document.curves)


def _names(document: Document) -> dict[str | None, str]:
    return {str(found["id"]): clean(str(found.get("name") or "")) for found in document.people}


def _times(document: Document, curve: Curve) -> list[str]:
    return texts(document.clock.times(curve.pts), 6)
