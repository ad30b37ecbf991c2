"""CMX 3600 EDL: an event per piece, a locator per mark.

Written by hand, since otio-cmx3600-adapter always takes 29.97 for drop-frame, writes no FCM line, uses eight
letters of the file's name as the reel, and writes marker names in capitals.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TextIO

from fervid.export.editors import colours
from fervid.export.editors.edit import NOTE, Edit, Mark, Piece
from fervid.files import one_line

NO_REEL = "AX"  # a source that is not a tape
LONGEST_REEL = 32  # CMX had 8 characters; today's programs read and write 32
CHANNELS = ("V", "B", "AA/V")  # by number of audio channels: EDL has at most two
TITLE = 70  # characters


def write(edit: Edit, stream: TextIO) -> None:
    """Write the edit; everything but comments is ASCII."""
    stream.write(header(edit))
    reel = ascii_word(edit.reel or "")[:LONGEST_REEL] or NO_REEL
    channels = CHANNELS[min(edit.audio_channels, 2)]
    for number, piece in enumerate(edit.pieces(), 1):
        source = f"{edit.timecode.label(piece.start)} {edit.timecode.label(piece.end)}"
        record = f"{edit.record.label(piece.record)} {edit.record.label(piece.record + piece.length)}"
        stream.write(f"{number:03}  {reel:<8} {channels:<5} C        {source} {record}\n")
        stream.write(f"* FROM CLIP NAME: {one_line(edit.name)}\n")
        for mark in piece.marks:
            stream.write(_locator(edit, piece, mark))
        stream.write(f"* COMMENT: {NOTE}\n\n")


def header(edit: Edit) -> str:
    """Return the first lines of an EDL."""
    counting = "DROP FRAME" if edit.timecode.drops else "NON-DROP FRAME"
    return f"TITLE: {ascii_line(edit.title)[:TITLE]}\nFCM: {counting}\n\n"


def _locator(edit: Edit, piece: Piece, mark: Mark) -> str:
    """Return the line of a mark, at the programme's timecode."""
    time = edit.record.label(piece.record + mark.start - piece.start)
    colour = colours.colour_of(mark.moment.peak.emotion).locator
    return f"* LOC: {time} {colour:<7} {one_line(mark.moment.name)}\n"


def ascii_line(text: str) -> str:
    """Return text as one line of ASCII: accents are dropped, other characters become underscores."""
    bare = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return one_line("".join(letter if letter.isascii() else "_" for letter in bare))


def ascii_word(text: str) -> str:
    """Return text with only ASCII letters, digits, `_`, `-` and `.`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", ascii_line(text))
