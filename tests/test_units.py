"""Test action units and blinks: against synthetic faces of known action units, and in the outputs."""

from __future__ import annotations

import csv
import io
import json
from fractions import Fraction
from functools import partial
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from conftest import CLIP, Call
from timelines import curve_at, video_at, video_of

from fervid.export.frames import openface, table
from fervid.export.timelines import json as timelines
from fervid.export.timelines import reading, tidy
from fervid.export.timelines.fields import SCHEMA_VERSION
from fervid.labels import EMOTIONS
from fervid.synth import action_units, neutral_face, person
from fervid.types import Floats, Rows, Status
from fervid.units import PRESENT, UNITS, VideoUnits, measure
from fervid.units.blinks import find_blinks
from fervid.units.fitting import intensities
from fervid.units.fitting import neutral_face as find_neutral
from fervid.units.video import MOST, TrackUnits, _Sample

COUNT = 200


def turned(faces: Floats, yaw: float, pitch: float) -> Floats:
    """Return faces (N, 68, 3) as a camera sees them, in pixels, (N, 68, 2)."""
    y, p = np.radians([yaw, pitch])
    around = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    over = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    return ((faces @ (around @ over).T)[..., :2] * 80 + 300).astype(np.float32)


def acting(unit: str, seed: int = 0) -> tuple[Floats, Floats]:
    """Return a person's faces (N, 68, 3), of which the middle half show a unit, and its weights (N,)."""
    weights = np.zeros(COUNT)
    weights[50:150] = np.sin(np.linspace(0, np.pi, 100)) ** 2
    motion = action_units()[f"AU{int(unit[2:])}"]
    return person(np.random.default_rng(seed)).shape + weights[:, None, None] * motion, weights


def rows_of(landmarks: Floats, track: int = 1, first: int = 0) -> Rows:
    count = len(landmarks)
    return Rows(
        frame=np.arange(first, first + count),
        pts=np.arange(first, first + count),
        track=np.full(count, track),
        status=np.zeros(count, np.uint8),
        box=np.ones((count, 4), np.float32),
        landmarks=landmarks,
        pose=np.zeros((count, 3), np.float32),
        quality=np.ones(count, np.float32),
        scores=np.full((count, len(EMOTIONS)), 1 / 7, np.float32),
    )


@pytest.mark.parametrize("yaw,pitch", [(0, 0), (25, 0), (-20, 12), (0, -15)])
@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit != "AU25"])
def test_the_intensity_of_a_unit_follows_its_weight_under_pose(unit: str, yaw: float, pitch: float) -> None:
    faces, weights = acting(unit)
    track = measure(lambda: [rows_of(turned(faces, yaw, pitch))], video_of()).tracks[1]
    measured = track.values[:, UNITS.index(unit)]
    assert np.corrcoef(measured, weights)[0, 1] > 0.9
    assert measured[:40].max() < 0.5 < PRESENT < measured[100]


def test_parted_lips_are_measured_by_their_gap() -> None:
    faces, weights = acting("AU26")
    values = measure(lambda: [rows_of(turned(faces, 0, 0))], video_of()).tracks[1].values
    assert np.corrcoef(values[:, UNITS.index("AU25")], weights)[0, 1] > 0.95


def test_a_face_at_rest_has_no_units_whatever_its_shape() -> None:
    for seed in range(4):
        faces = np.repeat(person(np.random.default_rng(seed)).shape[None], 30, axis=0)
        rows = [rows_of(turned(faces, 15, 5))]
        assert measure(partial(list, rows), video_of()).tracks[1].values.max() < 0.1


def test_intensities_do_not_depend_on_the_chunks() -> None:
    faces = turned(acting("AU12")[0], 10, 0)
    whole = measure(lambda: [rows_of(faces)], video_of()).tracks[1]
    parts = measure(lambda: [rows_of(faces[:70]), rows_of(faces[70:], first=70)], video_of()).tracks[1]
    np.testing.assert_array_equal(whole.values, parts.values)
    assert len(intensities(np.empty((0, 68, 2), np.float32), neutral_face()[:, :2].astype(np.float32))) == 0


def test_tracks_of_a_person_share_one_neutral_face() -> None:
    """The second track smiles from start to end: only the first shows what the person looks like at rest."""
    faces, weights = acting("AU12")
    smiling = np.repeat(faces[weights.argmax()][None], 40, axis=0)

    def chunks() -> list[Rows]:
        return [rows_of(turned(faces, 0, 0)), rows_of(turned(smiling, 0, 0), track=2, first=COUNT)]

    smile = UNITS.index("AU12")
    alone, shared = measure(chunks, video_of()), measure(chunks, video_of(), {1: "P1", 2: "P1"})
    assert alone.tracks[2].values[:, smile].max() < 0.5
    assert shared.tracks[2].values[:, smile].min() > 4


def test_the_neutral_face_is_found_though_the_person_mostly_smiles() -> None:
    faces, _ = acting("AU12")
    mostly = np.concatenate([faces[:60], np.repeat(faces[100][None], 90, axis=0)])[..., :2].astype(np.float32)
    assert np.abs(find_neutral(mostly) - faces[0, :, :2]).max() < 0.01


def test_unreadable_faces_have_no_intensity() -> None:
    rows = rows_of(turned(acting("AU12")[0], 0, 0))
    rows.status[10] = Status.LOW_QUALITY
    rows.track[11] = -1
    values = measure(lambda: [rows], video_of()).of(rows)
    assert np.isnan(values[[10, 11]]).all() and np.isfinite(np.delete(values, [10, 11], axis=0)).all()


