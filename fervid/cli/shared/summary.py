"""Tables for the terminal: the results of an analysis, peaks and people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from fervid.files import shown
from fervid.timeline.people import expressions
from fervid.times import clock, timecode

if TYPE_CHECKING:
    from fervid.types import Timeline

TOP = 3  # expressions and peaks in a row


def table(timelines: Sequence[Timeline]) -> Table:
    """Return a row per video: its length, its faces, their expressions and the highest peaks."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("video", "length", "faces", "seen", "expressions", "highest peaks"):
        justify: Literal["left", "right"] = "right" if heading in ("length", "seen") else "left"
        rows.add_column(heading, overflow="fold", justify=justify)
    for timeline in timelines:
        rows.add_row(
            shown(timeline.source.name) + ("" if timeline.tally.complete else " (incomplete)"),
            clock(timeline.source.duration * timeline.source.time_base),
            _faces(timeline),
            _seen(timeline),
            _expressions(expressions(timeline)),
            _peaks(timeline),
        )
    if not all(timeline.model.trained for timeline in timelines):
        rows.caption = "The model is untrained: its scores mean nothing."
    return rows


def write_peaks(timeline: Timeline, stream: TextIO) -> None:
    """Write a timeline's peaks as a table, if there are any."""
    if timeline.peaks:
        console(stream).print(peak_table(timeline))


def console(stream: TextIO) -> Console:
    """Return a console on a stream; without a terminal it has 120 columns, so that lines stay whole."""
    width = None if stream.isatty() else 120
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


def peak_table(timeline: Timeline) -> Table:
    """Return a row per peak, in the order of the timeline."""
    has_people = any(peak.person for peak in timeline.peaks)
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("rank", "time", "emotion", "score", "prominence", "from", "to", "track"):
        rows.add_column(heading, justify="left" if heading == "emotion" else "right")
    if has_people:
        rows.add_column("person")
    for rank, peak in enumerate(timeline.peaks, 1):
        apex, onset, offset = (
            timecode(timeline.source.seconds(pts)) for pts in (peak.apex, peak.onset, peak.offset)
        )
        rows.add_row(
            str(rank),
            apex,
            peak.emotion,
            f"{peak.score:.2f}",
            f"{peak.prominence:.2f}",
            onset,
            offset,
            str(peak.track),
            *([peak.person or ""] if has_people else []),
        )
    return rows


def people_table(timeline: Timeline) -> Table:
    """Return a row per person: time on screen, first appearance and expressions."""
    source = timeline.source
    caption = "Expressions are visible ones, as a model reads them."
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption)
    for heading in ("person", "name", "on screen", "tracks", "first seen", "picture at", "expressions"):
        is_text = heading in ("person", "name", "expressions")
        rows.add_column(heading, overflow="fold", justify="left" if is_text else "right")
    for person in timeline.people:
        first = min(curve.start for curve in timeline.curves if curve.track in person.tracks)
        rows.add_row(
            person.id,
            shown(person.name or ""),
            clock(person.ticks * source.time_base),
            str(len(person.tracks)),
            timecode(source.seconds(first)),
            timecode(source.seconds(person.pts)),
            _expressions(expressions(timeline, person)),
        )
    return rows


def _faces(timeline: Timeline) -> str:
    if not timeline.curves:
        return "none"
    tracks = f"{len(timeline.curves)} track{'s' if len(timeline.curves) > 1 else ''}"
    if not timeline.people:
        return tracks
    # On two lines, because terminals can be narrow.
    return f"{len(timeline.people)} {'person' if len(timeline.people) == 1 else 'people'},\n{tracks}"


def _seen(timeline: Timeline) -> str:
    tally = timeline.tally
    return f"{tally.with_faces / tally.decoded:.0%}" if tally.decoded else ""


def _expressions(spent: Mapping[str, int]) -> str:
    """Return the longest expressions, each with its share of the time."""
    total = sum(spent.values())
    return ", ".join(f"{name} {ticks / total:.0%}" for name, ticks in list(spent.items())[:TOP] if total)


def _peaks(timeline: Timeline) -> str:
    from fervid.timeline.peaks import rank

    source = timeline.source
    highest = rank(timeline.peaks, source.time_base, top=TOP)
    return ", ".join(f"{peak.emotion} {clock(source.seconds(peak.apex))}" for peak in highest)
