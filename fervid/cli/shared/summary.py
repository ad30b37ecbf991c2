"""Tables for the terminal: the results of an analysis, peaks and people."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, TextIO

from fervid.cli.shared.columns import Column, Fitted, counted
from fervid.cli.shared.console import console
from fervid.cli.shared.inputs import video_label
from fervid.files import display_name
from fervid.timeline.people import expressions, uncertain_ticks
from fervid.times import format_clock, format_timecode

if TYPE_CHECKING:
    from fervid.types import Person, Timeline

TOP = 3  # expressions and peaks in a row


def table(timelines: Sequence[Timeline]) -> Fitted:
    """Return a row per video: its length, its faces, their expressions and the highest peaks."""
    names = [
        video_label(timeline.source.name) + ("" if timeline.tally.complete else " (incomplete)")
        for timeline in timelines
    ]
    lengths = [time_of(timeline.source.duration * timeline.source.time_base) for timeline in timelines]
    spent = list(map(_expressions, timelines))
    columns = (
        Column("video", names, narrowest=12),
        Column("length", lengths, rank=1, is_number=True),
        Column("faces", list(map(_faces, timelines)), rank=2),
        Column("seen", list(map(_seen, timelines)), rank=4, is_number=True),
        Column("expressions", spent, rank=3, narrowest=14),
        Column("highest peaks", list(map(_peaks, timelines)), narrowest=18),
    )
    is_trained = all(timeline.model.trained for timeline in timelines)
    return Fitted(columns, None if is_trained else "The model is untrained: its scores mean nothing.")


def write_peaks(timeline: Timeline, stream: TextIO) -> None:
    """Write a timeline's peaks as a table, if there are any."""
    if timeline.peaks:
        console(stream).print(peak_table(timeline))


def peak_table(timeline: Timeline) -> Fitted:
    """Return a row per peak, in the order of the timeline."""
    peaks, seconds = timeline.peaks, timeline.source.seconds
    people = [timeline.names.get(peak.person or "", "") for peak in peaks]
    columns = [
        Column("rank", [str(rank) for rank in range(1, len(peaks) + 1)], rank=1, is_number=True),
        Column("time", [format_timecode(seconds(peak.apex)) for peak in peaks], is_number=True),
        Column("emotion", [peak.emotion for peak in peaks]),
        Column("score", [f"{peak.score:.0%}" for peak in peaks], rank=2, is_number=True),
        Column("prominence", [f"{peak.prominence:.0%}" for peak in peaks], rank=4, is_number=True),
        Column("from", [format_timecode(seconds(peak.onset)) for peak in peaks], rank=6, is_number=True),
        Column("to", [format_timecode(seconds(peak.offset)) for peak in peaks], rank=7, is_number=True),
        Column("track", [str(peak.track) for peak in peaks], rank=5, is_number=True),
    ]
    if any(people):
        columns.append(Column("person", list(map(display_name, people)), rank=3, narrowest=8))
    return Fitted(columns)


def people_table(timeline: Timeline) -> Fitted:
    """Return a row per person: time on screen, first appearance and expressions."""
    source, people = timeline.source, timeline.people
    firsts = [
        min(curve.start for curve in timeline.curves if curve.track in person.tracks) for person in people
    ]
    spent = [_expressions(timeline, person) for person in people]
    columns = [
        Column("person", [person.id for person in people]),
        Column("on screen", [time_of(person.ticks * source.time_base) for person in people], is_number=True),
        Column("tracks", [str(len(person.tracks)) for person in people], rank=3, is_number=True),
        Column("first seen", [time_of(source.seconds(first)) for first in firsts], rank=2, is_number=True),
        Column(
            "picture at", [time_of(source.seconds(person.pts)) for person in people], rank=4, is_number=True
        ),
        Column("expressions", spent, rank=1, narrowest=22),
    ]
    if any(person.name for person in people):
        columns.insert(1, Column("name", [display_name(person.name or "") for person in people], narrowest=8))
    return Fitted(columns, "Expressions are visible ones, as a model reads them.")


def time_of(seconds: float | Fraction) -> str:
    """Return a time or a length in a table: 0:05.8, 1:02:03.4."""
    return format_clock(seconds, has_tenths=True)


def _faces(timeline: Timeline) -> str:
    if not timeline.curves:
        return "none"
    tracks = counted(len(timeline.curves), "track")
    # On two lines, because terminals can be narrow.
    return f"{counted(len(timeline.people), 'person', 'people')},\n{tracks}" if timeline.people else tracks


def _seen(timeline: Timeline) -> str:
    tally = timeline.tally
    return f"{tally.with_faces / tally.decoded:.0%}" if tally.decoded else ""


def _expressions(timeline: Timeline, person: Person | None = None) -> str:
    """Return the longest expressions, each with its share of the time, and the share that is uncertain."""
    spent, doubtful = expressions(timeline, person), uncertain_ticks(timeline, person)
    total = sum(spent.values())
    text = ", ".join(f"{name} {ticks / total:.0%}" for name, ticks in list(spent.items())[:TOP] if total)
    return f"{text}; {doubtful / total:.0%} uncertain" if doubtful else text


def _peaks(timeline: Timeline) -> str:
    from fervid.timeline.peaks import rank

    source = timeline.source
    highest = rank(timeline.peaks, source.time_base, top=TOP)
    return ", ".join(f"{peak.emotion} {time_of(source.seconds(peak.apex))}" for peak in highest)
