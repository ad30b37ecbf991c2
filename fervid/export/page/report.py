"""A timeline as an HTML page, which needs no other file and no network."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from fervid.export.editors import colours as emotions
from fervid.export.editors import edl
from fervid.export.editors.edit import NOTE, plan
from fervid.export.page.pictures import Pictures
from fervid.export.page.rows import Row, analyzed_range, colours, rows, shares
from fervid.export.timelines import fields
from fervid.export.timelines.json import NUMBERS
from fervid.export.timelines.peaks import COLUMNS
from fervid.files import encodable
from fervid.labels import NEUTRAL
from fervid.timeline import covered
from fervid.types import CERTAIN, READABLE, Array, Peak, Segment, Timeline
from fervid.units import NAMES, PRESENT, STRONGEST

PAGE = Path(__file__).parent
# The files of the page's script, in order.
SCRIPTS = ("data.js", "view.js", "markers.js", "lanes.js", "curves.js", "units.js", "details.js", "why.js",
           "tables.js", "names.js", "player.js", "page.js")  # fmt: skip
MILLI = 3  # decimals of seconds and scores: enough for a screen
LEVELS = 255  # of a score in a curve, 0 to 1
TERNARY = 127  # of valence and arousal, -1 to 1
UNIT_LEVELS = 50  # of an intensity of 1


@dataclass(frozen=True)
class Extras:
    """The contents of a report besides its timeline."""

    peaks: Sequence[Peak] = ()  # by rank
    pictures: Pictures = field(default_factory=Pictures)
    reasons: Sequence[Mapping[str, Any] | None] = ()  # the explanation of each of `peaks`, or none at all
    name: str = "timeline.json"  # of the timeline's file, for commands that the page shows
    film: str | None = None  # URL of the video, relative to the page
    accuracy: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # measured on, measure -> share
    knows_model: bool = False  # whether the timeline's model is installed


def write(timeline: Timeline, stream: TextIO, extras: Extras) -> None:
    """Write the page."""
    script = "\n".join(["'use strict';", *(_part(name) for name in SCRIPTS)])
    style = f"{shared_style()}\n{_part('page.css')}"
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",
            "media-src 'self' file: blob:",  # some browsers do not count a file next to the page as 'self'
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    values = {
        "policy": policy,
        "title": html.escape(encodable(timeline.source.name)),
        "note": html.escape(fields.NOTE),
        "style": style,
        "script": script,
        "data": _embedded(payload(timeline, extras)),
    }
    for piece in _part("page.html").split("{{"):
        name, closed, rest = piece.partition("}}")
        stream.write(values[name] + rest if closed else piece)


def payload(timeline: Timeline, extras: Extras) -> dict[str, Any]:
    """Return the data of the page's script, with seconds from the video's first frame."""
    all_rows = rows(timeline)
    row_of = {track: index for index, row in enumerate(all_rows) for track in row.tracks}
    labels, source = timeline.labels, fields.whole_source(timeline)
    model = fields.model(timeline.model)
    start, end = analyzed_range(timeline)

    def seconds(pts: int) -> float:
        return round(fields.seconds(timeline.source, pts), MILLI)

    return {
        "source": {
            **{key: source[key] for key in ("name", "sha256", "container", "codec", "rate", "rotation")},
            **{key: source[key] for key in ("size", "frames", "complete")},
            "duration": source["duration"]["seconds"],
            "offset": source["clock_offset"],
        },
        "range": [seconds(start), seconds(end)],
        "model": {
            **{key: model[key] for key in ("name", "sha256", "trained", "streams", "licences")},
            "accuracy": extras.accuracy,
            "known": extras.knows_model,
        },
        "settings": dict(timeline.settings),
        "labels": list(labels),
        "colours": colours(labels),
        "readable": READABLE,
        "certain": CERTAIN,
        "neutral": list(labels).index(NEUTRAL) if NEUTRAL in labels else -1,
        "shots": [seconds(start) for start in timeline.shots.tolist()],
        "coverage": _coverage(timeline),
        "rows": [_row(timeline, row, extras.pictures.faces.get(row)) for row in all_rows],
        "tracks": {
            "id": [curve.track for curve in timeline.curves],
            "row": [row_of[curve.track] for curve in timeline.curves],
            "start": [seconds(curve.start) for curve in timeline.curves],
            "end": [seconds(curve.end) for curve in timeline.curves],
            "windows": [len(curve.pts) for curve in timeline.curves],
        },
        "segments": _segments(timeline, row_of, seconds),
        "peaks": _peaks(timeline, row_of, extras),
        "clock": {
            "start": int(timeline.source.start),
            "base": list(timeline.source.time_base.as_integer_ratio()),
        },
        "edit": _edit(timeline),
        "timeline": extras.name,
        "pictures": [_picture(extras.pictures.peaks.get(peak.apex)) for peak in extras.peaks],
        "why": list(extras.reasons) or None,
        "marks": [extras.pictures.marks.get((peak.apex, peak.track)) for peak in extras.peaks],
        "windows": _windows(timeline),
        "units": _units(timeline),
        "film": extras.film,
    }


def _segments(
    timeline: Timeline, row_of: Mapping[int, int], seconds: Callable[[int], float]
) -> dict[str, Any]:
    segments = timeline.segments
    return {
        "row": [row_of[segment.track] for segment in segments],
        "track": [segment.track for segment in segments],
        "start": [seconds(segment.start) for segment in segments],
        "end": [seconds(segment.end) for segment in segments],
        "emotion": [timeline.labels.index(segment.emotion) for segment in segments],
        "uncertain": [segment.is_uncertain for segment in segments],
        **_numbers(segments, ("confidence", "valence", "arousal", "intensity")),
        **_phases(segments, seconds),
    }


def _phases(segments: Sequence[Segment], seconds: Callable[[int], float]) -> dict[str, Any]:
    """Return the phases of each segment, null for one without; an empty dictionary if none were measured."""
    moments = [segment.phases for segment in segments]
    if not any(moments):
        return {}
    return {
        "phases": [None if m is None else [seconds(getattr(m, n)) for n in fields.PHASES] for m in moments]
    }


def _peaks(timeline: Timeline, row_of: Mapping[int, int], extras: Extras) -> dict[str, Any]:
    return {
        "row": [row_of[peak.track] for peak in extras.peaks],
        "track": [peak.track for peak in extras.peaks],
        "onset": [int(peak.onset) for peak in extras.peaks],
        "apex": [int(peak.apex) for peak in extras.peaks],
        "offset": [int(peak.offset) for peak in extras.peaks],
        "emotion": [timeline.labels.index(peak.emotion) for peak in extras.peaks],
        **_numbers(extras.peaks, NUMBERS, fields.DECIMALS),
    }


def _edit(timeline: Timeline) -> dict[str, Any]:
    """Return the facts that the page's script needs to write markers as the exporters do."""
    edit = plan(replace(timeline, peaks=()))
    whole = io.StringIO()
    edl.write(edit, whole)
    before, sign, after = whole.getvalue().partition("* COMMENT")
    known = [emotions.colour_of(label) for label in timeline.labels]
    return {
        "stem": Path(edit.name).stem,
        "rate": list(edit.timecode.rate.as_integer_ratio()),
        "drops": edit.timecode.drops,
        "first": edit.timecode.first,
        "frames": edit.frames,
        "note": NOTE,
        "header": edl.header(edit),
        "before": before,
        "after": sign + after,
        "resolve": [colour.resolve for colour in known],
        "locator": [colour.locator for colour in known],
        "columns": COLUMNS,
        "numbers": NUMBERS,
    }


