"""Annotations in a table: a row each, with commas, semicolons or tabs between the cells."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from fractions import Fraction

from fervid.annotations import Annotation, Sheet, Tier, ordered, seconds
from fervid.errors import InputError

# What columns are called, in any case; the first that is there counts.
START = ("start", "begin", "onset", "from", "start_time", "begin_time", "begin_time_ss_msec", "tmin")
END = ("end", "stop", "offset", "to", "end_time", "end_time_ss_msec", "tmax")
LABEL = ("emotion", "label", "expression", "annotation", "text", "value")
TIER = ("tier",)
ANNOTATOR = ("annotator", "rater", "coder")
PERSON = ("name", "person", "participant", "who")
TRACK = ("track",)

TIMECODE = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)")


def read(data: bytes, path: str) -> Sheet:
    """The rows as tiers: of each tier, annotator and person that they name."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text: save it as CSV in UTF-8") from error
    first = text.partition("\n")[0]
    delimiter = max("\t;,", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [re.sub(r"\W+", "_", name.strip().casefold()) for name in next(rows, [])]
        columns = {
            what: next((header.index(name) for name in names if name in header), None)
            for what, names in (
                ("start", START),
                ("end", END),
                ("label", LABEL),
                ("tier", TIER),
                ("annotator", ANNOTATOR),
                ("track", TRACK),
            )
        }
        persons = [header.index(name) for name in PERSON if name in header]
        missing = [what for what in ("start", "end", "label") if columns[what] is None]
        if missing:
            raise InputError(
                f"{path} has no column {missing[0]!r}: its first row should name start, end and label"
            )
        tiers: dict[tuple[str, str, str], list[Annotation]] = defaultdict(list)
        for row in rows:
            if any(cell.strip() for cell in row):
                cells = {
                    what: row[place].strip() if place is not None and place < len(row) else ""
                    for what, place in columns.items()
                }
                track = f"track {cells['track']}" if cells["track"] else ""
                named = (row[place].strip() for place in persons if place < len(row))
                who = next((name for name in named if name), track)
                found = _annotation(cells, f"{path}, line {rows.line_num}", delimiter)
                tiers[cells["tier"], who, cells["annotator"]].append(found)
    except csv.Error as error:
        raise InputError(f"{path} is no table ({error}): save it as CSV in UTF-8") from error
    return Sheet(
        path,
        tuple(
            Tier(" ".join(filter(None, key)), ordered(found), who=key[1], annotator=key[2])
            for key, found in tiers.items()
        ),
        is_on_player_clock=False,
    )


def _annotation(cells: dict[str, str], place: str, delimiter: str) -> Annotation:
    start, end = (_seconds(cells[side], place, delimiter) for side in ("start", "end"))
    if end <= start:
        raise InputError(f"{place}: it ends at {cells['end']}, not after its start at {cells['start']}")
    return Annotation(start, end, cells["label"])


def _seconds(text: str, place: str, delimiter: str) -> Fraction:
    """Seconds as a number, or a timecode; a decimal comma is understood where it separates no cells."""
    plain = text if delimiter == "," else text.replace(",", ".")
    if found := TIMECODE.fullmatch(plain):
        hours, minutes = int(found[1] or 0), int(found[2])
        return hours * 3600 + minutes * 60 + Fraction(found[3])
    try:
        return seconds(plain)
    except ValueError as error:
        raise InputError(f"{place}: {text!r} is no time: write seconds, or HH:MM:SS.mmm") from error
