"""The timeline as lines of JSON: a header at once, each segment once it is final, a summary at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from fervid.export.timelines import shapes
from fervid.export.timelines.reading import Document
from fervid.types import ModelInfo, Segment, Timeline, Video


def header(video: Video, model: ModelInfo, settings: Mapping[str, object], stream: TextIO) -> None:
    """Write what is known before the analysis."""
    _line(
        {
            "type": "header",
            "schema_version": shapes.SCHEMA_VERSION,
            "note": shapes.NOTE,
            "source": shapes.source(video),
            "model": shapes.model(model),
            "settings": dict(settings),
        },
        stream,
    )


def segment(stretch: Segment, video: Video, labels: Sequence[str], stream: TextIO) -> None:
    """Write one segment that is final."""
    clock = shapes.Clock(video.time_base, video.start)
    _line({"type": "segment", **shapes.segment(stretch, clock, labels)}, stream)


def summary(timeline: Timeline, stream: TextIO) -> None:
    """Write what only the whole analysis tells; a file without this line was cut off."""
    video = timeline.video
    clock = shapes.Clock(video.time_base, video.start)
    _line(
        {
            "type": "summary",
            "frames": shapes.counts(video, timeline.tally),
            "complete": timeline.tally.complete,
            "segments": len(timeline.segments),
            "shots": shapes.shots(timeline),
            "people": shapes.people(timeline),
            "tracks": [shapes.track(curve, clock) for curve in timeline.curves],
            "peaks": [shapes.peak(peak, clock) for peak in timeline.peaks],
        },
        stream,
    )


def write(timeline: Timeline, stream: TextIO) -> None:
    """Write a finished timeline in one go."""
    header(timeline.video, timeline.model, timeline.settings, stream)
    for stretch in timeline.segments:
        segment(stretch, timeline.video, timeline.model.labels, stream)
    summary(timeline, stream)


def convert(document: Document, stream: TextIO) -> None:
    """Write a timeline that was read back; its curves stay behind, which JSON Lines do not hold."""
    clock, labels = document.clock, document.labels
    source = dict(document.source)
    frames, complete = source["frames"], source.pop("complete")
    _line(
        {
            "type": "header",
            "schema_version": shapes.SCHEMA_VERSION,
            "note": shapes.NOTE,
            "source": {**source, "frames": {"planned": frames["planned"]}},
            "model": dict(document.model),
            "settings": dict(document.settings),
        },
        stream,
    )
    for stretch in document.segments:
        _line({"type": "segment", **shapes.segment(stretch, clock, labels)}, stream)
    _line(
        {
            "type": "summary",
            "frames": frames,
            "complete": complete,
            "segments": len(document.segments),
            "shots": [{"start": clock.time(start), "end": clock.time(end)} for start, end in document.shots],
            "people": [dict(person) for person in document.people],
            "tracks": [shapes.track(curve, clock) for curve in document.curves],
            "peaks": [shapes.peak(peak, clock) for peak in document.peaks],
        },
        stream,
    )


def _line(value: Mapping[str, Any], stream: TextIO) -> None:
    stream.write(json.dumps(value, allow_nan=False) + "\n")
    stream.flush()  # a reader at the other end of a pipe wants it now
