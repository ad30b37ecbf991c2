"""FFmpeg's metadata format: a chapter per moment, on the player's clock."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from itertools import groupby, zip_longest
from typing import TextIO

from fervid.export.editors.edit import NOTE, Edit
from fervid.files import one_line

TICKS = 1000  # per second: mp4 chapters have milliseconds


def write(edit: Edit, stream: TextIO) -> None:
    """Write chapters without overlaps: each is cut off at the next; moments with the same start are one.

    In mp4 the first chapter always begins at zero, so there is a chapter before the first moment.
    """
    stream.write(f";FFMETADATA1\ncomment={_value(NOTE)}\n")
    moments = sorted(edit.moments, key=lambda moment: (moment.start, moment.rank))
    groups = [
        (start, list(group)) for start, group in groupby(moments, lambda moment: _ticks(edit, moment.start))
    ]
    starts = [start for start, _ in groups]
    if starts and starts[0] > 0:
        _chapter(stream, 0, starts[0], edit.name)
    for (start, group), following in zip_longest(groups, starts[1:]):
        end = max(start + 1, *(_ticks(edit, moment.end) for moment in group))
        title = " / ".join(moment.name for moment in group)
        _chapter(stream, start, end if following is None else min(end, following), title)


def _chapter(stream: TextIO, start: int, end: int, title: str) -> None:
    stream.write(f"[CHAPTER]\nTIMEBASE=1/{TICKS}\nSTART={start}\nEND={end}\ntitle={_value(title)}\n")


def _ticks(edit: Edit, seconds: Fraction) -> int:
    """Return ticks of the player's clock, rounded up: never before the frame is shown."""
    return math.ceil((seconds + edit.clock_offset) * TICKS)


def _value(text: str) -> str:
    return re.sub(r"([=;#\\])", r"\\\1", one_line(text))
