"""FFmpeg's metadata: a chapter for each moment, on the clock that a player shows."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from itertools import groupby, zip_longest
from typing import TextIO

from fervid.export.editors.edit import NOTE, Edit
from fervid.files import one_line

TICKS = 1000  # of a chapter, per second: mp4 knows no finer ones


def write(edit: Edit, stream: TextIO) -> None:
    """Write chapters that do not overlap: each ends where the next begins; what begins together is one.

    In mp4 the first chapter begins at zero whatever it says, so that one stands before the first moment.
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
    """A moment on the player's clock: never before its frame is shown."""
    return math.ceil((seconds + edit.clock_offset) * TICKS)


def _value(text: str) -> str:
    return re.sub(r"([=;#\\])", r"\\\1", one_line(text))
