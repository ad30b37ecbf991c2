"""Test the damages of faces, and the table of a model on damaged faces."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import CLIP, ROOT, Call
from media import write
from test_benchmarks import imported

from fervid.faces import shape
from fervid.faces.finder import FaceFinder
from fervid.train.robust import DAMAGES, Figure
from fervid.train.robust.measure import _predicted, _with_faces
from fervid.train.robust.picture import draw
from fervid.types import Bytes, Floats
from fervid.types.samples import Strip

EYES, MOUTH = slice(22, 34), slice(58, 72)  # rows of the face with a margin


def face() -> tuple[Bytes, Floats]:
    """Return a textured face (88, 88) and the mean face's landmarks in it."""
    side = shape.CROP + 2 * shape.MARGIN
    pixels = shape.CROP / shape.CROP_EYES
    middle = np.array([shape.CROP / 2, shape.CROP * shape.CROP_EYE_LINE]) + shape.MARGIN
    points = (shape.figures()["neutral"][:, :2] * pixels + middle).astype(np.float32)
    texture = np.random.default_rng(0).integers(60, 220, (side, side)).astype(np.uint8)
    return texture, points


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_changes_the_face_more_the_stronger_it_is(name: str) -> None:
    damage, strengths = DAMAGES[name]
    picture, points = face()
    before = picture.copy()
    changes = []
    for strength in strengths:
        damaged = damage(picture, points, strength, np.random.default_rng(1))
        assert damaged.shape == picture.shape and damaged.dtype == np.uint8
        changes.append(np.abs(damaged.astype(float) - picture).mean())
    assert (picture == before).all()
    assert changes[0] > 3 and changes == sorted(changes)


@pytest.mark.parametrize(
    ("name", "covered", "kept"),
    [
        ("eyes covered", EYES, MOUTH),
        ("sunglasses", EYES, MOUTH),
        ("mouth covered", MOUTH, EYES),
        ("mask", MOUTH, EYES),
        ("hand", MOUTH, slice(0, 20)),
    ],
)
def test_covers_cover_their_part_alone(name: str, covered: slice, kept: slice) -> None:
    picture, points = face()
    damaged = DAMAGES[name][0](picture, points, 1.0, np.random.default_rng(1))
    changed = (damaged != picture)[:, 30:58]
    assert changed[covered].mean() > 0.4 and changed[kept].mean() < 0.1


def test_landmarks_of_a_damaged_face_move_as_their_prediction_does() -> None:
    finder = FaceFinder()
    with av.open(str(CLIP)) as container:
        luma = next(container.decode(video=0)).to_ndarray(format="gray")
    found = finder.fit(luma, finder.detect(luma)[0])
    matrix, _ = shape.alignment(found, shape.MARGIN)
    crop = finder.crop(luma, found, shape.MARGIN)
    own = (found @ matrix[:, :2].T + matrix[:, 2] + 1.5).astype(np.float32)  # not as they are predicted on it
    strip = Strip(Fraction(1, 25), np.array([0]), crop[None], own[None])
    predicted = _predicted(strip.faces, strip)
    assert np.array_equal(_with_faces(strip, strip.faces, predicted).landmarks, strip.landmarks)
    shift = np.array([[1, 0, 4], [0, 1, 0]], np.float32)
    aside = cv2.warpAffine(crop, shift, crop.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    moved = _with_faces(strip, np.asarray(aside, np.uint8)[None], predicted).landmarks[0] - own
    assert np.allclose(moved.mean(0), [4, 0], atol=0.5)


def test_bench_robust_measures_every_damage(call: Call, tmp_path: Path) -> None:
    data, plot = f"folder:{tmp_path / 'clips'}", tmp_path / "robust.svg"
    with av.open(str(CLIP)) as container:
        luma = [frame.to_ndarray(format="gray") for frame in islice(container.decode(video=0), 40)]
    small = [cv2.resize(picture, (320, 240), interpolation=cv2.INTER_AREA) for picture in luma]
    for label, pictures in (("neutral", small[:10]), ("happiness", small[30:])):
        (tmp_path / "clips" / label).mkdir(parents=True)
        write(tmp_path / "clips" / label / "a.mp4", pictures)
    asked = ("--most", "1", "--json", "-j", "1", "--no-cache", "--plot", plot)
    done = call("bench", "robust", "--data", data, *asked)
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    rows = {(row["name"], row["strength"]) for row in value["figures"]}
    assert ("undamaged", None) in rows
    assert {(name, strength) for name, (_, strengths) in DAMAGES.items() for strength in strengths} <= rows
    yaws = {(name, degrees) for name, degrees in rows if name.startswith("yaw from ")}
    turned = {f"yaw {name.removeprefix('yaw from ')}° to {degrees:g}°" for name, degrees in yaws}
    assert turned
    drawn = plot.read_text()
    assert f"{value['model']} on {data.replace('&', '&amp;')}" in drawn
    assert all(f">{name}" in drawn for name in {"undamaged", *turned, *DAMAGES})
    assert all(0 <= row["accuracy"] <= 1 and row["count"] <= 2 for row in value["figures"])


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_picture_has_bars_as_long_as_the_accuracy_and_the_same_bytes_each_time(form: str) -> None:
    rows = [Figure("undamaged", None, 9, 1.0, 0.9, 0.1), Figure("blur", 0.2, 9, 0.5, 0.4, 0.3)]
    picture = draw("A model", rows, form)
    assert picture == draw("A model", rows, form)
    if form == "png":
        pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        lengths = [
            (pixels[:, : round(0.64 * pixels.shape[1])] == colour).all(2).sum(1).max()
            for colour in ((0x88, 0x88, 0x88), (0xB2, 0x72, 0x00))
        ]
        assert lengths[1] / lengths[0] == pytest.approx(0.5, abs=0.03)


def test_the_picture_of_bench_robust_has_a_known_suffix(call: Call) -> None:
    done = call("bench", "robust", "--data", "synth:posed", "--plot", "robust.gif")
    assert done.returncode == 2 and "must end in one of .png, .svg, .pdf" in done.stderr


def test_the_card_s_table_replaces_the_old_one() -> None:
    rows = [Figure("undamaged", None, 280, 0.7, 0.65, 0.05), Figure("yaw from 10", 20.0, 40, 0.6, 0.5, 0.1)]
    clips = [Figure("undamaged", None, 28, 0.9, 0.9, 0.02)]
    card = "# default\n\n## Accuracy\n\ntext\n\n## Why it is built this way\n\nmore\n"
    with imported(ROOT / "benchmarks" / "robust.py") as robust:
        once = robust.with_section(card, robust.section(rows, clips))
        again = robust.with_section(once, robust.section(rows[:1], clips))
        heading = robust.SECTION
    assert "| undamaged |  | 70 % | 65 % | 0.05 | 90 % | 0.02 |" in once
    assert "| yaw | 10° to 20° | 60 % | 50 % | 0.10 | | |" in once
    assert "| yaw |" not in again and again.startswith("# default") and again.endswith("way\n\nmore\n")
    assert again.count(heading) == 1 and all(len(line) <= 120 for line in once.splitlines())


def test_bench_robust_needs_data(call: Call) -> None:
    assert call("bench", "robust").returncode == 2
