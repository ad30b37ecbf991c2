"""Cues of text over time, as SubRip (.srt) or WebVTT (.vtt)."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TextIO

from fervid.errors import UsageError
from fervid.export.editors.edit import Edit
from fervid.export.timelines.fields import NOTE, number
from fervid.export.timelines.tiers import clean, names, player_seconds
from fervid.times import format_timecode
from fervid.types import Timeline

FORMATS = ("srt", "vtt")


@dataclass(frozen=True)
class Cue:
    """A line of text, and when to show it in seconds of the player's clock."""

    start: Fraction
    end: Fraction
    text: str


def write(cues: Iterable[Cue], stream: TextIO, format: str) -> None:
    """Write the cues by start, each for at least a millisecond.

    WebVTT gets a note on what scores mean; SubRip has no comments.
    """
    if format not in FORMATS:
        raise UsageError(f"unknown subtitle format {format!r}: choose one of {', '.join(FORMATS)}")
    if format == "vtt":
        stream.write(f"WEBVTT\n\nNOTE\n{NOTE}\n")
    ordered = sorted(cues, key=lambda cue: cue.start)
    for count, cue in enumerate(ordered, 1):
        start = max(0, round(cue.start * 1000))
        end = max(start + 1, round(cue.end * 1000))
        if format == "vtt":
            times = f"{format_timecode(start / 1000)} --> {format_timecode(end / 1000)}"
            stream.write(f"\n{count}\n{times}\n{html.escape(clean(cue.text), quote=False)}\n")
        else:
            times = f"{format_timecode(start / 1000, ',')} --> {format_timecode(end / 1000, ',')}"
            # SubRip has no escapes: an arrow in the text would be read as times.
            stream.write(f"{count}\n{times}\n{clean(cue.text).replace('-->', '->')}\n\n")


def cues(timeline: Timeline) -> list[Cue]:
    """Return a cue per segment: emotion, score, a mark if uncertain, the person if there are several."""
    called = names(timeline)
    has_several = len({called[segment.track] for segment in timeline.segments}) > 1
    return [
        Cue(
            player_seconds(timeline, segment.start),
            player_seconds(timeline, segment.end),
            (f"{called[segment.track]}: " if has_several else "")
            + ("uncertain: " if segment.is_uncertain else "")
            + f"{segment.emotion} {number(segment.confidence):.2f}",
        )
        for segment in timeline.segments
    ]


def srt(timeline: Timeline, stream: TextIO) -> None:
    """Write the segments of a timeline as SubRip."""
    write(cues(timeline), stream, "srt")


def vtt(timeline: Timeline, stream: TextIO) -> None:
    """Write the segments of a timeline as WebVTT."""
    write(cues(timeline), stream, "vtt")


def moments(edit: Edit) -> list[Cue]:
    """Return a cue per chosen peak."""
    return [
        Cue(moment.start + edit.clock_offset, moment.end + edit.clock_offset, moment.name)
        for moment in edit.moments
    ]


def peaks_srt(edit: Edit, stream: TextIO) -> None:
    """Write peaks as SubRip."""
    write(moments(edit), stream, "srt")


def peaks_vtt(edit: Edit, stream: TextIO) -> None:
    """Write peaks as WebVTT."""
    write(moments(edit), stream, "vtt")
