"""Reading of timelines from JSON and JSON Lines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np

from fervid.errors import InputError
from fervid.export.editors.timecode import LABEL
from fervid.export.timelines import fields
from fervid.export.timelines.checking import check
from fervid.export.timelines.json import NUMBERS
from fervid.files import read_limited
from fervid.times import MOST_SECONDS, parse_number
from fervid.types import (
    PERSON,
    Curve,
    Floats,
    ModelInfo,
    Peak,
    Person,
    Phases,
    Segment,
    Source,
    Tally,
    Timeline,
)

MOST_TEXT = 1 << 30  # characters of a timeline
MOST_REASON = 200  # characters of it in an error: a number may have thousands of digits
MOST = 1e9  # of a score or a coordinate
CURVES = ("quality", "valence", "arousal", "intensity")  # of a track, besides its scores


def read(stream: TextIO) -> Timeline:
    """Read a timeline from JSON or JSON Lines; unknown fields are ignored."""
    name = getattr(stream, "name", "the timeline")
    try:
        text = read_limited(stream, MOST_TEXT).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not text: a timeline is JSON or JSONL in UTF-8") from error
    if not text.strip():
        raise InputError(f"{name} is empty: write the timeline again with `fervid analyze`")
    try:
        timeline = _timeline(_parse(text, str(name)), str(name))
        check(timeline)
        return timeline
    except RecursionError as error:
        raise InputError(f"{name} is JSON, but not a timeline of fervid") from error
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        reason = f"{type(error).__name__}: {error}"[:MOST_REASON]
        raise InputError(f"{name} is damaged ({reason}): analyze the video again") from error


def _timeline(whole: dict[str, Any], name: str) -> Timeline:
    version = whole.get("schema_version")
    if not isinstance(version, str) or "source" not in whole:
        raise InputError(f"{name} is JSON, but not a timeline of fervid: give what `fervid analyze` wrote")
    if version.split(".")[0] != fields.SCHEMA_VERSION.split(".")[0]:
        raise InputError(
            f"{name} has schema version {version}, this fervid reads {fields.SCHEMA_VERSION}: "
            "analyze the video again, or use the fervid that wrote it"
        )
    model, settings = _model(whole["model"]), whole["settings"]
    _numbers(settings, [side for side in ("start", "end") if settings[side] is not None])
    frames = whole["source"]["frames"]
    return Timeline(
        source=_source(whole["source"]),
        model=model,
        settings=settings,
        tally=Tally(
            int(frames["decoded"]),
            int(frames["with_faces"]),
            int(frames["undecodable"]),
            _known(whole["source"]["complete"]),
        ),
        shots=np.array([int(shot["start"]["pts"]) for shot in whole["shots"]], np.int64),
        curves=tuple(_curve(entry, model.labels) for entry in whole["tracks"]),
        segments=tuple(_segment(entry, model.labels) for entry in whole["segments"]),
        peaks=tuple(_peak(entry, model.labels) for entry in whole["peaks"]),
        people=tuple(_person(entry) for entry in whole["people"]),
        has_curves=all("curve" in entry for entry in whole["tracks"]),
    )


def _source(entry: Mapping[str, Any]) -> Source:
    rate = None if entry["rate"] is None else parse_number(str(entry["rate"]))
    timecode = entry.get("timecode")
    if timecode is not None and LABEL.fullmatch(timecode) is None:
        raise ValueError(f"{timecode!r} is not a timecode")
    return Source(
        name=str(_known(entry["name"])),
        sha256=str(_known(entry["sha256"])),
        container=str(_known(entry["container"])),
        codec=str(entry["codec"]),
        time_base=parse_number(str(entry["time_base"])),
        start=int(entry["start"]["pts"]),
        duration=int(entry["duration"]["pts"]),
        clock_offset=parse_number(str(entry["clock_offset"])),
        rate=rate,
        has_variable_rate=bool(entry.get("variable_rate")),
        timecode=timecode,
        reel=None if entry.get("reel") is None else str(entry["reel"]),
        audio_channels=int(entry.get("audio_channels", 0)),
        width=int(entry["size"]["width"]),
        height=int(entry["size"]["height"]),
        rotation=int(entry["rotation"]),
        planned=int(entry["frames"]["planned"]),
    )


def _model(entry: Mapping[str, Any]) -> ModelInfo:
    labels = tuple(str(label) for label in entry["labels"])
    if len(set(labels)) < len(labels) or not all(label.isprintable() and label.strip() for label in labels):
        raise ValueError("labels of its model repeat, or cannot be printed")
    return ModelInfo(
        name=str(_known(entry["name"])),
        sha256=str(_known(entry["sha256"])),
        trained=bool(entry.get("trained", True)),
        labels=labels,
        streams=tuple(entry.get("streams", ())),
        licences=dict(entry.get("licences", {})),
    )


def _known(fact: Any) -> Any:
    if fact is None:
        raise ValueError("a field of its source or model is null")
    return fact


def _parse(text: str, name: str) -> dict[str, Any]:
    """Return the JSON object; of JSON Lines, the header, segments and summary as one object."""
    first = loads(text.lstrip().split("\n", 1)[0])
    if kind(first) == "header":
        lines = text.strip().split("\n")
        last = loads(lines[-1])
        if kind(last) != "summary":
            raise InputError(f"{name} ends before its summary line: it was cut off; analyze the video again")
        source = {**first["source"], "frames": last["frames"], "complete": last["complete"]}
        between = [loads(line) for line in lines[1:-1]]
        if any(kind(line) == "header" for line in between):
            raise InputError(f"{name} contains several timelines: split it, one video per file")
        # Lines of segments do not name the person; the tracks do.
        persons = {track["id"]: track["person"] for track in last["tracks"]}
        segments = [
            {**line, "person": persons.get(line["track"])} for line in between if kind(line) == "segment"
        ]
        if len(segments) < last["segments"]:
            raise InputError(f"{name} has lost lines in its middle: analyze the video again")
        return {**last, **first, "source": source, "segments": segments}
    whole = loads(text)
    if whole is None:
        raise InputError(f"{name} is not JSON, or was cut off: analyze the video again")
    if not isinstance(whole, dict):
        raise InputError(f"{name} is JSON, but not a timeline of fervid: give what `fervid analyze` wrote")
    return whole


def loads(text: str) -> Any:
    """Return the value of a JSON text, None if it is not JSON; raise OverflowError for 1e999."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except ValueError:
        return None


