"""Tables for people: what an analysis found, and lists of peaks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from fervid.times import clock, timecode

if TYPE_CHECKING:
    from fervid.export.timelines.shapes import Clock
    from fervid.types import Curve, Peak, Timeline

TOP = 3  # emotions and peaks that a summary names


def table(timelines: Sequence[Timeline]) -> Table:
    """A row per video: its length, who was seen for how much of it, and what the faces showed most."""
    found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("video", "length", "faces", "seen", "expressions", "highest peaks"):
        found.add_column(
            heading, overflow="fold", justify="right" if heading in ("length", "seen") else "left"
        )
    for timeline in timelines:
        name = timeline.video.name if timeline.tally.complete else f"{timeline.video.name} (incomplete)"
        found.add_row(
            Text(name),
            clock(timeline.video.duration * timeline.video.time_base),
            _faces(timeline),
            _seen(timeline),
            _expressions(timeline),
            _peaks(timeline),
        )
    if not all(timeline.model.trained for timeline in timelines):
        found.caption = "The model is untrained: its scores mean nothing."
    return found


def peak_table(peaks: Sequence[Peak], times: Clock) -> Table:
    """A row per peak, in the order given."""
    has_people = any(peak.person for peak in peaks)
    found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("rank", "time", "emotion", "score", "prominence", "from", "to", "track"):
        found.add_column(heading, justify="left" if heading == "emotion" else "right")
    if has_people:
        found.add_column("person")
    for rank, peak in enumerate(peaks, 1):
        found.add_row(
            str(rank),
            timecode(times.seconds(peak.apex)),
            peak.emotion,
            f"{peak.score:.2f}",
            f"{peak.prominence:.2f}",
            timecode(times.seconds(peak.onset)),
            timecode(times.seconds(peak.offset)),
            str(peak.track),
            *([peak.person or ""] if has_people else []),
        )
    return found


def people_table(rows: Sequence[Mapping[str, Any]], curves: Sequence[Curve], times: Clock) -> Table:
    """A row per person: for how long, since when, and what the face showed most."""
    found = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, caption="Expressions are visible ones, as a model reads them."
    )
    for heading in ("person", "name", "on screen", "tracks", "first seen", "picture at", "expressions"):
        is_text = heading in ("person", "name", "expressions")
        found.add_column(heading, overflow="fold", justify="left" if is_text else "right")
    for row in rows:
        shown = row["expressions"]
        total = sum(shown.values())
        first = min(curve.start for curve in curves if curve.track in row["tracks"])
        found.add_row(
            row["id"],
            Text(row["name"] or ""),
            clock(row["on_screen"]["seconds"]),
            str(len(row["tracks"])),
            timecode(times.seconds(first)),
            timecode(row["portrait"]["time"]["seconds"]),
            ", ".join(
                f"{emotion} {seconds / total:.0%}" for emotion, seconds in list(shown.items())[:TOP] if total
            ),
        )
    return found


def _faces(timeline: Timeline) -> str:
    if not timeline.curves:
        return "none"
    tracks = f"{len(timeline.curves)} track{'s' if len(timeline.curves) > 1 else ''}"
    if not timeline.people:
        return tracks
    # A line each: the table is as narrow as a terminal may be.
    return f"{len(timeline.people)} {'person' if len(timeline.people) == 1 else 'people'},\n{tracks}"


def _seen(timeline: Timeline) -> str:
    tally = timeline.tally
    return f"{tally.with_faces / tally.decoded:.0%}" if tally.decoded else ""


def _expressions(timeline: Timeline) -> str:
    spent: dict[str, int] = defaultdict(int)
    for segment in timeline.segments:
        spent[segment.emotion] += segment.end - segment.start
    total = sum(spent.values())
    longest = sorted(spent.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP]
    return ", ".join(f"{emotion} {ticks / total:.0%}" for emotion, ticks in longest)


def _peaks(timeline: Timeline) -> str:
    from fervid.timeline.peaks import rank

    video = timeline.video
    highest = rank(timeline.peaks, video.time_base, top=TOP)
    return ", ".join(f"{peak.emotion} {clock(video.seconds(peak.apex))}" for peak in highest)
