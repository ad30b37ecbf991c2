"""A written timeline, JSON or JSON Lines, read back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, TextIO

import numpy as np

from fervid.errors import InputError
from fervid.export.editors.timecode import LABEL
from fervid.export.timelines import shapes
from fervid.export.timelines.json import NUMBERS
from fervid.types import PERSON, Curve, Floats, ModelInfo, Peak, Person, Segment, Source, Tally, Timeline

CURVES = ("quality", "valence", "arousal", "intensity")  # of a track, beside its scores


def read(stream: TextIO) -> Timeline:
    """Read a timeline, JSON or JSON Lines; what it holds beyond this version's fields is passed over."""
    name = getattr(stream, "name", "the timeline")
    try:
        text = stream.read().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not text: a timeline is JSON or JSONL in UTF-8") from error
    if not text.strip():
        raise InputError(f"{name} is empty: write the timeline again with `fervid analyze`")
    try:
        return _timeline(_parse(text, str(name)), str(name))
    except RecursionError as error:
        raise InputError(f"{name} is JSON, but no timeline of fervid") from error
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError(
            f"{name} is damaged ({type(error).__name__}: {error}): analyze the video again"
        ) from error


def _timeline(whole: dict[str, Any], name: str) -> Timeline:
    version = whole.get("schema_version")
    if not isinstance(version, str) or "source" not in whole:
        raise InputError(f"{name} is JSON, but no timeline of fervid: give what `fervid analyze` wrote")
    if version.split(".")[0] != shapes.SCHEMA_VERSION.split(".")[0]:
        raise InputError(
            f"{name} has schema version {version}, this fervid reads {shapes.SCHEMA_VERSION}: "
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
        curves=tuple(_curve(found, model.labels) for found in whole["tracks"]),
        segments=tuple(_segment(found, model.labels) for found in whole["segments"]),
        peaks=tuple(_peak(found) for found in whole["peaks"]),
        people=tuple(_person(found) for found in whole["people"]),
        has_curves=all("curve" in found for found in whole["tracks"]),
    )


def _source(found: Mapping[str, Any]) -> Source:
    rate = None if found["rate"] is None else Fraction(found["rate"])
    if rate is not None and rate <= 0:
        raise ValueError(f"a rate should be positive, got {rate}")
    timecode = found.get("timecode")
    if timecode is not None and LABEL.fullmatch(timecode) is None:
        raise ValueError(f"{timecode!r} is no timecode")
    return Source(
        name=str(_known(found["name"])),
        sha256=str(_known(found["sha256"])),
        container=str(_known(found["container"])),
        codec=str(found["codec"]),
        time_base=Fraction(found["time_base"]),
        start=int(found["start"]["pts"]),
        duration=int(found["duration"]["pts"]),
        clock_offset=Fraction(str(found["clock_offset"])),
        rate=rate,
        has_variable_rate=bool(found.get("variable_rate")),
        timecode=timecode,
        reel=None if found.get("reel") is None else str(found["reel"]),
        audio_channels=int(found.get("audio_channels", 0)),
        width=int(found["size"]["width"]),
        height=int(found["size"]["height"]),
        rotation=int(found["rotation"]),
        planned=int(found["frames"]["planned"]),
    )


def _model(found: Mapping[str, Any]) -> ModelInfo:
    return ModelInfo(
        name=str(_known(found["name"])),
        sha256=str(_known(found["sha256"])),
        trained=bool(found.get("trained", True)),
        labels=tuple(str(label) for label in found["labels"]),
        streams=tuple(found.get("streams", ())),
        licences=found.get("licences", {}),
    )


def _known(fact: Any) -> Any:
    if fact is None:
        raise ValueError("its source or model lacks facts")
    return fact


