"""Lists of inputs: names separated by NUL or by lines, or a table with further columns."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fervid.errors import InputError, UsageError
from fervid.files import display_name, read_limited

# Names of the column of paths.
PATHS = ("path", "file", "input", "video", "clip", "filename", "url")
TABLES = (".csv", ".tsv")
MOST_BYTES = 1 << 28  # of a list


@dataclass(frozen=True)
class PathList:
    """The paths of a list, each with the other cells of its row."""

    paths: tuple[str, ...]
    cells: tuple[Mapping[str, str], ...]
    columns: tuple[str, ...]


def read(content: bytes, name: str, folder: Path | None = None) -> PathList:
    """Parse a list. Relative paths are looked up in the current folder, then in the list's own `folder`."""
    if b"\0" in content:
        return _plain([os.fsdecode(part) for part in content.split(b"\0")], folder)
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    columns = [cell.strip() for cell in next(csv.reader([head], delimiter=delimiter), [])]
    keys = [column.casefold() for column in columns]
    of_paths = [index for index, key in enumerate(keys) if key in PATHS]
    is_table = bool(of_paths) and not os.path.lexists(head.rstrip("\r"))
    if not is_table:
        if head.strip() and name.lower().endswith(TABLES) and not os.path.lexists(head.rstrip("\r")):
            raise UsageError(
                f"{display_name(name)} has no column of paths in its first line: name one {PATHS[0]!r}"
            )
        return _plain(text.replace("\r\n", "\n").split("\n"), folder)
    if len(set(columns)) < len(columns):
        raise UsageError(
            f"{display_name(name)} has two columns with the same name in its first line: rename one"
        )
    return _table(text, delimiter, columns, of_paths[0], name, folder)


def read_file(name: str) -> PathList:
    """Read a list from a file."""
    try:
        with open(name, "rb") as stream:
            content = read_limited(stream, MOST_BYTES)
    except OSError as failure:
        raise InputError(f"cannot read the list {display_name(name)}: {failure.strerror}") from failure
    return read(content, name, Path(name).absolute().parent)


def _plain(names: list[str], folder: Path | None) -> PathList:
    paths = tuple(_resolve(name, folder) for name in names if name.strip())
    return PathList(paths, ({},) * len(paths), ())


def _table(
    text: str, delimiter: str, columns: list[str], at: int, name: str, folder: Path | None
) -> PathList:
    paths, cells = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        next(reader)
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(columns) or not row[at].strip():
                raise UsageError(
                    f"{display_name(name)}, line {reader.line_num}: expected {len(columns)} cells and a "
                    f"{columns[at]}, not {len(row)}; quote cells that contain {delimiter!r}"
                )
            paths.append(_resolve(row[at], folder))
            cells.append({c: v for c, v in zip(columns, row, strict=True) if c != columns[at] and c})
    except csv.Error as failure:
        raise UsageError(f"{display_name(name)}, line {reader.line_num}: {failure}") from failure
    return PathList(tuple(paths), tuple(cells), tuple(c for c in columns if c != columns[at] and c))


def _resolve(name: str, folder: Path | None) -> str:
    if folder is not None and not os.path.isabs(name) and not os.path.lexists(name):
        beside = os.path.join(folder, name)
        if os.path.lexists(beside):
            return beside
    return name
