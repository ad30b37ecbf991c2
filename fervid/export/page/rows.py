"""The rows of a drawn timeline (report, plot, terminal): people, or tracks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from fervid.errors import InputError
from fervid.files import encodable
from fervid.labels import COLOURS
from fervid.types import Array, Curve, Timeline

MOST_TRACKS = 12  # with a row each if there are no people
UNKNOWN_COLOUR = "#5A5A5A"  # of a label that has no colour


@dataclass(frozen=True)
class Row:
    """A person, a track, or several tracks that do not overlap."""

    name: str
    kind: str  # "person", "track", or "faces" (several tracks)
    tracks: tuple[int, ...]
    person: str | None = None  # the id of a person


def rows(timeline: Timeline) -> tuple[Row, ...]:
    """Return a timeline's rows: people by time on screen, then other tracks, packed if there are many."""
    known = {curve.track for curve in timeline.curves}
    used = {segment.track for segment in timeline.segments} | {peak.track for peak in timeline.peaks}
    if unknown := used - known:
        raise InputError(
            f"the timeline is damaged: it refers to track {min(unknown)}, which is not among its tracks; "
            "analyze the video again"
        )
    people: dict[str, list[Curve]] = defaultdict(list)
    for curve in timeline.curves:
        if curve.person is not None:
            people[curve.person].append(curve)
    nameless = [curve for curve in timeline.curves if curve.person is None]
    names = {person: encodable(timeline.names.get(person, person)) for person in people}
    seen = {person: sum(curve.end - curve.start for curve in curves) for person, curves in people.items()}
    people_rows = [
        Row(names[person], "person", tuple(curve.track for curve in people[person]), person)
        for person in sorted(people, key=lambda person: (-seen[person], person))
    ]
    if not people and len(nameless) <= MOST_TRACKS:
        return tuple(Row(f"Track {curve.track}", "track", (curve.track,)) for curve in nameless)
    packed = _packed(nameless)
    word = "Others" if people else "Faces"
    others = [
        Row(word if len(packed) == 1 else f"{word} {number}", "faces", tracks)
        for number, tracks in enumerate(packed, 1)
    ]
    return (*people_rows, *others)


def _packed(curves: Iterable[Curve]) -> list[tuple[int, ...]]:
    """Return tracks in as few rows as possible, without overlaps within a row."""
    lines: list[list[int]] = []
    free: list[tuple[int, int]] = []  # (end of the row's last track, index of the row)
    for curve in sorted(curves, key=lambda curve: (curve.start, curve.track)):
        if free and free[0][0] <= curve.start:
            _, index = heappop(free)
        else:
            index = len(lines)
            lines.append([])
        lines[index].append(curve.track)
        heappush(free, (curve.end, index))
    return [tuple(line) for line in lines]


def analyzed_range(timeline: Timeline) -> tuple[int, int]:
    """Return the analyzed range of the video, [start, end) in pts."""
    start, end = timeline.source.start, timeline.source.end
    if len(timeline.shots):
        start, end = int(timeline.shots[0]), timeline.end
    return start, max(end, start + 1)


def shares(timeline: Timeline, row: Row, edges: Array) -> Array:
    """Return the ticks (B, C + 2) of a row between neighbouring edges: per label, unreadable, and in all.

    Tracks that overlap within the row each count.
    """
    labels = list(timeline.labels)
    inside = set(row.tracks)
    table = np.zeros((len(edges) - 1, len(labels) + 2))
    for segment in timeline.segments:
        if segment.track in inside:
            table[:, labels.index(segment.emotion)] += _overlap(segment.start, segment.end, edges)
    for curve in timeline.curves:
        if curve.track in inside:
            table[:, -1] += _overlap(curve.start, curve.end, edges)
    table[:, -2] = np.maximum(table[:, -1] - table[:, :-2].sum(axis=1), 0)
    return table


def unreadable_stretches(timeline: Timeline, row: Row) -> list[tuple[int, int]]:
    """Return the stretches (start, end) in pts where a face of a row is on screen but cannot be read."""
    ends = {curve.track: curve.start for curve in timeline.curves if curve.track in row.tracks}
    gaps = []
    for segment in sorted(timeline.segments, key=lambda segment: segment.start):
        if segment.track in ends:
            gaps.append((ends[segment.track], segment.start))
            ends[segment.track] = segment.end
    gaps += [(ends[curve.track], curve.end) for curve in timeline.curves if curve.track in ends]
    return [(start, end) for start, end in gaps if start < end]


def _overlap(start: int, end: int, edges: Array) -> Array:
    overlap: Array = np.clip(np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1]), 0, None)
    return overlap


def colours(labels: Sequence[str]) -> list[str]:
    """Return the colour of each label."""
    return [COLOURS.get(label, UNKNOWN_COLOUR) for label in labels]
