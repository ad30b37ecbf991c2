"""Tables as Parquet, with types and nulls, written by pyarrow in groups of rows to limit the memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from fervid.errors import UsageError
from fervid.export.frames import openface as face_rows
from fervid.export.frames import table
from fervid.export.timelines import fields, tidy
from fervid.types import Array, Clock, Rows, Timeline
from fervid.units import VideoUnits

if TYPE_CHECKING:
    import pyarrow

GROUP = 65_536  # rows of a group, at least, except for the last
INTEGERS = {"frame", "frames", "pts", "track", "start_pts", "end_pts", "face_id", "success"}
TEXTS = {"person", "name", "status", "emotion"}
FLAGS = {"uncertain"}
DOUBLES = {"time", "start", "end", "duration", "timestamp", *fields.PHASES}  # all other columns are float32

Columns = Mapping[str, Sequence[Any] | Array]


def frames(
    chunks: Iterable[Rows],
    clock: Clock,
    labels: Sequence[str],
    stream: BinaryIO,
    people: Mapping[int, str] | None = None,
    units: VideoUnits | None = None,
) -> None:
    """Write a row per frame and face, as `table.write` does, with the numbers unrounded."""
    parts = (table.columns(rows, clock, labels, people, units) for rows in chunks)
    values = ({name: column.values for name, column in part.items()} for part in parts)
    _write(table.names(labels, units), values, stream)


def openface(
    chunks: Iterable[Rows],
    clock: Clock,
    labels: Sequence[str],
    stream: BinaryIO,
    units: VideoUnits | None = None,
) -> None:
    """Write a row per frame and face, as `openface.write` does, with the numbers unrounded."""
    names = face_rows.names(units)
    parts = (face_rows.columns(rows, clock, units) for rows in chunks)
    _write(names, (dict(zip(names, part, strict=True)) for part in parts), stream)


def scores(timeline: Timeline, stream: BinaryIO) -> None:
    """Write a row per track, window and emotion, as `tidy.scores` does, with the numbers unrounded."""
    _write_columns(tidy.SCORES, tidy.score_columns(timeline), stream)


def windows(timeline: Timeline, stream: BinaryIO) -> None:
    """Write a row per track and window, as `tidy.windows` does, with the numbers unrounded."""
    _write_columns(tidy.window_names(timeline), tidy.window_columns(timeline), stream)


def segments(timeline: Timeline, stream: BinaryIO) -> None:
    """Write a row per segment, as `tidy.segments` does."""
    names = tidy.segment_columns(timeline)
    rows = [[None if cell == "" else cell for cell in row] for row in tidy.segment_rows(timeline)]
    parts = (rows[first : first + GROUP] for first in range(0, len(rows), GROUP))
    _write(names, (dict(zip(names, zip(*part, strict=True), strict=True)) for part in parts), stream)


def require() -> None:
    """Raise UsageError if pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow: install it with `pip install 'fervid[parquet]'`, or choose csv"
        ) from error


def _write_columns(names: Sequence[str], parts: Iterable[list[table.Column]], stream: BinaryIO) -> None:
    numbers = ((column.numbers() for column in part) for part in parts)
    _write(names, (dict(zip(names, part, strict=True)) for part in numbers), stream)


def _write(names: Sequence[str], parts: Iterable[Columns], stream: BinaryIO) -> None:
    require()
    import pyarrow.parquet

    schema = pyarrow.schema([(name, _type_of(name)) for name in names])
    with pyarrow.parquet.ParquetWriter(_Counted(stream), schema, compression="zstd") as writer:
        for group in _groups(schema, parts):
            writer.write_table(group, row_group_size=max(1, len(group)))


def _groups(schema: pyarrow.Schema, parts: Iterable[Columns]) -> Iterator[pyarrow.Table]:
    """Yield the parts as tables of GROUP rows or more."""
    import pyarrow

    waiting: list[pyarrow.RecordBatch] = []
    for part in parts:
        arrays = [pyarrow.array(part[field.name], field.type, from_pandas=True) for field in schema]
        waiting.append(pyarrow.record_batch(arrays, schema=schema))
        if sum(map(len, waiting)) >= GROUP:
            yield pyarrow.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pyarrow.Table.from_batches(waiting)


def _type_of(name: str) -> pyarrow.DataType:
    import pyarrow

    if name in INTEGERS or re.fullmatch(r"AU\d+_c", name):  # an action unit's presence
        return pyarrow.int64()
    if name in TEXTS:
        return pyarrow.string()
    if name in FLAGS:
        return pyarrow.bool_()
    return pyarrow.float64() if name in DOUBLES else pyarrow.float32()


class _Counted:
    """A stream that counts its bytes, since a pipe does not know its position."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._count = stream, 0

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self._count += len(data)
        return len(data)

    def tell(self) -> int:
        return self._count

    def flush(self) -> None:
        self._stream.flush()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True