def test_a_sample_of_a_long_video_is_spread_evenly() -> None:
    sample = _Sample()
    for start in range(0, 3 * MOST, 1000):
        sample.add(np.arange(start, start + 1000, dtype=np.float32))
    assert np.array_equal(sample.faces, np.arange(0, 3 * MOST, 4))


def test_blinks_are_short_and_deep() -> None:
    clock, pts = video_of(), np.arange(250)
    lids = np.full(250, 0.2, np.float32)
    lids[50:54] = 4  # a blink
    lids[100:104] = 1  # too shallow
    lids[150:200] = 4  # closed eyes
    lids[240:245] = (2, 3, 4, 3, 2)
    assert find_blinks(clock, pts, lids).tolist() == [50, 242]


def test_blinks_are_not_counted_in_sparse_frames() -> None:
    rows, often, seldom = (
        rows_of(turned(acting("AU45")[0], 0, 0)),
        video_of(),
        video_at(np.arange(300), Fraction(1, 5)),
    )
    assert measure(lambda: [rows], often).tracks[1].blinks is not None
    assert measure(lambda: [rows], seldom).tracks[1].blinks is None


def measured_clip() -> tuple[Rows, VideoUnits]:
    rows = rows_of(turned(acting("AU45")[0], 0, 0))
    return rows, measure(lambda: [rows], video_of())


def test_openface_columns_are_added_after_the_landmarks() -> None:
    rows, units = measured_clip()
    plain, more = io.StringIO(), io.StringIO()
    openface.write([rows], video_of(), EMOTIONS, plain)
    openface.write([rows], video_of(), EMOTIONS, more, units)
    lines = more.getvalue().splitlines()
    assert [line.split(",")[:141] for line in lines] == [
        line.split(",") for line in plain.getvalue().splitlines()
    ]
    first, *others = csv.DictReader(io.StringIO(more.getvalue()))
    assert list(first)[141:] == [f"{unit}_{kind}" for kind in "rc" for unit in UNITS]
    assert first["AU45_r"] == "0.00" and first["AU45_c"] == "0"
    assert float(others[99]["AU45_r"]) > 4 and others[99]["AU45_c"] == "1"


def test_the_table_of_frames_has_empty_cells_without_a_face() -> None:
    rows, units = measured_clip()
    rows.track[0] = -1
    stream = io.StringIO()
    table.write([rows], video_of(), EMOTIONS, stream, units=units)
    first, *others = csv.DictReader(io.StringIO(stream.getvalue()))
    assert first["AU45_r"] == "" and float(others[99]["AU45_r"]) > 4


def test_a_curve_has_the_mean_of_its_windows_and_interpolates_where_there_is_no_frame() -> None:
    values = np.arange(40, dtype=np.float32)[:, None] / 10 * np.ones(len(UNITS), np.float32)
    pts = np.concatenate([np.arange(20), np.arange(60, 80)])
    units = VideoUnits({1: TrackUnits(pts, values, np.array([5]))})
    scores = np.full((4, len(EMOTIONS)), 1 / 7, np.float32)
    curve = curve_at(
        1, np.array([8, 16, 40, 72]), scores, start=0, end=80, frames=40, hull=np.zeros(4, np.float32),
        quality=np.ones(4, np.float32),
    )  # fmt: skip
    measured = units.added_to(curve)
    got = measured.units["AU12"]
    assert got[0] == pytest.approx(np.mean(np.arange(12)) / 10)
    assert got[3] == pytest.approx(np.mean(np.arange(20, 40)) / 10)
    assert got[1] < got[2] < got[3]
    assert measured.blinks is not None and measured.blinks.tolist() == [5]
    assert not VideoUnits({}).added_to(curve).units["AU12"].any()


def test_analyze_writes_units_that_are_read_back(call: Call, tmp_path: Path) -> None:
    out, frames = tmp_path / "out.json", tmp_path / "frames.csv"
    done = call("analyze", CLIP, "--aus", "--end", "3", "-t", out, "--frames", frames)
    assert done.returncode == 0, done.stderr
    content = json.loads(out.read_text())
    jsonschema.validate(content, timelines.schema())
    assert content["schema_version"] == SCHEMA_VERSION
    for track in content["tracks"]:
        assert set(track["curve"]["units"]) == set(UNITS) and "blinks" in track
    with out.open() as stream:
        timeline = reading.read(stream)
    again, wide = io.StringIO(), io.StringIO()
    timelines.write(timeline, again)
    assert again.getvalue() == out.read_text()
    tidy.windows(timeline, wide)
    assert wide.getvalue().splitlines()[0].endswith("quality," + ",".join(UNITS))
    assert frames.read_text().splitlines()[0].endswith("quality," + ",".join(f"{unit}_r" for unit in UNITS))


def test_an_archive_is_exported_with_units(call: Call, tmp_path: Path) -> None:
    call("extract", CLIP, "-o", tmp_path, "--what", "landmarks,csv", "--aus", "--end", "2")
    out = tmp_path / "again.csv"
    call("export", tmp_path / "clip.landmarks.npz", "-f", "openface", "--aus", "-o", out)
    assert out.read_text() == (tmp_path / "clip.csv").read_text()
    assert "AU45_c" in out.read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["analyze", "a.mp4", "--aus", "-t", "a.srt"],
            "--aus needs a timeline as json or windows, or --frames",
        ),
        (["analyze", "a.mp4", "--aus", "--tracks", "a.npz"], "--aus needs a timeline"),
        (["extract", "a.mp4", "-o", "out", "--aus", "--what", "crops"], "add csv to --what"),
    ],
)
def test_units_need_an_output_that_contains_them(arguments: list[str], message: str, call: Call) -> None:
    done = call(*arguments)
    assert done.returncode == 2 and message in done.stderr
