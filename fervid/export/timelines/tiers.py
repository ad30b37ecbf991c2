"""Who a timeline shows, each in rows of segments that do not overlap, for formats that have tiers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from fervid.export.timelines.shapes import clock_offset, number
from fervid.files import encodable, one_line
from fervid.types import Segment, Timeline


@dataclass(frozen=True, eq=False)
class Tier:
    """Segments of one person, or of one track where nobody was told apart."""

    name: str  # no other tier has it
    who: str
    segments: tuple[Segment, ...]  # by start; none overlaps another


def player_seconds(timeline: Timeline, pts: int) -> Fraction:
    """A time on the clock that players show: the container's, on which the first frame may come late."""
    source = timeline.source
    return max(Fraction(0), (pts - source.start) * source.time_base + clock_offset(source))


def names(timeline: Timeline) -> dict[int, str]:
    """What to call each track in text: its person's name, else the person's id, else `track 3`."""
    people = {person.id: clean(person.name or "") for person in timeline.people}
    called = {}
    for curve in timeline.curves:
        person = curve.person
        called[curve.track] = (
            f"track {curve.track}" if person is None else people.get(person) or clean(person)
        )
    heard = {segment.track for segment in timeline.segments} | {peak.track for peak in timeline.peaks}
    return called | {track: f"track {track}" for track in heard - set(called)}


def tiers(timeline: Timeline) -> list[Tier]:
    """A tier per person or track, in the order of their first segments.

    Where two tracks of one person are on screen together, that person has a second tier.
    """
    called = names(timeline)
    by_track: dict[int, list[Segment]] = defaultdict(list)
    for segment in timeline.segments:
        by_track[segment.track].append(segment)
    runs = [sorted(found, key=lambda segment: segment.start) for found in by_track.values()]
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
    """The peaks by time on the player's clock, one text a moment: whose, what stands out, its score."""
    called = names(timeline)
    found: dict[int, list[str]] = defaultdict(list)
    for peak in timeline.peaks:
        found[peak.apex].append(f"{called[peak.track]}: {peak.emotion} {number(peak.score):.2f}")
    return [(player_seconds(timeline, apex), "; ".join(found[apex])) for apex in sorted(found)]


def unique(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken; it is taken from now on."""
    chosen, count = name, 1
    while chosen in taken:
        count += 1
        chosen = f"{name} ({count})"
    taken.add(chosen)
    return chosen


def clean(text: str) -> str:
    """Return text as one line of characters that can be shown: what every format of text can hold."""
    return one_line(encodable(text), " ")
