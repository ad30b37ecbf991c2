"""A timeline as JSON Lines: a header first, each segment once it is final, a summary at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from fervid.export.timelines import fields
from fervid.types import ModelInfo, Segment, Source, Timeline


def header(source: Source, model: ModelInfo, settings: Mapping[str, object], stream: TextIO) -> None:
    """Write the facts that are known before the analysis."""
    _line(
        {
            "type": "header",
            "schema_version": fields.SCHEMA_VERSION,
            "note": fields.NOTE,
            "source": fields.source(source),
            "model": fields.model(model),
            "settings": dict(settings),
        },
        stream,
    )


def segment(stretch: Segment, source: Source, labels: Sequence[str], stream: TextIO) -> None:
    """Write a final segment."""
    _line({"type": "segment", **fields.segment(stretch, source, labels)}, stream)


def summary(timeline: Timeline, stream: TextIO) -> None:
    """Write the last line; a file without it was cut off."""
    _line(
        {
            "type": "summary",
            "frames": fields.counts(timeline),
            "complete": timeline.tally.complete,
            "segments": len(timeline.segments),
            "shots": fields.shots(timeline),
            "people": fields.people(timeline),
            "tracks": [fields.track(curve, timeline.source) for curve in timeline.curves],
            "peaks": [fields.peak(peak, timeline.source) for peak in timeline.peaks],
        },
        stream,
    )


def write(timeline: Timeline, stream: TextIO) -> None:
    """Write a timeline without its curves, which JSON Lines do not contain."""
    header(timeline.source, timeline.model, timeline.settings, stream)
    for stretch in timeline.segments:
        segment(stretch, timeline.source, timeline.labels, stream)
    summary(timeline, stream)


def _line(value: Mapping[str, Any], stream: TextIO) -> None:
    stream.write(json.dumps(value, allow_nan=False) + "\n")
    stream.flush()  # for a reader at the other end of a pipe
