"""Auto-Editor's v1 timeline: the frames of the video to keep and to cut, in order."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TextIO

from fervid.export.editors.edit import NOTE, Edit

KEEP, CUT = 1.0, 99999.0  # speeds; the highest one cuts a part out


def write(edit: Edit, stream: TextIO) -> None:
    """Write the moments as parts to keep. Frames are counted at the mean rate, as Auto-Editor counts them."""
    head = {"version": "1", "source": edit.name, "note": NOTE}
    stream.write(json.dumps(head, ensure_ascii=False, indent=2)[:-2] + ',\n  "chunks": [\n')
    stream.write(",\n".join(f"    {json.dumps(chunk)}" for chunk in chunks(edit)))
    stream.write("\n  ]\n}\n")


def chunks(edit: Edit) -> list[tuple[int, int, float]]:
    """Return the parts (start, end, speed) in frames, without gaps; moments that overlap are one part."""
    end = max(1, _frame(edit, edit.duration))
    parts: list[tuple[int, int, float]] = []
    position = 0
    for moment in sorted(edit.moments, key=lambda moment: moment.start):
        start = max(position, min(_frame(edit, moment.start), end - 1))
        stop = min(max(_frame(edit, moment.end), start + 1), end)
        if stop <= start:
            continue
        if start > position:
            parts.append((position, start, CUT))
        if parts and parts[-1][2] == KEEP and start == position:
            start = parts.pop()[0]
        parts.append((start, stop, KEEP))
        position = stop
    if position < end:
        parts.append((position, end, CUT))
    return parts


def _frame(edit: Edit, seconds: Fraction) -> int:
    """Return the frame that begins nearest to a time."""
    return (2 * seconds * edit.rate + 1).__floor__() // 2
