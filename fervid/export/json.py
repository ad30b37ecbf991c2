"""The timeline as one JSON document, and what can be read back from it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from fervid.errors import InputError
from fervid.export import shapes
from fervid.types import Peak, Timeline

LINE = 180  # characters that an object may take on one line: all scores of a segment do
NUMBERS = ("score", "prominence", "valence", "arousal", "intensity")  # of a peak


def write(timeline: Timeline, stream: TextIO) -> None:
    """Write the whole timeline; the same timeline gives the same text."""
    for piece in pieces(document(timeline)):
        stream.write(piece)
    stream.write("\n")


def document(timeline: Timeline) -> shapes.Object:
    """The timeline in its JSON shapes, curves still as arrays."""
    video, labels = timeline.video, timeline.model.labels
    clock = shapes.Clock(video.time_base, video.start)
    return {
        "schema_version": shapes.SCHEMA_VERSION,
        "note": shapes.NOTE,
        "source": {
            **shapes.source(video),
            "frames": shapes.counts(video, timeline.tally),
            "complete": timeline.tally.complete,
        },
        "model": shapes.model(timeline.model),
        "settings": dict(timeline.settings),
        "shots": shapes.shots(timeline),
        "people": shapes.people(timeline),
        "tracks": [
            {**shapes.track(curve, clock), "curve": shapes.whole_curve(curve, clock, labels)}
            for curve in timeline.curves
        ],
        "segments": [shapes.segment(segment, clock, labels) for segment in timeline.segments],
        "peaks": [shapes.peak(peak, clock) for peak in timeline.peaks],
    }


def pieces(value: Any, margin: str = "") -> Iterator[str]:
    """JSON text of a value, in pieces: arrays and small objects on one line, the rest indented."""
    inner = margin + "  "
    if isinstance(value, np.ndarray):
        values = value.tolist()
        yield json.dumps(
            values if value.dtype.kind == "i" else [shapes.number(one) for one in values], allow_nan=False
        )
    elif fits_one_line(value, margin):
        yield json.dumps(value, allow_nan=False)
    elif isinstance(value, dict):
        for place, (key, child) in enumerate(value.items()):
            yield f"{',' if place else '{'}\n{inner}{json.dumps(key)}: "
            yield from pieces(child, inner)
        yield f"\n{margin}}}"
    else:
        for place, child in enumerate(value):
            yield f"{',' if place else '['}\n{inner}"
            yield from pieces(child, inner)
        yield f"\n{margin}]"


def fits_one_line(value: Any, margin: str) -> bool:
    """Whether a value is a scalar, or a container of scalars (one level deeper for objects) that is short."""
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
    """The JSON Schema of the timeline (and, under `$defs/line`, of a line of JSONL)."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("schema.json").read_text("utf-8"))
    return found


@dataclass(frozen=True)
class Document:
    """What a written timeline tells of its peaks."""

    source: Mapping[str, Any]
    clock: shapes.Clock
    labels: tuple[str, ...]
    peaks: tuple[Peak, ...]


def read(stream: TextIO) -> Document:
    """Read the peaks of a timeline, JSON or JSONL, and what is needed to place them."""
    name = getattr(stream, "name", "the timeline")
    try:
        text = stream.read().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not text: a timeline is JSON or JSONL in UTF-8") from error
    if not text.strip():
        raise InputError(f"{name} is empty: write the timeline again with `fervid analyze`")
    try:
        return _document(_parse(text, str(name)), str(name))
    except RecursionError as error:
        raise InputError(f"{name} is JSON, but no timeline of fervid") from error
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError(
            f"{name} is damaged ({type(error).__name__}: {error}): analyze the video again"
        ) from error


def _document(whole: dict[str, Any], name: str) -> Document:
    version = whole.get("schema_version")
    if not isinstance(version, str) or "source" not in whole:
        raise InputError(f"{name} is JSON, but no timeline of fervid: give what `fervid analyze` wrote")
    if version.split(".")[0] != shapes.SCHEMA_VERSION.split(".")[0]:
        raise InputError(
            f"{name} has schema version {version}, this fervid reads {shapes.SCHEMA_VERSION}: "
            "analyze the video again, or use the fervid that wrote it"
        )
    return Document(
        source=whole["source"],
        clock=shapes.Clock.of(whole["source"]),
        labels=tuple(str(label) for label in whole["model"]["labels"]),
        peaks=tuple(_peak(found) for found in whole["peaks"]),
    )


def _parse(text: str, name: str) -> dict[str, Any]:
    """The document, or the header and summary of a JSONL timeline as one."""
    first = _loads(text.lstrip().split("\n", 1)[0])
    if _kind(first) == "header":
        lines = text.strip().split("\n")
        last = _loads(lines[-1])
        if _kind(last) != "summary":
            raise InputError(f"{name} ends before its summary line: it was cut off; analyze the video again")
        if any('"header"' in line and _kind(_loads(line)) == "header" for line in lines[1:]):
            raise InputError(f"{name} holds several timelines: split it, one video per file")
        source = {**first["source"], "frames": last["frames"], "complete": last["complete"]}
        return {**first, "source": source, "peaks": last["peaks"]}
    whole = _loads(text)
    if whole is None:
        raise InputError(f"{name} is no JSON, or was cut off: analyze the video again")
    if not isinstance(whole, dict):
        raise InputError(f"{name} is JSON, but no timeline of fervid: give what `fervid analyze` wrote")
    return whole


def _loads(text: str) -> Any:
    """The value that a text holds, None where it is no JSON."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return None


def _kind(value: Any) -> Any:
    return value.get("type") if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _peak(found: Mapping[str, Any]) -> Peak:
    person = found["person"]
    facts = {name: shapes.number(found[name]) for name in NUMBERS}
    if not all(math.isfinite(value) for value in facts.values()):
        raise ValueError(f"a peak holds what is no number: {facts}")
    return Peak(
        track=int(found["track"]),
        emotion=str(found["emotion"]),
        onset=int(found["onset"]["pts"]),
        apex=int(found["apex"]["pts"]),
        offset=int(found["offset"]["pts"]),
        person=None if person is None else str(person),
        **facts,
    )
