"""Test that tables of segments and frames are written as Parquet, and read back with types and nulls."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, environment
from test_cli import says
from test_export import rows_of, timeline_of, video_of
from test_export_formats import archive
from timelines import text_of

from fervid.export.frames import table
from fervid.labels import EMOTIONS


@pytest.fixture
def parquet() -> Any:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet

    return pyarrow.parquet


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def is_same(value: Any, text: str, decimals: int) -> bool:
    """Return whether a value is that of a cell of the CSV table."""
    if value is None or isinstance(value, str):
        return (value or "") == text
    if isinstance(value, bool):
        return text == str(value).lower()
    return bool(text) and float(text) == pytest.approx(value, abs=0.51 * 10**-decimals)


def test_segments_round_trip(parquet: Any, call: Call) -> None:
    timeline = timeline_of()
    Path("out.json").write_text(text_of(timeline), encoding="utf-8")
    done = call("export", "out.json", "-o", "segments.parquet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    read = parquet.read_table("segments.parquet")
    expected = cells(call("export", "out.json", "-f", "segments").stdout)
    assert read.column_names == list(expected[0])
    types = {field.name: str(field.type) for field in read.schema}
    assert (types["track"], types["start_pts"], types["frames"]) == ("int64",) * 3
    assert (types["person"], types["emotion"], types["uncertain"]) == ("string", "string", "bool")
    assert (types["start"], types["happiness"]) == ("double", "float")
    rows = read.to_pylist()
    assert len(rows) == len(expected) == len(timeline.segments) > 0
    for row, texts in zip(rows, expected, strict=True):
        assert all(is_same(row[name], text, 6) for name, text in texts.items())
    assert read["name"].null_count == len(rows), "no person has a name"


def test_frames_round_trip_with_nulls(parquet: Any, call: Call) -> None:
    archive(Path("g.npz"))
    assert call("export", "g.npz", "-f", "parquet", "-o", "frames.parquet").returncode == 0
    read = parquet.read_table("frames.parquet")
    text = io.StringIO()
    table.write([rows_of(50)], video_of(), EMOTIONS, text)
    expected = cells(text.getvalue())
    assert read.column_names == list(expected[0])
    rows = read.to_pylist()
    for row, texts in zip(rows, expected, strict=True):
        for name, cell in texts.items():
            assert is_same(row[name], cell, 2 if name in ("x", "y", "width", "height") else 6), name
    assert rows_of(50).scores.dtype == np.float32
    scores = rows_of(50).scores[:, 0]
    assert [row[EMOTIONS[0]] for row in rows] == [None if score != score else score for score in scores]
    assert 0 < read["track"].null_count < len(rows), "frames without a face"


def test_rows_are_written_in_groups_as_they_come(parquet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fervid.export import parquet as writer

    monkeypatch.setattr(writer, "GROUP", 80)
    stream, sizes = io.BytesIO(), []

    def chunks() -> Any:
        for _ in range(5):
            sizes.append(stream.tell())
            yield rows_of(50)

    writer.frames(chunks(), video_of(), EMOTIONS, stream)
    assert sizes[1] < sizes[2], "a group is in the file before the rows of the next are made"
    written = parquet.ParquetFile(stream)
    groups = [written.metadata.row_group(index).num_rows for index in range(written.num_row_groups)]
    count = len(rows_of(50))
    assert groups == [2 * count, 2 * count, count]


def test_a_table_without_rows_has_its_columns(parquet: Any) -> None:
    from fervid.export import parquet as writer

    stream = io.BytesIO()
    writer.frames([], video_of(), EMOTIONS, stream)
    assert parquet.read_table(stream).column_names == table.names(EMOTIONS)


def test_frames_of_an_analysis(parquet: Any, call: Call, short: Path) -> None:
    done = call("analyze", short, "--frames", "frames.parquet", "--aus", "-q")
    assert done.returncode == 0, done.stderr
    assert call("analyze", short, "--frames", "frames.csv", "--aus", "-q").returncode == 0
    read = parquet.read_table("frames.parquet")
    expected = cells(Path("frames.csv").read_text())
    assert read.column_names == list(expected[0])
    assert read["person"].to_pylist() == [row["person"] or None for row in expected]
    assert read["AU12_r"].null_count < len(read) == len(expected)


def test_parquet_goes_through_a_pipe(parquet: Any, call: Call, programs: str) -> None:
    import subprocess

    Path("out.json").write_text(text_of(timeline_of()), encoding="utf-8")
    line = "fervid export out.json -f parquet | cat"
    done = subprocess.run(["sh", "-c", line], env=environment(PATH=programs), capture_output=True, check=True)
    assert parquet.read_table(io.BytesIO(done.stdout)).num_rows == len(timeline_of().segments)


def test_without_pyarrow_the_extra_is_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    Path("out.json").write_text(text_of(timeline_of()), encoding="utf-8")
    says(call("export", "out.json", "-o", "x.parquet"), 2, "fervid[parquet]")
    says(call("analyze", "out.json", "--frames", "x.parquet"), 2, "fervid[parquet]")
    assert call("export", "out.json", "-o", "x.segments.csv", "-f", "segments").returncode == 0
    assert not Path("x.parquet").exists()
