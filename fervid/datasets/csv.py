"""`csv`: a table with a row per sample: path, label, and optional columns."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from fervid.datasets import Dataset, Option, disk, layout, naming
from fervid.datasets.folder import RATE, SPLIT, rate_of
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import display_name
from fervid.times import parse_number
from fervid.types.samples import OnDisk, Sample

EXPECTED = "a csv file with the columns path,label[,subject,split,start,end,...] named in its first line"
COLUMNS = ("path", "label", "subject", "split", "start", "end")
HEAD = 1 << 16  # most bytes of the first line
ROOT = Option("", "the folder that paths are relative to; by default that of the csv")


@dataclass(frozen=True)
class _Row:
    """One line of the table, numbered from 1 as in editors."""

    line: int
    cells: Mapping[str, str]
    others: Mapping[str, str]  # cells of columns without a meaning here

    def wrong(self, problem: str) -> InputError:
        """Return an error with the number of the line."""
        return InputError(f"line {self.line}: {problem}")


@layout("csv", "a table of path,label[,subject,split,start,end,votes]", root=ROOT, split=SPLIT, rate=RATE)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the table; a wrong row is an error."""
    table, remarks, rate = disk.file(path, EXPECTED), Remarks(), rate_of(options["rate"])
    root = disk.folder(options["root"], "the folder that root= names") if options["root"] else table.parent
    try:
        rows = list(_rows(table, remarks))
        base = _base(rows)
        samples: dict[str, tuple[int, Sample]] = {}
        for row in rows:
            sample = _sample(row, root, base, rate)
            line, twin = samples.setdefault(sample.name, (row.line, sample))
            if twin is not sample:
                if twin.pixels != sample.pixels:
                    raise row.wrong(f"{sample.name} is another file in line {line}: write paths in one way")
                if twin.label != sample.label:
                    raise row.wrong(f"{sample.name} is {sample.label} here and {twin.label} in line {line}")
                remarks.count("repeated rows, left out", f"line {row.line}")
    except InputError as error:
        raise InputError(f"{display_name(path)}: {error}") from error
    kept = tuple(sample for _, sample in samples.values())
    if all(sample.subject is None for sample in kept):
        remarks.add("no column `subject`: splits count each sample as a different person")
    labels = {sample.label for sample in kept} | {label for sample in kept for label in sample.votes}
    return Dataset(naming.ordered(labels), kept, remarks.texts())


def _rows(table: Path, remarks: Remarks) -> Iterator[_Row]:
    try:
        with open(table, encoding="utf-8-sig", newline="") as stream:
            head = stream.readline(HEAD)
            delimiter = max(",;\t", key=head.count)
            stream.seek(0)
            reader = csv.reader(disk.lines(stream), delimiter=delimiter, strict=True)
            columns = [cell.strip() for cell in next(reader, [])]
            keys = [_key(column) for column in columns]
            for needed in ("path", "label"):
                if needed not in keys:
                    have = ", ".join(columns) or "nothing"
                    raise InputError(f"line 1: no column {needed!r}, only {have}; expected {EXPECTED}")
            twice = sorted({key for key in keys if key is not None and keys.count(key) > 1})
            if twice:
                raise InputError(f"line 1: two columns mean {twice[0]!r}; keep one of them")
            named = list(zip(columns, keys, strict=True))
            for column, key in named:
                if key is None:
                    remarks.count("other columns, for fervid eval --by", column or "a column without a name")
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue  # an empty line
                if len(cells) != len(columns):
                    raise InputError(f"line {reader.line_num}: {len(cells)} cells, not {len(columns)}")
                rows = [(*names, cell.strip()) for names, cell in zip(named, cells, strict=True)]
                yield _Row(
                    reader.line_num,
                    {key: cell for _, key, cell in rows if key is not None},
                    {column: cell for column, key, cell in rows if key is None and column},
                )
    except UnicodeDecodeError as failure:
        raise InputError("it is not in UTF-8; save it again as UTF-8") from failure
    except csv.Error as failure:
        raise InputError(
            f"line {reader.line_num}: it is not csv ({failure}); save it again as csv"
        ) from failure


def _key(column: str) -> str | None:
    """Return the meaning of a column: one of COLUMNS, or the label that it has votes for."""
    word = column.casefold()
    return word if word in COLUMNS else naming.label_of(word)


def _base(rows: list[_Row]) -> str:
    """Return the common folder of all absolute paths, which is removed from the names of samples."""
    absolute = [row.cells["path"] for row in rows if os.path.isabs(row.cells["path"])]
    return os.path.commonpath([os.path.dirname(path) for path in absolute]) if absolute else ""


def _sample(row: _Row, root: Path, base: str, rate: Fraction) -> Sample:
    written = row.cells["path"]
    if not written:
        raise row.wrong("the path is empty")
    label = naming.label_of(row.cells["label"])
    if label is None:
        raise row.wrong(f"{row.cells['label']!r} is not a label of fervid; it has {naming.FULL_WORDS}")
    path = root / written
    if os.sep == "/" and "\\" in written and not path.exists():
        written = written.replace("\\", "/")  # written on Windows
        path = root / written
    start, end = _seconds(row, "start"), _seconds(row, "end")
    if end is not None and end <= (start or 0):
        raise row.wrong(f"end ({float(end):g} s) is not after start ({float(start or 0):g} s)")
    name = os.path.relpath(written, base) if os.path.isabs(written) else written
    if start is not None or end is not None:
        name += f"@{row.cells.get('start', '')}-{row.cells.get('end', '')}"
    return Sample(
        Path(name).as_posix(),
        label,
        OnDisk(str(path), start, end, rate=rate if path.is_dir() else None),
        votes=_votes(row),
        subject=row.cells.get("subject") or None,
        split=row.cells.get("split") or None,
        columns=row.others,
    )


def _seconds(row: _Row, column: str) -> Fraction | None:
    text = row.cells.get(column, "")
    if not text:
        return None
    try:
        seconds = parse_number(text)
    except ValueError as failure:
        raise row.wrong(f"{column} is {text!r}, which is not a number of seconds") from failure
    if seconds < 0:
        raise row.wrong(f"{column} is {text}, before the start of the video")
    return seconds


def _votes(row: _Row) -> dict[str, float]:
    """Return the shares of the labels with votes; empty if there are no votes."""
    votes: dict[str, Fraction] = {}
    for label in naming.ORDER:
        text = row.cells.get(label, "")
        try:
            vote = parse_number(text) if text else Fraction(0)
        except ValueError as failure:
            raise row.wrong(f"the votes for {label} are {text!r}, which is not a number") from failure
        if vote < 0:
            raise row.wrong(f"the votes for {label} are {text}, below 0")
        if vote:
            votes[label] = vote
    total = sum(votes.values())
    return {label: float(vote / total) for label, vote in votes.items()}
