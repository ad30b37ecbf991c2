"""A timeline's segments as tiers, in which segments do not overlap."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from fervid.export.timelines.fields import clock_offset, number
from fervid.files import encodable, one_line
from fervid.types import Segment, Timeline


@dataclass(frozen=True, eq=False)
class Tier:
    """Segments of a person, or of a track that belongs to no person."""

    name: str  # unique
    who: str
    segments: tuple[Segment, ...]  # by start, without overlaps


def player_seconds(timeline: Timeline, pts: int) -> Fraction:
    """Return seconds of the container's clock, which players show; its first frame may be after zero."""
    source = timeline.source
    return max(Fraction(0), (pts - source.start) * source.time_base + clock_offset(source))


def names(timeline: Timeline) -> dict[int, str]:
    """Return a name for each track: its person's name, else the person's id, else `track 3`."""
    people = {person.id: clean(person.name or "") for person in timeline.people}
    called = {
        curve.track: f"track {curve.track}"
        if curve.person is None
        else people.get(curve.person) or clean(curve.person)
        for curve in timeline.curves
    }
    used = {segment.track for segment in timeline.segments} | {peak.track for peak in timeline.peaks}
    return called | {track: f"track {track}" for track in used - set(called)}


def tiers(timeline: Timeline) -> list[Tier]:
    """Return a tier per person or track, in the order of their first segments.

    A person with two tracks at the same time gets a second tier.
    """
    called = names(timeline)
    by_track: dict[int, list[Segment]] = defaultdict(list)
    for segment in timeline.segments:
        by_track[segment.track].append(segment)
    runs = [sorted(segments, key=lambda segment: segment.start) for segments in by_track.values()]
    runs.sort(key=lambda run: (run[0].start, run[0].track))
    lanes: dict[str, list[list[Segment]]] = {}  # by person or track: two people may have one name
    for run in runs:
        who = run[0].person if run[0].person is not None else f"track {run[0].track}"
        rows = lanes.setdefault(who, [])
        free = next((row for row in rows if row[-1].end <= run[0].start), None)
        if free is None:
            rows.append(run)
        else:
            free.extend(run)
    taken: set[str] = set()
    return [
        Tier(unique(called[row[0].track], taken), called[row[0].track], tuple(row))
        for rows in lanes.values()
        for row in rows
    ]


def moments(timeline: Timeline) -> list[tuple[Fraction, str]]:
    """Return the moments of peaks in player seconds, each with a text of name, emotion and score."""
    called = names(timeline)
    texts: dict[int, list[str]] = defaultdict(list)
    for peak in timeline.peaks:
        texts[peak.apex].append(f"{called[peak.track]}: {peak.emotion} {number(peak.score):.2f}")
    return [(player_seconds(timeline, apex), "; ".join(texts[apex])) for apex in sorted(texts)]


def unique(name: str, taken: set[str]) -> str:
    """Return the name, with a number if it is taken, and add it to `taken`."""
    chosen, count = name, 1
    while chosen in taken:
        count += 1
        chosen = f"{name} ({count})"
    taken.add(chosen)
    return chosen


def clean(text: str) -> str:
    """Return text as one printable line, which every text format can store."""
    return one_line(encodable(text), " ")
