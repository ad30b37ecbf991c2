"""A written timeline, JSON or JSON Lines, read back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TextIO

import numpy as np

from fervid.errors import InputError
from fervid.export.timelines import shapes
from fervid.export.timelines.json import NUMBERS
from fervid.types import PERSON, Curve, Floats, Peak, Segment

CURVES = ("quality", "valence", "arousal", "intensity")  # of a track, beside its scores


@dataclass(frozen=True)
class Document:
    """What a written timeline tells."""

    source: Mapping[str, Any]
    clock: shapes.Clock
    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    shots: tuple[tuple[int, int], ...]  # half-open [start, end) in pts
    people: tuple[Mapping[str, Any], ...]
    curves: tuple[Curve, ...]  # by track; of JSON Lines they have no rows
    segments: tuple[Segment, ...]
    peaks: tuple[Peak, ...]
    has_curves: bool = True  # False of JSON Lines

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's emotions, in the order of every row of scores."""
        return tuple(str(label) for label in self.model["labels"])

    @property
    def names(self) -> dict[str, str]:
        """What to call each person: the name that was given, else the id."""
        return shapes.names(self.people)


def read(stream: TextIO) -> Document:
    """Read a timeline, JSON or JSON Lines."""
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
    labels = [str(label) for label in whole["model"]["labels"]]
    _check_facts(whole["source"], whole["model"])
    _numbers(whole["settings"], [side for side in ("start", "end") if whole["settings"][side] is not None])
    return Document(
        source=whole["source"],
        clock=shapes.Clock.of(whole["source"]),
        model=whole["model"],
        settings=whole["settings"],
        shots=tuple((int(shot["start"]["pts"]), int(shot["end"]["pts"])) for shot in whole["shots"]),
        people=tuple(_person_entry(found) for found in whole["people"]),
        curves=tuple(_curve(found, labels) for found in whole["tracks"]),
        segments=tuple(_segment(found, labels) for found in whole["segments"]),
        peaks=tuple(_peak(found) for found in whole["peaks"]),
        has_curves=all("curve" in found for found in whole["tracks"]),
    )


def _check_facts(source: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """Refuse a source or a model without what formats tell of it."""
    facts = [source["name"], source["sha256"], source["container"], model["name"], model["sha256"]]
    needed = [*facts, source["complete"], source["frames"]["planned"]]
    if None in needed or not math.isfinite(float(source["clock_offset"])):
        raise ValueError("its source lacks facts")
    int(source["duration"]["pts"])
    if source["rate"] is not None and Fraction(source["rate"]) <= 0:
        raise ValueError(f"a rate should be positive, got {source['rate']}")


def _parse(text: str, name: str) -> dict[str, Any]:
    """The document, or the header and summary of a JSONL timeline as one."""
    first = _loads(text.lstrip().split("\n", 1)[0])
    if _kind(first) == "header":
        lines = text.strip().split("\n")
        last = _loads(lines[-1])
        if _kind(last) != "summary":
            raise InputError(f"{name} ends before its summary line: it was cut off; analyze the video again")
        source = {**first["source"], "frames": last["frames"], "complete": last["complete"]}
        told = [_loads(line) for line in lines[1:-1]]
        if any(_kind(line) == "header" for line in told):
            raise InputError(f"{name} holds several timelines: split it, one video per file")
        # Who is who was not known when the segments were written: the tracks say it.
        persons = {track["id"]: track["person"] for track in last["tracks"]}
        segments = [
            {**line, "person": persons.get(line["track"])} for line in told if _kind(line) == "segment"
        ]
        if len(segments) < last["segments"]:
            raise InputError(f"{name} lacks lines in its middle: analyze the video again")
        return {**last, **first, "source": source, "segments": segments}
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


def _numbers(found: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    facts = {name: shapes.number(found[name]) for name in names}
    if not all(math.isfinite(value) for value in facts.values()):
        raise ValueError(f"it holds what is no number: {facts}")
    return facts


def _person(found: Mapping[str, Any]) -> str | None:
    return None if found["person"] is None else str(found["person"])


def _person_entry(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """An entry of `people` that holds what it should."""
    if not PERSON.fullmatch(found["id"]):  # it names files
        raise ValueError(f"{found['id']!r} is no id of a person")
    found["name"], [int(track) for track in found["tracks"]]
    int(found["on_screen"]["pts"]), int(found["portrait"]["time"]["pts"])
    _numbers(found["portrait"]["box"], ("x", "y", "width", "height"))
    return found


def _column(values: Sequence[float]) -> Floats:
    column = np.asarray(values, np.float32)
    if not np.isfinite(column).all():
        raise ValueError("a curve holds what is no number")
    return column


def _curve(found: Mapping[str, Any], labels: Sequence[str]) -> Curve:
    """A track with its curve, which JSON Lines leave out."""
    empty = {**dict.fromkeys(("pts", *CURVES), ()), "scores": dict.fromkeys(labels, ())}
    curve, box = found.get("curve", empty), found["box"]
    return Curve(
        track=int(found["id"]),
        start=int(found["start"]["pts"]),
        end=int(found["end"]["pts"]),
        frames=int(found["frames"]),
        hull=_column([box[name] for name in ("x", "y", "width", "height")]),
        pts=np.array(curve["pts"], np.int64),
        scores=np.stack([_column(curve["scores"][label]) for label in labels], axis=1),
        person=_person(found),
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
        person=_person(found),
        **_numbers(found, ("confidence", "valence", "arousal", "intensity")),
    )


def _peak(found: Mapping[str, Any]) -> Peak:
    return Peak(
        track=int(found["track"]),
        emotion=str(found["emotion"]),
        onset=int(found["onset"]["pts"]),
        apex=int(found["apex"]["pts"]),
        offset=int(found["offset"]["pts"]),
        person=_person(found),
        **_numbers(found, NUMBERS),
    )
