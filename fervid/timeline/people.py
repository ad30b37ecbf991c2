"""The people of a timeline: finding, renaming, merging."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from fervid.errors import UsageError
from fervid.timeline.curves import covered
from fervid.types import Curve, Peak, Person, Segment, Timeline

Part = TypeVar("Part", Curve, Segment, Peak)


def find_person(timeline: Timeline, who: str) -> Person:
    """Return the person of this id or name."""
    for key in ("id", "name"):
        for person in timeline.people:
            if getattr(person, key) == who:
                return person
    known = ", ".join(timeline.names.values())
    raise UsageError(
        f"there is no person {who!r} in it: " + (f"choose one of {known}" if known else "it has none")
    )


def rename(timeline: Timeline, who: str, name: str | None) -> Timeline:
    """Set a person's name; None removes it."""
    person = find_person(timeline, who)
    others = [other for other in timeline.people if other is not person]
    if name is not None and any(name in (other.id, other.name) for other in others):
        raise UsageError(
            f"another person is already called {name}: use --merge {name}={who} if they are the same"
        )
    people = (replace(other, name=name) if other is person else other for other in timeline.people)
    return replace(timeline, people=tuple(people))


def merge(timeline: Timeline, first: str, second: str) -> tuple[Timeline, int]:
    """Merge the second person into the first; return also the ticks that both were on screen."""
    kept, gone = find_person(timeline, first), find_person(timeline, second)
    if kept is gone:
        raise UsageError(f"{first} and {second} are already the same person")
    tracks = tuple(sorted({*kept.tracks, *gone.tracks}))
    ticks = covered((curve.start, curve.end) for curve in timeline.curves if curve.track in tracks)
    whole = replace(kept, name=kept.name or gone.name, tracks=tracks, ticks=ticks)
    people = [whole if person is kept else person for person in timeline.people if person is not gone]

    def reassigned(parts: Iterable[Part]) -> tuple[Part, ...]:
        return tuple(replace(part, person=kept.id) if part.person == gone.id else part for part in parts)

    merged = replace(
        timeline,
        people=tuple(sorted(people, key=lambda person: -person.ticks)),
        curves=reassigned(timeline.curves),
        segments=reassigned(timeline.segments),
        peaks=reassigned(timeline.peaks),
    )
    return merged, kept.ticks + gone.ticks - ticks


def uncertain_ticks(timeline: Timeline, person: Person | None = None) -> int:
    """Return the ticks of all uncertain segments or a person's."""
    return sum(
        segment.end - segment.start
        for segment in timeline.segments
        if segment.is_uncertain and (person is None or segment.person == person.id)
    )


def expressions(timeline: Timeline, person: Person | None = None) -> dict[str, int]:
    """Return the ticks of each expression in all segments or a person's, longest first."""
    spent: dict[str, int] = {}
    for segment in timeline.segments:
        if person is None or segment.person == person.id:
            spent[segment.emotion] = spent.get(segment.emotion, 0) + segment.end - segment.start
    return dict(sorted(spent.items(), key=lambda pair: (-pair[1], pair[0])))
