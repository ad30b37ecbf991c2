"""Checks of a timeline that was read from a file: its parts must agree, and its numbers be possible.

Without them, a damaged timeline would fail in a writer, with an error that does not explain the cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fervid.times import FASTEST, MOST_SECONDS, MOST_TICKS
from fervid.types import PERSON, Curve, Peak, Person, Segment, Source, Timeline

MOST_PIXELS = 10**6  # of a side
MOST_CHANNELS = 10**4


def check(timeline: Timeline) -> None:
    """Raise ValueError if a timeline contradicts itself or has an impossible number."""
    _source(timeline.source)
    _settings(timeline)
    tally = timeline.tally
    _within("a count of frames", (tally.decoded, tally.with_faces, tally.undecodable), 0)
    _ascending("shots", timeline.shots)
    _curves(timeline.curves)
    _unique("people", [person.id for person in timeline.people])
    known = {curve.track for curve in timeline.curves}
    owned: tuple[Curve | Segment | Peak, ...] = (*timeline.curves, *timeline.segments, *timeline.peaks)
    for part in owned:
        if part.track not in known:
            raise ValueError(f"it has no track {part.track}")
        if part.person is not None and not PERSON.fullmatch(part.person):
            raise ValueError(f"{part.person!r} is not an id of a person")
    for person in timeline.people:
        _person(person, known)
    for segment in timeline.segments:
        _within("a time", (segment.start, segment.end, segment.frames), -MOST_TICKS)
        if segment.start >= segment.end or segment.frames < 0:
            raise ValueError(f"a segment ends at {segment.end}, not after its start at {segment.start}")
    for peak in timeline.peaks:
        _within("a time", (peak.onset, peak.apex, peak.offset), -MOST_TICKS)
        if not peak.onset <= peak.apex <= peak.offset:
            raise ValueError(f"a peak's apex at {peak.apex} is outside the peak")


def _within(name: str, values: Iterable[int], least: int, most: int = MOST_TICKS) -> None:
    for value in values:
        if not least <= value <= most:
            raise ValueError(f"{name} is out of range")


def _source(source: Source) -> None:
    _within("a time", (source.start, source.start + source.duration), -MOST_TICKS)
    _within("the duration", (source.duration,), 0)
    _within("the size", (source.width, source.height), 1, MOST_PIXELS)
    if source.rotation not in (0, 90, 180, 270):
        raise ValueError(f"the rotation should be a right angle, not {source.rotation}")
    _within("the number of channels", (source.audio_channels,), 0, MOST_CHANNELS)
    _within("a count of frames", (source.planned,), 0)
    if source.rate is not None and not 0 < source.rate <= FASTEST:
        raise ValueError("the rate is out of range")
    longest = max(abs(source.start), source.duration) * source.time_base
    if max(longest, abs(source.clock_offset)) > MOST_SECONDS or source.time_base < 1 / MOST_SECONDS:
        raise ValueError("the time base or the clock's offset is out of range")


def _settings(timeline: Timeline) -> None:
    start, end = timeline.settings["start"], timeline.settings["end"]
    for side in (start, end):
        if side is not None and (isinstance(side, bool) or not 0 <= side <= MOST_SECONDS):
            raise ValueError("the start or the end is out of range")
    if end is not None and end <= (start or 0):
        raise ValueError("the end is not after the start")


def _curves(curves: Iterable[Curve]) -> None:
    curves = tuple(curves)
    _unique("tracks", [curve.track for curve in curves])
    for curve in curves:
        _within("a track", (curve.track, curve.frames), 0)
        _within("a time", _ends(curve), -MOST_TICKS)
        _ascending("windows", curve.pts)
        if curve.start >= curve.end:
            raise ValueError(f"a track ends at {curve.end}, not after its start at {curve.start}")


def _ends(curve: Curve) -> Iterator[int]:
    yield from (curve.start, curve.end)
    yield from curve.pts[[0, -1]].tolist() if len(curve.pts) else ()


def _person(person: Person, tracks: set[int]) -> None:
    _within("a time", (person.ticks,), 0)
    _within("a time", (person.pts,), -MOST_TICKS)
    if tracks.isdisjoint(person.tracks):
        raise ValueError(f"{person.id} has no tracks")


def _unique(name: str, values: list[int] | list[str]) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"its {name} repeat")


def _ascending(name: str, pts: np.typing.NDArray[np.int64]) -> None:
    if (np.diff(pts) <= 0).any():
        raise ValueError(f"its {name} are not in ascending order")
