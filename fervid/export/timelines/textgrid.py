"""A timeline as a Praat TextGrid: an interval tier per person or track, and a point tier of peaks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TextIO

from fervid.export.timelines.fields import DECIMALS, NOTE, number
from fervid.export.timelines.tiers import moments, player_seconds, tiers, unique
from fervid.types import Timeline

SHORTEST = Fraction(1, 1000)  # seconds: Praat does not open a TextGrid of no length


def write(timeline: Timeline, stream: TextIO) -> None:
    """Write the timeline on the player's clock, with a last tier that explains the scores.

    Praat's format has comments, but few other programs can read them.
    """
    all_tiers = tiers(timeline)
    peaks = moments(timeline)
    length = player_seconds(timeline, timeline.source.start + timeline.source.duration)
    ends = [player_seconds(timeline, tier.segments[-1].end) for tier in all_tiers]
    length = max([length, SHORTEST, *ends, *(time for time, _ in peaks)])
    end = _seconds(length)
    stream.write(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
        f"xmin = 0\nxmax = {end}\ntiers? <exists>\nsize = {len(all_tiers) + 2}\nitem []:\n"
    )
    taken: set[str] = set()
    for index, tier in enumerate(all_tiers, 1):
        rows = [
            (
                _seconds(player_seconds(timeline, segment.start)),
                _seconds(player_seconds(timeline, segment.end)),
                segment.emotion,
            )
            for segment in tier.segments
        ]
        _intervals(stream, index, unique(tier.name, taken), rows, end)
    _points(stream, len(all_tiers) + 1, unique("peaks", taken), peaks, end)
    _intervals(stream, len(all_tiers) + 2, unique("note", taken), [("0", end, NOTE)], end)


def _intervals(stream: TextIO, index: int, name: str, rows: Sequence[tuple[str, str, str]], end: str) -> None:
    """Write an interval tier; Praat needs an interval without text wherever no row is."""
    filled, reached = [], "0"
    for low, high, text in rows:
        if float(low) > float(reached):
            filled.append((reached, low, ""))
            reached = low
        if float(high) > float(reached):  # false where a tick is shorter than the last decimal
            filled.append((reached, high, text))
            reached = high
    if float(end) > float(reached):
        filled.append((reached, end, ""))
    _head(stream, index, "IntervalTier", name, end)
    stream.write(f"        intervals: size = {len(filled)}\n")
    for count, (low, high, text) in enumerate(filled, 1):
        stream.write(
            f"        intervals [{count}]:\n"
            f"            xmin = {low}\n            xmax = {high}\n            text = {_quoted(text)}\n"
        )


def _points(stream: TextIO, index: int, name: str, moments: Sequence[tuple[Fraction, str]], end: str) -> None:
    _head(stream, index, "TextTier", name, end)
    stream.write(f"        points: size = {len(moments)}\n")
    for count, (time, text) in enumerate(moments, 1):
        stream.write(
            f"        points [{count}]:\n"
            f"            number = {_seconds(time)}\n            mark = {_quoted(text)}\n"
        )


def _head(stream: TextIO, index: int, kind: str, name: str, end: str) -> None:
    stream.write(
        f'    item [{index}]:\n        class = "{kind}"\n        name = {_quoted(name)}\n'
        f"        xmin = 0\n        xmax = {end}\n"
    )


def _seconds(time: Fraction) -> str:
    """Return a time as text without an exponent, which some programs cannot read, or final zeros."""
    return f"{number(time):.{DECIMALS}f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
