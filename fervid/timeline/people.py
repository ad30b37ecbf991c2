"""The people of a timeline: found, named, merged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from fervid.errors import UsageError
from fervid.timeline.curves import covered
from fervid.types import Curve, Peak, Person, Segment, Timeline

Part = TypeVar("Part", Curve, Segment, Peak)


def find(timeline: Timeline, who: str) -> Person:
    """Return the person of this id or name."""
    for key in ("id", "name"):
        for person in timeline.people:
            if getattr(person, key) == who:
                return person
    there = ", ".join(timeline.names.values())
    raise UsageError(
        f"there is no person {who!r} in it: " + (f"choose among {there}" if there else "it has none")
    )


def rename(timeline: Timeline, who: str, name: str | None) -> Timeline:
    """Call a person something; None takes the name away."""
    person = find(timeline, who)
    others = [other for other in timeline.people if other is not person]
    if name is not None and any(name in (other.id, other.name) for other in others):
        raise UsageError(
            f"another person is called {name} already: use --merge {name}={who} where they are the same"
        )
    people = (replace(each, name=name) if each is person else each for each in timeline.people)
    return replace(timeline, people=tuple(people))


def merge(timeline: Timeline, first: str, second: str) -> tuple[Timeline, int]:
    """Make the second person the first; return as well for how many ticks both were on screen together."""
    kept, gone = find(timeline, first), find(timeline, second)
    if kept is gone:
        raise UsageError(f"{first} and {second} are one person already")
    tracks = tuple(sorted({*kept.tracks, *gone.tracks}))
    ticks = covered((curve.start, curve.end) for curve in timeline.curves if curve.track in tracks)
    whole = replace(kept, name=kept.name or gone.name, tracks=tracks, ticks=ticks)
    people = [whole if person is kept else person for person in timeline.people if person is not gone]

    def given(parts: Iterable[Part]) -> tuple[Part, ...]:
        return tuple(replace(part, person=kept.id) if part.person == gone.id else part for part in parts)

    merged = replace(
        timeline,
        people=tuple(sorted(people, key=lambda person: -person.ticks)),
        curves=given(timeline.curves),
        segments=given(timeline.segments),
        peaks=given(timeline.peaks),
    )
    return merged, kept.ticks + gone.ticks - ticks


def expressions(timeline: Timeline, person: Person | None = None) -> dict[str, int]:
    """Return the ticks of each visible expression that all segments, or a person's, show, longest first."""
    spent: dict[str, int] = {}
    for segment in timeline.segments:
        if person is None or segment.person == person.id:
            spent[segment.emotion] = spent.get(segment.emotion, 0) + segment.end - segment.start
    return dict(sorted(spent.items(), key=lambda pair: (-pair[1], pair[0])))
