"""Columns of a table for grouping the samples of an evaluation: by age, camera, or any other."""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path

from fervid.errors import InputError, UsageError
from fervid.files import display_name, read_text
from fervid.types.samples import Sample

KEYS = ("name", "subject")  # columns that identify samples in a table
OWN = ("subject", "split", "origin")  # facts of every sample that can be a column
UNKNOWN = "unknown"  # the group of an empty cell
MOST = 50  # groups
MOST_BYTES = 1 << 28  # of a table


def read(path: str) -> tuple[str, dict[str, Mapping[str, str]]]:
    """Return the one of KEYS that a table has, and the other columns of each row."""
    try:
        text = read_text(Path(path), MOST_BYTES).removeprefix("\ufeff")
        table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        key = next((name for name in KEYS if name in (table.fieldnames or ())), None)
        if key is None:
            raise InputError(
                f"{display_name(path)} has no column name or subject: name one of them in its first line"
            )
        rows: dict[str, Mapping[str, str]] = {
            str(row[key]).strip(): {k: v for k, v in row.items() if k and v is not None} for row in table
        }
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{display_name(path)} cannot be read as csv: {error}") from error
    return key, rows


def groups(samples: Sequence[Sample], wanted: str, table: str | None = None) -> list[str]:
    """Return the group of each sample by a column; `age:30,50` groups numbers between these edges."""
    column, sign, text = wanted.partition(":")
    edges = _edges(wanted, text) if sign else []
    cells = _cells(samples, column, table)
    if edges:
        cells = [_between(cell, edges, column) for cell in cells]
    cells = [cell or UNKNOWN for cell in cells]
    if len(set(cells)) > MOST:
        raise UsageError(
            f"--by {column} makes {len(set(cells))} groups: give edges for numbers, such as {column}:30,50"
        )
    return cells


def _cells(samples: Sequence[Sample], column: str, table: str | None) -> list[str]:
    if table is not None:
        key, rows = read(table)
        if any(column in row for row in rows.values()) and column not in KEYS:
            matches = [_row(sample, key, rows) for sample in samples]
            if not any(row is not None for row in matches):
                raise InputError(
                    f"{display_name(table)} has no row for any sample: its column {key} has other names"
                )
            return [(row or {}).get(column, "").strip() for row in matches]
    if any(column in sample.columns for sample in samples):
        return [sample.columns.get(column, "") for sample in samples]
    if column in OWN:
        return [getattr(sample, column) or "" for sample in samples]
    known = sorted({name for sample in samples for name in sample.columns})
    raise UsageError(f"the data has no column {column!r}: choose one of {', '.join([*known, *OWN])}")


def _row(sample: Sample, key: str, rows: Mapping[str, Mapping[str, str]]) -> Mapping[str, str] | None:
    """Return the row of a sample; names and subjects of several datasets begin with that of the dataset."""
    if key == "name":
        return rows.get(sample.name) or rows.get(sample.name.removeprefix(f"{sample.origin}/"))
    subject = sample.subject or ""
    return rows.get(subject) or rows.get(subject.partition("/")[2])


def _edges(wanted: str, text: str) -> list[float]:
    try:
        edges = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--by {wanted} is not valid: give numbers after the colon, such as age:30,50"
        ) from error
    if edges != sorted(set(edges)) or any(edge - edge != 0 for edge in edges):
        raise UsageError(f"--by {wanted} is not valid: give ascending numbers")
    return edges


def _between(cell: str, edges: Sequence[float], column: str) -> str:
    if not cell:
        return ""
    try:
        index = bisect_right(edges, float(cell))
    except ValueError as error:
        raise InputError(
            f"{column} is {cell!r} in a row, which is not a number: leave out the edges"
        ) from error
    if index == 0:
        return f"below {edges[0]:g}"
    return f"{edges[-1]:g} or more" if index == len(edges) else f"{edges[index - 1]:g} to {edges[index]:g}"