def _row(timeline: Timeline, row: Row, face: bytes | None) -> dict[str, Any]:
    """Return a row with its totals in seconds."""
    start, end = analyzed_range(timeline)
    tick = float(timeline.source.time_base)
    inside = set(row.tracks)
    curves = [curve for curve in timeline.curves if curve.track in inside]
    spent = shares(timeline, row, np.array([start, end], np.int64))[0] * tick
    quality = np.concatenate([curve.quality for curve in curves])
    return {
        "name": row.name,
        "id": row.person,
        "kind": row.kind,
        "face": _picture(face),
        "tracks": len(row.tracks),
        "seen": round(covered((curve.start, curve.end) for curve in curves) * tick, MILLI),
        "seconds": [round(float(value), MILLI) for value in spent[:-2]],
        "quality": round(float(quality.mean()), MILLI) if len(quality) else None,
    }


def _coverage(timeline: Timeline) -> dict[str, float]:
    """Return the seconds analyzed, those with a face, and those with a readable face."""
    tick = float(timeline.source.time_base)
    start, end = analyzed_range(timeline)
    return {
        "length": round((end - start) * tick, MILLI),
        "seen": round(covered((curve.start, curve.end) for curve in timeline.curves) * tick, MILLI),
        "readable": round(
            covered((segment.start, segment.end) for segment in timeline.segments) * tick, MILLI
        ),
    }