def _parse(text: str, name: str) -> dict[str, Any]:
    """The document, or the header and summary of a JSONL timeline as one."""
    first = loads(text.lstrip().split("\n", 1)[0])
    if kind(first) == "header":
        lines = text.strip().split("\n")
        last = loads(lines[-1])
        if kind(last) != "summary":
            raise InputError(f"{name} ends before its summary line: it was cut off; analyze the video again")
        source = {**first["source"], "frames": last["frames"], "complete": last["complete"]}
        told = [loads(line) for line in lines[1:-1]]
        if any(kind(line) == "header" for line in told):
            raise InputError(f"{name} holds several timelines: split it, one video per file")
        # Who is who was not known when the segments were written: the tracks say it.
        persons = {track["id"]: track["person"] for track in last["tracks"]}
        segments = [
            {**line, "person": persons.get(line["track"])} for line in told if kind(line) == "segment"
        ]
        if len(segments) < last["segments"]:
            raise InputError(f"{name} lacks lines in its middle: analyze the video again")
        return {**last, **first, "source": source, "segments": segments}
    whole = loads(text)
    if whole is None:
        raise InputError(f"{name} is no JSON, or was cut off: analyze the video again")
    if not isinstance(whole, dict):
        raise InputError(f"{name} is JSON, but no timeline of fervid: give what `fervid analyze` wrote")
    return whole


def loads(text: str) -> Any:
    """Return the value that a text holds, None where it is no JSON."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return None


def kind(value: Any) -> Any:
    """Return what a line of JSON Lines says it is, None of any other value."""
    return value.get("type") if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _numbers(found: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    facts = {name: shapes.number(found[name]) for name in names}
    if not all(math.isfinite(value) for value in facts.values()):
        raise ValueError(f"it holds what is no number: {facts}")
    return facts


def _owner(found: Mapping[str, Any]) -> str | None:
    return None if found["person"] is None else str(found["person"])


def _person(found: Mapping[str, Any]) -> Person:
    if not PERSON.fullmatch(found["id"]):  # it names files
        raise ValueError(f"{found['id']!r} is no id of a person")
    return Person(
        id=found["id"],
        name=None if found["name"] is None else str(found["name"]),
        tracks=tuple(int(track) for track in found["tracks"]),
        ticks=int(found["on_screen"]["pts"]),
        pts=int(found["portrait"]["time"]["pts"]),
        box=_box(found["portrait"]["box"]),
    )


def _box(found: Mapping[str, float]) -> Floats:
    return _column([found[name] for name in ("x", "y", "width", "height")])


def _column(values: Sequence[float]) -> Floats:
    column = np.asarray(values, np.float32)
    if not np.isfinite(column).all():
        raise ValueError("a curve holds what is no number")
    return column


def _curve(found: Mapping[str, Any], labels: Sequence[str]) -> Curve:
    """A track with its curve, which JSON Lines leave out."""
    empty = {**dict.fromkeys(("pts", *CURVES), ()), "scores": dict.fromkeys(labels, ())}
    curve, quality = found.get("curve", empty), found.get("quality")
    return Curve(
        track=int(found["id"]),
        start=int(found["start"]["pts"]),
        end=int(found["end"]["pts"]),
        frames=int(found["frames"]),
        hull=_box(found["box"]),
        pts=np.array(curve["pts"], np.int64),
        scores=np.stack([_column(curve["scores"][label]) for label in labels], axis=1),
        person=_owner(found),
        mean_quality=None if quality is None else _numbers(found, ["quality"])["quality"],
        **{name: _column(curve[name]) for name in CURVES},
    )


def _segment(found: Mapping[str, Any], labels: Sequence[str]) -> Segment:
    if found["emotion"] not in labels:
        raise ValueError(f"{found['emotion']!r} is no label of its model")
    return Segment(
        track=int(found["track"]),
        start=int(found["start"]["pts"]),
        end=int(found["end"]["pts"]),
        emotion=str(found["emotion"]),
        scores=_column([found["scores"][label] for label in labels]),
        frames=int(found["frames"]),
        person=_owner(found),
        **_numbers(found, ("confidence", "valence", "arousal", "intensity")),
    )


def _peak(found: Mapping[str, Any]) -> Peak:
    return Peak(
        track=int(found["track"]),
        emotion=str(found["emotion"]),
        onset=int(found["onset"]["pts"]),
        apex=int(found["apex"]["pts"]),
        offset=int(found["offset"]["pts"]),
        person=_owner(found),
        **_numbers(found, NUMBERS),
    )
