"""Lists of inputs: names that end in NUL or in a line's end, or a table with further columns."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fervid.errors import InputError, UsageError
from fervid.files import shown

PATHS = (
    "path",
    "file",
    "input",
    "video",
    "clip",
    "filename",
    "url",
)  # what a table may call its first matter
TABLES = (".csv", ".tsv")


@dataclass(frozen=True)
class Listed:
    """What a list names, each with the further cells of its row."""

    paths: tuple[str, ...]
    cells: tuple[Mapping[str, str], ...]
    columns: tuple[str, ...]


def read(content: bytes, name: str, folder: Path | None = None) -> Listed:
    """Take a list apart; a relative path counts from where we are, or else from the list's own `folder`."""
    if b"\0" in content:
        return _plain([os.fsdecode(part) for part in content.split(b"\0")], folder)
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    columns = [cell.strip() for cell in next(csv.reader([head], delimiter=delimiter), [])]
    keys = [column.casefold() for column in columns]
    of_paths = [place for place, key in enumerate(keys) if key in PATHS]
    is_table = bool(of_paths) and not os.path.lexists(head.rstrip("\r"))
    if not is_table:
        if head.strip() and name.lower().endswith(TABLES) and not os.path.lexists(head.rstrip("\r")):
            raise UsageError(
                f"{shown(name)} has no column of paths in its first line: name one of them {PATHS[0]!r}"
            )
        return _plain(text.replace("\r\n", "\n").split("\n"), folder)
    if len(set(columns)) < len(columns):
        raise UsageError(f"{shown(name)} has two columns of one name in its first line: rename one")
    return _table(text, delimiter, columns, of_paths[0], name, folder)


def read_file(name: str) -> Listed:
    """The list in a file."""
    try:
        content = Path(name).read_bytes()
    except OSError as failure:
        raise InputError(f"cannot read the list {shown(name)}: {failure.strerror}") from failure
    return read(content, name, Path(name).absolute().parent)


def _plain(names: list[str], folder: Path | None) -> Listed:
    paths = tuple(_found(name, folder) for name in names if name.strip())
    return Listed(paths, ({},) * len(paths), ())


def _table(text: str, delimiter: str, columns: list[str], at: int, name: str, folder: Path | None) -> Listed:
    paths, cells = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        next(reader)
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(columns) or not row[at].strip():
                raise UsageError(
                    f"{shown(name)}, line {reader.line_num}: expected {len(columns)} cells and a "
                    f"{columns[at]}, found {len(row)}; quote what holds a {delimiter!r}"
                )
            paths.append(_found(row[at], folder))
            cells.append({c: v for c, v in zip(columns, row, strict=True) if c != columns[at] and c})
    except csv.Error as failure:
        raise UsageError(f"{shown(name)}, line {reader.line_num}: {failure}") from failure
    return Listed(tuple(paths), tuple(cells), tuple(c for c in columns if c != columns[at] and c))


def _found(name: str, folder: Path | None) -> str:
    if folder is not None and not os.path.isabs(name) and not os.path.lexists(name):
        beside = os.path.join(folder, name)
        if os.path.lexists(beside):
            return beside
    return name