def kind(value: Any) -> Any:
    """Return the type of a line of JSON Lines, None for any other value."""
    return value.get("type") if isinstance(value, dict) else None


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise OverflowError(f"{text[:40]} is out of range")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _numbers(entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    facts = {name: fields.number(entry[name]) for name in names}
    if not all(abs(value) <= MOST_SECONDS for value in facts.values()):
        raise ValueError(f"a number is not finite, or out of range: {facts}")
    return facts


def _owner(entry: Mapping[str, Any]) -> str | None:
    return None if entry["person"] is None else str(entry["person"])


def _person(entry: Mapping[str, Any]) -> Person:
    if not PERSON.fullmatch(entry["id"]):  # it names files
        raise ValueError(f"{entry['id']!r} is not an id of a person")
    return Person(
        id=entry["id"],
        name=None if entry["name"] is None else str(entry["name"]),
        tracks=tuple(int(track) for track in entry["tracks"]),
        ticks=int(entry["on_screen"]["pts"]),
        pts=int(entry["portrait"]["time"]["pts"]),
        box=_box(entry["portrait"]["box"]),
    )


def _box(entry: Mapping[str, float]) -> Floats:
    return _column([entry[name] for name in ("x", "y", "width", "height")])


def _column(values: Sequence[float]) -> Floats:
    column = np.asarray(values, np.float64)
    if not (np.abs(column) <= MOST).all():
        raise ValueError("a curve contains a number that is not finite, or out of range")
    return column.astype(np.float32)


def _curve(entry: Mapping[str, Any], labels: Sequence[str]) -> Curve:
    """Return a track with its curve, which is empty for JSON Lines."""
    empty = {**dict.fromkeys(("pts", *CURVES), ()), "scores": dict.fromkeys(labels, ())}
    curve, quality = entry.get("curve", empty), entry.get("quality")
    return Curve(
        track=int(entry["id"]),
        start=int(entry["start"]["pts"]),
        end=int(entry["end"]["pts"]),
        frames=int(entry["frames"]),
        hull=_box(entry["box"]),
        pts=np.array(curve["pts"], np.int64),
        scores=np.stack([_column(curve["scores"][label]) for label in labels], axis=1),
        person=_owner(entry),
        units={str(name): _column(values) for name, values in curve.get("units", {}).items()},
        blinks=np.array([int(time["pts"]) for time in entry["blinks"]], np.int64)
        if "blinks" in entry
        else None,
        mean_quality=None if quality is None else _numbers(entry, ["quality"])["quality"],
        **{name: _column(curve[name]) for name in CURVES},
    )


def _emotion(entry: Mapping[str, Any], labels: Sequence[str]) -> str:
    emotion = str(entry["emotion"])
    if emotion not in labels:
        raise ValueError(f"{emotion!r} is not a label of its model")
    return emotion


def _segment(entry: Mapping[str, Any], labels: Sequence[str]) -> Segment:
    return Segment(
        track=int(entry["track"]),
        start=int(entry["start"]["pts"]),
        end=int(entry["end"]["pts"]),
        emotion=_emotion(entry, labels),
        scores=_column([entry["scores"][label] for label in labels]),
        frames=int(entry["frames"]),
        person=_owner(entry),
        phases=Phases(*(int(entry["phases"][name]["pts"]) for name in fields.PHASES))
        if "phases" in entry
        else None,
        **_numbers(entry, ("confidence", "valence", "arousal", "intensity")),
    )


def _peak(entry: Mapping[str, Any], labels: Sequence[str]) -> Peak:
    return Peak(
        track=int(entry["track"]),
        emotion=_emotion(entry, labels),
        onset=int(entry["onset"]["pts"]),
        apex=int(entry["apex"]["pts"]),
        offset=int(entry["offset"]["pts"]),
        person=_owner(entry),
        **_numbers(entry, NUMBERS),
    )
