"""`fer2013`: FER2013, a table of 35,887 grey faces, 48x48, as numbers; optionally with FER+'s votes."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fervid.datasets import ALL, Dataset, Option, disk, layout, tagging
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError, UsageError
from fervid.files import display_name
from fervid.types import Bytes
from fervid.types.samples import Picture, Sample

EXPECTED = "fer2013.csv (emotion,pixels,Usage) or icml_face_data.csv (the same columns in another order)"
FILES = ("fer2013.csv", "icml_face_data.csv")
ROWS = 35_887
LINE = 1 << 17  # most bytes of a line; 2,304 numbers take a tenth of it
SPACE, ZERO = 32, 48  # in ASCII


@dataclass(frozen=True, eq=False)
class _Row:
    """One picture of the table; `index` counts all rows, including those left out."""

    index: int
    code: int
    usage: str
    picture: Bytes


@layout(
    "fer2013",
    "FER2013: a csv of grey 48x48 pictures, 7 classes; 8 with FER+'s votes",
    usage=Option(ALL, "only this part", (*tagging.USAGES, ALL)),
    votes=Option("", "FER+'s fer2013new.csv, beside the csv or at this path: shares, not one label"),
    labels=tagging.LABELS,
    classes=tagging.CLASSES,
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the pictures, with the labels of the options."""
    by_majority = options["labels"] == "majority"
    if not options["votes"] and (by_majority or options["classes"] == "8"):
        option = "labels=majority" if by_majority else "classes=8"
        raise UsageError(f"{option} needs FER+'s votes: give votes=fer2013new.csv")
    table, remarks = _table(path), Remarks()
    tags = _votes(_beside(table, options["votes"])) if options["votes"] else None
    rows = list(_rows(table, options["usage"], tags, remarks))
    chosen = tagging.CHOSEN[options["classes"]]
    votes = None if tags is None else tags[1][[row.index for row in rows]]
    labelled = tagging.label([row.code for row in rows], votes, chosen, by_majority, True)
    samples = []
    for row, labelling in zip(rows, labelled, strict=True):
        name = f"{row.usage}/{row.index:05}"
        if labelling is None:
            remarks.count("pictures on which FER+'s taggers did not agree, left out", name)
            continue
        if not row.picture.any():
            remarks.count("black pictures, kept", name)
        samples.append(Sample(name, labelling[0], Picture(row.picture), votes=labelling[1], split=row.usage))
    remarks.add_without_people("FER2013", "picture")
    return Dataset(chosen, tuple(samples), remarks.texts())


def _table(path: str) -> Path:
    root = disk.expand(path)
    if root.is_dir():
        for folder in (root, *disk.folders(root)):
            for name in FILES:
                if (folder / name).is_file():
                    return disk.file(folder / name, EXPECTED)
        raise InputError(
            f"{display_name(path)} is not FER2013: expected {EXPECTED}; {disk.listing(root)}; "
            f"if it has a folder of pictures for each class, write folder:{display_name(path)}"
        )
    return disk.file(path, EXPECTED)


def _beside(table: Path, votes: str) -> Path:
    beside = table.parent / votes
    return disk.file(beside if beside.exists() else Path(votes), "FER+'s table fer2013new.csv")


def _rows(
    table: Path, usage: str, tags: tuple[list[str], tagging.Votes] | None, remarks: Remarks
) -> Iterator[_Row]:
    with open(table, "rb") as stream:
        head = [cell.decode("ascii", "replace") for cell in _cells(stream.readline(LINE))]
        columns = [cell.removeprefix("\ufffd" * 3).casefold() for cell in head]  # a byte order mark
        if not {"emotion", "pixels", "usage"} <= set(columns):
            line = display_name(", ".join(head)[:80])
            raise InputError(
                f"{display_name(table)} is not FER2013: expected {EXPECTED}; its first line is {line}"
            )
        emotion, pixels, part = (columns.index(name) for name in ("emotion", "pixels", "usage"))
        index = -1
        while text := stream.readline(LINE):
            cells = _cells(text)
            if cells == [b""]:
                continue
            index += 1
            where = f"row {index}"
            if len(cells) != len(columns):
                remarks.count("rows with too few or too many columns, left out", where)
                continue
            name = cells[part].decode("ascii", "replace")
            if tags is not None and (index >= len(tags[0]) or tags[0][index] != name):
                raise InputError(
                    f"row {index} has different parts in {display_name(table)} and in FER+'s table: "
                    "use both files complete and in their original order"
                )
            if name not in tagging.USAGES:
                remarks.count("rows of an unknown part, left out", where)
                continue
            if usage not in (name, ALL):
                continue
            picture, code = _numbers(cells[pixels]), cells[emotion]
            if picture is None:
                remarks.count(f"rows without {tagging.SIDE}x{tagging.SIDE} pixels, left out", where)
            elif not code.isdigit() or int(code) >= len(tagging.CODES):
                remarks.count("rows with an emotion that is not a code from 0 to 6, left out", where)
            else:
                yield _Row(index, int(code), name, picture)
    if tags is not None and index + 1 != len(tags[0]):
        raise InputError(
            f"{display_name(table)} has {index + 1:,} rows and FER+'s table {len(tags[0]):,}: "
            "they are of different sets, or a file is incomplete; copy both again"
        )
    if index + 1 != ROWS:
        remarks.add(f"{index + 1:,} rows; the whole set has {ROWS:,}")


def _cells(line: bytes) -> list[bytes]:
    """Split a line at commas, which no cell contains, and strip spaces and quotes."""
    return [cell.strip(b' "\t\r\n') for cell in line.split(b",")]


def _numbers(text: bytes) -> Bytes | None:
    """Return decimal numbers with single spaces between them as a picture, or None if they are not that.

    It parses the digits of the whole row at once, several times as fast as the built-in ways.
    """
    letters = np.frombuffer(text, np.uint8)
    ends = np.append(np.flatnonzero(letters == SPACE), len(letters))
    if len(ends) != tagging.SIDE**2:
        return None
    widths = np.diff(ends, prepend=-1) - 1
    digits = letters - ZERO  # wraps below zero, so that all but digits exceed 9
    if widths.min() < 1 or widths.max() > 3 or np.count_nonzero(digits > 9) != len(ends) - 1:
        return None
    padded = np.concatenate([np.zeros(2, np.uint16), digits.astype(np.uint16)])
    values = padded[ends + 1]
    values += 10 * padded[ends] * (widths > 1)
    values += 100 * padded[ends - 1] * (widths > 2)
    if values.max() > 255:
        return None
    return values.astype(np.uint8).reshape(tagging.SIDE, tagging.SIDE)


def _votes(table: Path) -> tuple[list[str], tagging.Votes]:
    """Return the part and the votes of each row of FER+'s table."""
    usages, counts = [], []
    try:
        with open(table, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(disk.lines(stream))
            head = [cell.strip().casefold() for cell in next(reader, [])]
            missing = [name for name in ("Usage", *tagging.COLUMNS) if name.casefold() not in head]
            if missing:
                raise InputError(f"{display_name(table)} is not FER+: it has no column {missing[0]!r}")
            usage = head.index("usage")
            columns = [head.index(name.casefold()) for name in tagging.COLUMNS]
            for cells in reader:
                usages.append(cells[usage].strip())
                counts.append([int(cells[column]) for column in columns])
    except (UnicodeDecodeError, ValueError, IndexError, csv.Error) as failure:
        raise InputError(f"row {len(counts)} of {display_name(table)} cannot be read: {failure}") from failure
    return usages, np.array(counts, np.int64).reshape(-1, len(tagging.COLUMNS))
