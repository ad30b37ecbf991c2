"""A timeline as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from fervid.export.timelines import fields
from fervid.types import Timeline

LINE = 180  # the most characters of an object on one line: a segment's scores fit
NUMBERS = ("score", "prominence", "valence", "arousal", "intensity")  # of a peak


def write(timeline: Timeline, stream: TextIO) -> None:
    """Write the timeline; the same timeline gives the same text."""
    for piece in pieces(as_json(timeline)):
        stream.write(piece)
    stream.write("\n")


def as_json(timeline: Timeline) -> fields.Object:
    """Return the timeline as a JSON object, with curves as arrays."""
    source, labels = timeline.source, timeline.labels
    return {
        "schema_version": fields.SCHEMA_VERSION,
        "note": fields.NOTE,
        "source": fields.whole_source(timeline),
        "model": fields.model(timeline.model),
        "settings": dict(timeline.settings),
        "shots": fields.shots(timeline),
        "people": fields.people(timeline),
        "tracks": [
            {**fields.track(curve, source), "curve": fields.whole_curve(curve, source, labels)}
            for curve in fields.curves(timeline)
        ],
        "segments": [fields.segment(segment, source, labels) for segment in timeline.segments],
        "peaks": [fields.peak(peak, source) for peak in timeline.peaks],
    }


def pieces(value: Any, margin: str = "") -> Iterator[str]:
    """Yield the JSON text of a value: arrays and small objects on one line, the rest indented."""
    inner = margin + "  "
    if isinstance(value, np.ndarray):
        values = value.tolist()
        if value.dtype.kind != "i":  # masked values are missing
            values = [None if item is None else fields.number(item) for item in values]
        yield json.dumps(values, allow_nan=False)
    elif fits_one_line(value, margin):
        yield json.dumps(value, allow_nan=False)
    elif isinstance(value, dict):
        for index, (key, child) in enumerate(value.items()):
            yield f"{',' if index else '{'}\n{inner}{json.dumps(key)}: "
            yield from pieces(child, inner)
        yield f"\n{margin}}}"
    else:
        for index, child in enumerate(value):
            yield f"{',' if index else '['}\n{inner}"
            yield from pieces(child, inner)
        yield f"\n{margin}]"


def fits_one_line(value: Any, margin: str) -> bool:
    """Return whether a value is a scalar, or a short container of scalars (for objects, one level deeper)."""
    if not value or not isinstance(value, dict | list):
        return True
    children = value.values() if isinstance(value, dict) else value
    for child in children:
        if isinstance(child, dict) and isinstance(value, dict):
            if any(isinstance(grandchild, dict | list | np.ndarray) for grandchild in child.values()):
                return False
        elif isinstance(child, dict | list | np.ndarray):
            return False
    return len(margin) + len(json.dumps(value)) <= LINE


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the timeline (and, under `$defs/line`, of a line of JSONL)."""
    content: dict[str, Any] = json.loads(Path(__file__).with_name("schema.json").read_text("utf-8"))
    return content
