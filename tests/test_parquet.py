"""Test that tables are written as Parquet, and read back with types, nulls and the values of the CSV."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Call, environment
from test_cli import says
from test_export import rows_of, timeline_of, video_of
from test_export_formats import archive, peopled
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


@pytest.mark.parametrize("form", ["csv", "windows", "segments"])
def test_a_suffix_makes_a_table_of_a_timeline_parquet(parquet: Any, call: Call, form: str) -> None:
    Path("out.json").write_text(text_of(peopled("Anna", None)), encoding="utf-8")
    done = call("export", "out.json", "-f", form, "-o", "table.parquet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    read = parquet.read_table("table.parquet")
    expected = cells(call("export", "out.json", "-f", form).stdout)
    assert read.column_names == list(expected[0])
    assert len(read) == len(expected) > 0
    for row, texts in zip(read.to_pylist(), expected, strict=True):
        assert all(is_same(row[name], text, 6) for name, text in texts.items())
    types = {field.name: str(field.type) for field in read.schema}
    assert (types["track"], types["person"], types["name"]) == ("int64", "string", "string")
    assert 0 < read["name"].null_count < len(read), "one of two people has a name"
    assert types["score" if form == "csv" else "happiness"] == "float"


@pytest.mark.parametrize("options", [(), ("--aus",)])
def test_openface_as_parquet_is_the_table_of_its_csv(parquet: Any, call: Call, options: tuple[str]) -> None:
    archive(Path("g.npz"))
    assert call("export", "g.npz", "-f", "openface", *options, "-o", "o.parquet").returncode == 0
    read = parquet.read_table("o.parquet")
    expected = cells(call("export", "g.npz", "-f", "openface", *options).stdout)
    assert read.column_names == list(expected[0])
    types = {field.name: str(field.type) for field in read.schema}
    assert (types["frame"], types["face_id"], types["success"]) == ("int64",) * 3
    assert (types["timestamp"], types["x_0"]) == ("double", "float")
    assert types.get("AU45_c", "int64") == "int64" and ("AU45_c" in types) == bool(options)
    decimals = {"timestamp": 6, "confidence": 3}
    for row, texts in zip(read.to_pylist(), expected, strict=True):
        assert all(is_same(row[name], text, decimals.get(name, 2)) for name, text in texts.items())
    assert {row["success"] for row in expected} == {"0", "1"}


def test_a_format_that_is_no_table_has_no_parquet(call: Call) -> None:
    Path("out.json").write_text(text_of(timeline_of()), encoding="utf-8")
    says(
        call("export", "out.json", "-f", "srt", "-o", "x.parquet"), 2, "x.parquet is not a file name for srt"
    )
    says(
        call("export", "out.json", "-f", "parquet", "-o", "x.csv"), 2, "x.csv is not a file name for parquet"
    )
    archive(Path("g.npz"))
    says(call("export", "g.npz", "-f", "windows", "-o", "x.parquet"), 1, "archive of frames")


def test_a_batch_writes_parquet(parquet: Any, call: Call, short: Path) -> None:
    forms = "csv,parquet,windows,windows.parquet,segments.parquet,openface,openface.parquet"
    done = call("batch", short, "-o", "out", "-f", forms)
    assert done.returncode == 0, done.stderr
    line = json.loads(Path("out/manifest.jsonl").read_text())
    assert sorted(line["outputs"]) == sorted(forms.split(","))
    for text, table_of in [
        ("csv", "parquet"),
        ("windows", "windows.parquet"),
        ("openface", "openface.parquet"),
    ]:
        expected = cells((Path("out") / line["outputs"][text]).read_text())
        read = parquet.read_table(Path("out") / line["outputs"][table_of])
        assert read.column_names == list(expected[0])
        assert len(read) == len(expected) > 0
    done = call("batch", short, "-o", "out", "-f", forms)
    assert "1 skipped" in done.stderr


def test_analyze_writes_a_timeline_as_parquet(parquet: Any, call: Call, short: Path) -> None:
    done = call("analyze", short, "-t", "w.parquet", "-f", "windows", "--aus", "-q")
    assert done.returncode == 0, done.stderr
    assert "AU12" in parquet.read_table("w.parquet").column_names
    assert call("analyze", short, "-o", "out", "-f", "parquet", "--phases", "-q").returncode == 0
    (path,) = Path("out").iterdir()
    assert path.name == f"{short.stem}.parquet"
    schema = parquet.read_table(path).schema
    assert str(schema.field("duration").type) == str(schema.field("apex").type) == "double"


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
    says(call("analyze", "out.json", "-t", "x.parquet"), 2, "fervid[parquet]")
    says(call("batch", "films/", "-o", "out", "-f", "windows.parquet"), 2, "fervid[parquet]")
    assert call("export", "out.json", "-o", "x.segments.csv", "-f", "segments").returncode == 0
    assert not Path("x.parquet").exists()
