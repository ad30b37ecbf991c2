"""DaVinci Resolve's EDL of timeline markers, which no library writes."""

from __future__ import annotations

from itertools import groupby
from typing import TextIO

from fervid.export.editors import colours
from fervid.export.editors.edit import Edit
from fervid.export.editors.edl import header
from fervid.files import one_line


def write(edit: Edit, stream: TextIO) -> None:
    """Write a marker for each marked frame; Resolve allows one per frame, so moments may share it."""
    stream.write(header(edit))
    marks = sorted(map(edit.mark, edit.moments), key=lambda mark: (mark.start, mark.moment.rank))
    for number, (start, group) in enumerate(groupby(marks, lambda mark: mark.start), 1):
        together = list(group)
        # The event is always one frame long; the marker's length follows D.
        span = f"{edit.timecode.label(start)} {edit.timecode.label(start + 1)}"
        note, name = (
            " / ".join(_field(getattr(mark.moment, text)) for mark in together)
            for text in ("comment", "name")
        )
        colour = colours.colour_of(together[0].moment.peak.emotion).resolve
        length = max(mark.length for mark in together)
        stream.write(f"{number:03}  001      V     C        {span} {span}\n")
        stream.write(f"{note} |C:ResolveColor{colour} |M:{name} |D:{length}\n\n")


def _field(text: str) -> str:
    """Return text without the bars that separate fields."""
    return one_line(text).replace("|", "/")
