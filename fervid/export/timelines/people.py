"""A written timeline with other names for its people: nothing else in it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np

from fervid.errors import UsageError
from fervid.export.timelines.json import pieces
from fervid.export.timelines.shapes import Clock, Object, number
from fervid.timeline import covered
from fervid.types import Bytes, Segment

AROUND = 1.8  # side of a picture in sides of the face's box


class Pages:
    """The text of a timeline, JSON or JSON Lines, that `reading.read` takes; opened to change its people."""

    def __init__(self, text: str) -> None:
        text = text.removeprefix("\ufeff").strip()
        first = json.loads(text.split("\n", 1)[0]) if text.split("\n", 1)[0].endswith("}") else None
        self._is_lines = isinstance(first, dict) and first.get("type") == "header"
        self._lines: list[Object] = (
            [json.loads(line) for line in text.split("\n")] if self._is_lines else [json.loads(text)]
        )
        self._clock = Clock.of(self._lines[0]["source"])

    @property
    def _whole(self) -> Object:
        """What holds people, tracks and peaks: the document, or the summary line."""
        return self._lines[-1]

    @property
    def people(self) -> list[Object]:
        """The entries of `people`."""
        found: list[Object] = self._whole["people"]
        return found

    def find(self, who: str) -> Object:
        """The person of this id or name."""
        for key in ("id", "name"):
            for person in self.people:
                if person[key] == who:
                    return person
        there = ", ".join(str(person["name"] or person["id"]) for person in self.people)
        raise UsageError(
            f"there is no person {who!r} in it: " + (f"choose among {there}" if there else "it has none")
        )

    def name(self, who: str, name: str | None) -> None:
        """Call a person something; None takes the name away."""
        person = self.find(who)
        others = [other for other in self.people if other is not person]
        if name is not None and any(name in (other["id"], other["name"]) for other in others):
            raise UsageError(
                f"another person is called {name} already: use --merge {name}={who} where they are the same"
            )
        person["name"] = name

    def merge(self, first: str, second: str) -> float:
        """Make the second person the first; returns for how many seconds both were on screen together."""
        kept, gone = self.find(first), self.find(second)
        if kept is gone:
            raise UsageError(f"{first} and {second} are one person already")
        apart = kept["on_screen"]["pts"] + gone["on_screen"]["pts"]
        for found in (*self._whole["tracks"], *self._owned()):
            if found["person"] == gone["id"]:
                found["person"] = kept["id"]
        kept["tracks"] = sorted({*kept["tracks"], *gone["tracks"]})
        ranges = [
            (track["start"]["pts"], track["end"]["pts"])
            for track in self._whole["tracks"]
            if track["id"] in kept["tracks"]
        ]
        ticks = covered(ranges)
        kept["on_screen"] = {"seconds": number(ticks * self._clock.time_base), "pts": ticks}
        kept["name"] = kept["name"] or gone["name"]
        self._whole["people"] = sorted(
            (person for person in self.people if person is not gone),
            key=lambda person: -int(person["on_screen"]["pts"]),
        )
        return number((apart - ticks) * self._clock.time_base)

    def _owned(self) -> Iterator[Object]:
        """Segments and peaks, which name a person each; those of JSON Lines' segments are unknown still."""
        yield from self._whole["peaks"]
        if not self._is_lines:
            yield from self._whole["segments"]

    def write(self, stream: TextIO) -> None:
        """Write it as it was, but for what was changed."""
        if self._is_lines:
            stream.writelines(json.dumps(line, allow_nan=False) + "\n" for line in self._lines)
            return
        whole = {**self._whole, "tracks": [_with_arrays(track) for track in self._whole["tracks"]]}
        stream.writelines(pieces(whole))
        stream.write("\n")


def _with_arrays(track: Object) -> Object:
    """A track whose curves are arrays, as the writer has them: it gives each a line."""
    curve = {
        name: {label: np.array(values) for label, values in column.items()}
        if isinstance(column, dict)
        else np.array(column, np.int64 if name == "pts" else np.float64)
        for name, column in track["curve"].items()
    }
    return {**track, "curve": curve}


def totals(person: Mapping[str, Any], segments: Sequence[Segment], clock: Clock) -> dict[str, float]:
    """Seconds of each visible expression that a person's segments show, longest first."""
    spent: dict[str, int] = {}
    for segment in segments:
        if segment.person == person["id"]:
            spent[segment.emotion] = spent.get(segment.emotion, 0) + segment.end - segment.start
    ordered = sorted(spent.items(), key=lambda pair: (-pair[1], pair[0]))
    return {emotion: number(ticks * clock.time_base) for emotion, ticks in ordered}


def picture(image: Bytes, box: Mapping[str, float]) -> bytes:
    """The square around a face's box in a frame (H, W, 3), as far as it lies in there, as PNG."""
    import cv2

    side = AROUND * max(box["width"], box["height"])
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    (left, right), (top, bottom) = (
        (int(min(max(at - side / 2, 0), size - 1)), int(min(max(at + side / 2, 1), size)))
        for at, size in zip(middle, (image.shape[1], image.shape[0]), strict=True)
    )
    done, data = cv2.imencode(".png", image[top : max(bottom, top + 1), left : max(right, left + 1)])
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be a PNG")
    return bytes(data.tobytes())
