"""Writing of changed people into an existing timeline, and pictures of people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

import numpy as np

from fervid.export.timelines import fields
from fervid.export.timelines.json import pieces
from fervid.export.timelines.reading import kind, loads
from fervid.types import Bytes, Curve, Floats, Peak, Segment, Timeline

AROUND = 1.8  # side of a picture, relative to the longer side of the face's box


def write(timeline: Timeline, text: str, stream: TextIO) -> None:
    """Write the text that the timeline was read from, with the timeline's people instead of its own.

    Nothing else changes, so that fields of later versions of fervid stay.
    """
    text = text.removeprefix("\ufeff").strip()
    is_lines = kind(loads(text.split("\n", 1)[0])) == "header"
    lines = [json.loads(line) for line in (text.split("\n") if is_lines else [text])]
    whole = lines[-1]  # the JSON object, or the summary line
    entries = {entry["id"]: entry for entry in whole["people"]}
    for person in timeline.people:
        shape = fields.person(person, timeline.source)
        entries[person.id] |= {key: shape[key] for key in ("name", "tracks", "on_screen")}
    whole["people"] = [entries[person.id] for person in timeline.people]
    parts: dict[str, Sequence[Curve | Peak | Segment]] = {"tracks": timeline.curves, "peaks": timeline.peaks}
    if not is_lines:  # lines of segments do not name the person
        parts["segments"] = timeline.segments
    for name, owned in parts.items():
        for entry, part in zip(whole[name], owned, strict=True):
            entry["person"] = part.person
    if is_lines:
        stream.writelines(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        return
    whole["tracks"] = [_with_arrays(track) for track in whole["tracks"]]
    stream.writelines(pieces(whole))
    stream.write("\n")


def _with_arrays(track: fields.Object) -> fields.Object:
    """Return a track with its curves as arrays, so that each is written on one line."""
    curve = {
        name: {label: _array(values) for label, values in column.items()}
        if isinstance(column, dict)
        else _array(column)
        for name, column in track["curve"].items()
    }
    return {**track, "curve": curve}


def _array(values: Any) -> Any:
    """Return numbers as an array, and anything else, such as a field of a later version, unchanged."""
    if isinstance(values, list) and all(type(value) in (int, float) for value in values):
        is_whole = bool(values) and all(type(value) is int and abs(value) < 2**63 for value in values)
        with suppress(OverflowError):
            return np.array(values, np.int64 if is_whole else np.float64)
    return values


def picture(image: Bytes, box: Floats) -> bytes:
    """Return the square around a face's box in a frame (H, W, 3) as PNG."""
    import cv2

    done, data = cv2.imencode(".png", square(image, box))
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be a PNG")
    return bytes(data.tobytes())


def square(image: Bytes, box: Floats) -> Bytes:
    """Return the square around a face's box in a frame (H, W, 3), cut off at the frame's edges."""
    x, y, width, height = (fields.number(value, fields.BOX_DECIMALS) for value in box)
    side = AROUND * max(width, height)
    (left, right), (top, bottom) = (
        (int(min(max(middle - side / 2, 0), size - 1)), int(min(max(middle + side / 2, 1), size)))
        for middle, size in zip(
            (x + width / 2, y + height / 2), (image.shape[1], image.shape[0]), strict=True
        )
    )
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]
