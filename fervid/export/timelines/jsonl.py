"""The timeline as lines of JSON: a header at once, each segment once it is final, a summary at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from fervid.export.timelines import shapes
from fervid.types import ModelInfo, Segment, Source, Timeline


def header(source: Source, model: ModelInfo, settings: Mapping[str, object], stream: TextIO) -> None:
    """Write what is known before the analysis."""
    _line(
        {
            "type": "header",
            "schema_version": shapes.SCHEMA_VERSION,
            "note": shapes.NOTE,
            "source": shapes.source(source),
            "model": shapes.model(model),
            "settings": dict(settings),
        },
        stream,
    )


def segment(stretch: Segment, source: Source, labels: Sequence[str], stream: TextIO) -> None:
    """Write one segment that is final."""
    _line({"type": "segment", **shapes.segment(stretch, source, labels)}, stream)


def summary(timeline: Timeline, stream: TextIO) -> None:
    """Write what only the whole analysis tells; a file without this line was cut off."""
    _line(
        {
            "type": "summary",
            "frames": shapes.counts(timeline),
            "complete": timeline.tally.complete,
            "segments": len(timeline.segments),
            "shots": shapes.shots(timeline),
            "people": shapes.people(timeline),
            "tracks": [shapes.track(curve, timeline.source) for curve in timeline.curves],
            "peaks": [shapes.peak(peak, timeline.source) for peak in timeline.peaks],
        },
        stream,
    )


def write(timeline: Timeline, stream: TextIO) -> None:
    """Write a whole timeline; its curves stay behind, which JSON Lines do not hold."""
    header(timeline.source, timeline.model, timeline.settings, stream)
    for stretch in timeline.segments:
        segment(stretch, timeline.source, timeline.labels, stream)
    summary(timeline, stream)


def _line(value: Mapping[str, Any], stream: TextIO) -> None:
    stream.write(json.dumps(value, allow_nan=False) + "\n")
    stream.flush()  # a reader at the other end of a pipe wants it now