def _numbers(parts: Sequence[Any], names: Sequence[str], decimals: int = MILLI) -> dict[str, list[float]]:
    return {name: [fields.number(getattr(part, name), decimals) for part in parts] for name in names}


def _windows(timeline: Timeline) -> dict[str, str] | None:
    """Return all curves, concatenated, as arrays in base64; None if there are none (JSON Lines)."""
    curves = timeline.curves
    if not any(len(curve.pts) for curve in curves):
        return None
    times = np.concatenate([fields.times(timeline.source, curve.pts) for curve in curves])
    scores = np.concatenate([curve.scores for curve in curves])

    def column(name: str, levels: int, kind: str) -> str:
        values = np.concatenate([getattr(curve, name) for curve in curves])
        return _levels(values, levels, kind)

    return {
        "time": _base64(times.astype("<f4")),
        "scores": _levels(scores, LEVELS, "u1"),  # (N, C)
        "valence": column("valence", TERNARY, "i1"),
        "arousal": column("arousal", TERNARY, "i1"),
        "quality": column("quality", LEVELS, "u1"),
    }


def _units(timeline: Timeline) -> dict[str, Any] | None:
    """Return the action units of all curves, concatenated as in `_windows`; None if not measured."""
    curves = timeline.curves
    names = list(dict.fromkeys(name for curve in curves for name in curve.units))
    if not names:
        return None

    def column(name: str) -> str:
        parts = [curve.units.get(name, np.zeros(len(curve.pts), np.float32)) for curve in curves]
        return _base64(np.rint(np.concatenate(parts) * UNIT_LEVELS).clip(0, LEVELS).astype("u1"))

    return {
        "levels": UNIT_LEVELS,
        "present": PRESENT,
        "most": STRONGEST,
        "names": {name: NAMES.get(name, "") for name in names},
        "values": {name: column(name) for name in names},
        "blinks": [
            None
            if curve.blinks is None
            else np.round(fields.times(timeline.source, curve.blinks), MILLI).tolist()
            for curve in curves
        ],
    }


def _levels(values: Array, levels: int, kind: str) -> str:
    low = -levels if kind == "i1" else 0
    return _base64(np.rint(values * levels).clip(low, levels).astype(kind))


def _base64(values: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def _picture(jpeg: bytes | None) -> str | None:
    return None if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _embedded(value: Mapping[str, Any]) -> str:
    """Return JSON without `&`, `<` and `>`, so that it is safe inside HTML."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def shared_style() -> str:
    """Return the colours and the font that all pages of fervid share."""
    return _part("shared.css")


def _part(name: str) -> str:
    return (PAGE / name).read_text("utf-8").rstrip()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
