"""Tables of annotations: a row per annotation, with commas, semicolons or tabs between the cells."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from fractions import Fraction

from fervid.annotations import Annotation, Sheet, Tier, ordered, seconds
from fervid.errors import InputError

# Names of columns, in any case; the first name that the table has counts.
START = ("start", "begin", "onset", "from", "start_time", "begin_time", "begin_time_ss_msec", "tmin")
END = ("end", "stop", "offset", "to", "end_time", "end_time_ss_msec", "tmax")
LABEL = ("emotion", "label", "expression", "annotation", "text", "value")
TIER = ("tier",)
ANNOTATOR = ("annotator", "rater", "coder")
PERSON = ("name", "person", "participant", "who")
TRACK = ("track",)

TIMECODE = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)")


def read(data: bytes, path: str) -> Sheet:
    """Read the rows as tiers: one for each tier, person and annotator that they name."""
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
                    what: row[column].strip() if column is not None and column < len(row) else ""
                    for what, column in columns.items()
                }
                track = f"track {cells['track']}" if cells["track"] else ""
                named = (row[column].strip() for column in persons if column < len(row))
                who = next((name for name in named if name), track)
                annotation = _annotation(cells, f"{path}, line {rows.line_num}", delimiter)
                tiers[cells["tier"], who, cells["annotator"]].append(annotation)
    except csv.Error as error:
        raise InputError(f"{path} is not a table ({error}): save it as CSV in UTF-8") from error
    return Sheet(
        path,
        tuple(
            Tier(" ".join(filter(None, key)), ordered(annotations), who=key[1], annotator=key[2])
            for key, annotations in tiers.items()
        ),
        is_on_player_clock=False,
    )


def _annotation(cells: dict[str, str], line: str, delimiter: str) -> Annotation:
    start, end = (_seconds(cells[side], line, delimiter) for side in ("start", "end"))
    if end <= start:
        raise InputError(f"{line}: it ends at {cells['end']}, not after its start at {cells['start']}")
    return Annotation(start, end, cells["label"])


def _seconds(text: str, line: str, delimiter: str) -> Fraction:
    """Return seconds from a number or a timecode, with a decimal comma unless commas separate cells."""
    plain = text if delimiter == "," else text.replace(",", ".")
    try:
        if match := TIMECODE.fullmatch(plain):
            hours, minutes, rest = (seconds(part or "0") for part in match.groups())
            return hours * 3600 + minutes * 60 + rest
        return seconds(plain)
    except ValueError as error:
        raise InputError(f"{line}: {text[:40]!r} is not a time: write seconds, or HH:MM:SS.mmm") from error
