"""Test fervid's own predictor of the 68 points, its option, and the script that trains it."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import click
import cv2
import numpy as np
import pytest
from conftest import CLIP, ROOT, Call

from fervid import analysis, execute, synth
from fervid.cache import Store
from fervid.cli.shared.options import SELECTION
from fervid.errors import ModelError, UsageError
from fervid.faces import shape
from fervid.faces.detectors import Detection
from fervid.faces.finder import _PREDICTORS, FaceFinder, _predictor, predictor, predictors
from fervid.footage import PictureFinder
from fervid.types import Floats, Settings
from fervid.video import planning, reading

OPEN = Settings(start=Fraction(0), end=Fraction(1, 2), landmarks="open")
LARGEST = 18_000_000  # bytes, of the file
SHOWN = (0, 60, 120, 360)  # frames of the example clip with a face: large, and a third of the height
NEAR = 0.12  # eye distances: as far as two conventions of the same points differ
PEOPLE, PICTURES = 40, 3  # drawn for training


def eyes_apart(points: Floats, other: Floats) -> float:
    """Return the mean distance of the inner points, in eye distances."""
    return float(np.linalg.norm((points - other)[17:], axis=1).mean() / shape.eye_distance(other))


# --- the predictor


def test_it_is_small_and_has_a_name() -> None:
    assert list(predictors()) == ["dlib", "open"]
    path = predictors()["open"]()
    assert path.is_relative_to(ROOT / "fervid")
    assert path.stat().st_size < LARGEST


@pytest.mark.parametrize("frame", SHOWN)
def test_it_places_the_points_about_where_dlib_does(frame: int) -> None:
    plan = planning.plan(CLIP)
    pts = int(plan.pts[frame])
    luma = next(reading.frames(plan, pts, pts + 1)).luma
    own, other = FaceFinder(landmarks="open"), FaceFinder()
    (face,) = own.detect(luma)
    assert eyes_apart(own.fit(luma, face), other.fit(luma, face)) < NEAR


def test_it_needs_no_other_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fervid.faces.weights.find_spec", lambda name: None)
    _predictor.cache_clear()
    plan = planning.plan(CLIP)
    luma = next(reading.frames(plan)).luma
    finder = FaceFinder(landmarks="open")
    (face,) = finder.detect(luma)
    assert finder.fit(luma, face).shape == (68, 2)
    with pytest.raises(ModelError, match="pip install face_recognition_models"):
        FaceFinder().fit(luma, face)


def test_a_damaged_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cut.dat").write_bytes(predictors()["open"]().read_bytes()[:1000])
    monkeypatch.setitem(_PREDICTORS, "cut", lambda: tmp_path / "cut.dat")
    blank = Detection(np.array([8, 8, 64, 64], np.float32), 0.0)
    with pytest.raises(ModelError, match=r"cut\.dat cannot be read"):
        FaceFinder(landmarks="cut").fit(np.zeros((80, 80), np.uint8), blank)


# --- the option


def test_an_unknown_name_is_an_error(call: Call) -> None:
    with pytest.raises(UsageError, match="unknown landmarks 'haar': choose one of dlib, open"):
        FaceFinder(landmarks="haar")
    done = call("extract", CLIP, "-o", "out", "--landmarks", "haar")
    assert done.returncode == 2
    assert "'haar' is not one of 'dlib', 'open'" in done.stderr


def test_two_predictors_of_one_name_are_an_error() -> None:
    with pytest.raises(ValueError, match="two predictors are called 'open'"):
        predictor("open")(Path)


def test_the_option_offers_all_predictors() -> None:
    @click.command()
    def nothing() -> None: ...

    for option in SELECTION:
        nothing = option(nothing)
    (option,) = (option for option in nothing.params if option.name == "landmarks")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(predictors())


def test_pictures_of_faces_are_read_with_it() -> None:
    finder = PictureFinder.of(OPEN)
    assert (type(finder), finder.landmarks) == (PictureFinder, "open")


def first_points(settings: Settings) -> tuple[Floats, str]:
    """Return the points of the clip's first frame, and the cache key of its spans."""
    with analysis.start(CLIP, model=None, settings=settings, store=Store.temporary()) as run:
        for _ in run.segments():
            pass
        return next(run.rows()).landmarks[0], run.key


def test_the_setting_reaches_workers_and_changes_the_key() -> None:
    own, key = first_points(OPEN)
    other, other_key = first_points(Settings(start=OPEN.start, end=OPEN.end))
    assert key != other_key
    assert 0.01 < eyes_apart(own, other) < NEAR
    with execute.pool(2) as run:
        in_workers = list(execute.results(run(first_points, [OPEN, OPEN])))
    for points, worker_key in in_workers:
        assert worker_key == key
        np.testing.assert_array_equal(points, own)


def test_commands_take_it_and_a_timeline_records_it(call: Call, tmp_path: Path) -> None:
    part = ["--landmarks", "open", "--end", "0.5"]
    done = call("analyze", CLIP, "--model", "untrained", "-t", "said.json", *part)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "said.json").read_text("utf-8"))["settings"]["landmarks"] == "open"
    done = call("extract", CLIP, "-o", "out", "--what", "landmarks", *part)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out" / "clip.landmarks.npz") as pack:
        np.testing.assert_allclose(pack["landmarks"][0], first_points(OPEN)[0], atol=0.01)
    done = call("peaks", "said.json", "--landmarks", "open")
    assert done.returncode == 2 and "--landmarks" in done.stderr


# --- the script that trains it


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """Import the script as a module."""
    spec = importlib.util.spec_from_file_location(
        "train_landmarks", ROOT / "benchmarks" / "train_landmarks.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_landmarks"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["train_landmarks"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, script: ModuleType) -> Path:
    """Write a pack like the real one: drawn neutral people, each turned and moved differently.

    As in the real pack, points have an offset from what they name.
    """
    chance = np.random.default_rng(3)
    points, packed = [], []
    for _ in range(PEOPLE * PICTURES):
        who = synth.person(chance)
        turn, eyes = chance.normal(0, 0.12), chance.uniform(42, 50)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        placed = who.shape[:, :2] @ rotation.T * eyes + np.array([96, 80]) + chance.normal(0, 4, 2)
        picture = synth.Painter(who, 192, chance).paint(placed, np.zeros((len(synth.UNITS), 2)))
        points.append(placed + np.array([script.ASIDE * eyes, 0]))
        packed.append(cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 101])[1])
    folder = tmp_path_factory.mktemp("data")
    np.savez(
        folder / "landmarks68.npz",
        points=np.array(points, np.float32),
        person=np.repeat([f"Person_{number}" for number in range(PEOPLE)], PICTURES),
        webp=np.concatenate(packed),
        offset=np.cumsum([0, *map(len, packed)]),
    )
    return folder


def test_it_trains_validates_and_beats_the_mean_shape(
    script: ModuleType,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("fervid.faces.finder._PREDICTORS", dict(_PREDICTORS))
    target = tmp_path / "new" / "own.dat"
    small = ["--cascades", "4", "--trees", "15", "--depth", "2", "--oversampling", "2", "--pool", "100"]
    given = ["--data", str(drawn), "-o", str(target), "--json", "--clip", str(still(tmp_path)), *small]
    monkeypatch.setattr(sys, "argv", ["train_landmarks.py", *given])
    script.main()
    figures = json.loads(capsys.readouterr().out)
    assert figures["file"]["megabytes"] == target.stat().st_size / 1e6
    (title,) = (name for name in figures if name.startswith("test: sound annotations"))
    own = figures[title]["own"]["mean, 51 inner points"]
    assert 0 < figures[title]["dlib"]["mean, 51 inner points"] < 10  # the same faces and boxes

    known = script.read(drawn / "landmarks68.npz")
    learnt, tested = (known.take(known.parts == part) for part in (script.TRAINING, script.TEST))
    assert not set(learnt.people) & set(tested.people)
    low, size = tested.boxes[:, None, :2], tested.boxes[:, None, 2:]
    mean = ((learnt.points - learnt.boxes[:, None, :2]) / learnt.boxes[:, None, 2:]).mean(0)
    assert own < 0.5 * script.errors(low + size * mean, tested.points)["mean, 51 inner points"]

    steady = next(rows for name, rows in figures.items() if name.startswith("still.avi"))
    assert steady["own"]["frames"] == STILL
    assert all(0 <= row["tremble, 68 points"] < 3 for row in steady.values())  # every frame is the same


STILL = 8  # frames


def still(folder: Path) -> Path:
    """Write a video of one picture."""
    import av

    plan = planning.plan(CLIP)
    luma = next(reading.frames(plan)).luma
    with av.open(str(folder / "still.avi"), "w") as container:
        stream = container.add_stream("ffv1", rate=25, width=luma.shape[1], height=luma.shape[0])
        stream.pix_fmt = "gray"
        for _ in range(STILL):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(luma, format="gray")))
        container.mux(stream.encode())
    return folder / "still.avi"


def test_the_mirror_turns_back_and_views_keep_points_on_their_pixels(script: ModuleType) -> None:
    chance = np.random.default_rng(5)
    points = (shape.figures()["neutral"][:, :2] * 46 + [96, 80]).astype(np.float32)
    picture = np.zeros((192, 192), np.uint8)
    corner = 36  # one point, marked
    x, y = points[corner].round().astype(int)
    points[corner] = x, y
    picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    box = np.array([40, 35, 115, 115], np.float32)
    once = script.mirrored(picture, points, box)
    for twice, original in zip(script.mirrored(*once), (picture, points, box), strict=True):
        np.testing.assert_allclose(twice, original, atol=1e-4)
    for face, marked in (((picture, points, box), 36), (once, 45)):
        views = list(script.views(*face, 3, chance))
        assert len(views) == 3
        for canvas, placed in views:
            rows, columns = np.nonzero(canvas > 200)
            assert np.hypot(columns.mean() - placed[marked, 0], rows.mean() - placed[marked, 1]) < 0.7


def test_a_convention_is_learnt_whatever_way_a_face_lies(script: ModuleType) -> None:
    """Check that points are corrected if they are off in the face's own directions, not if at random."""
    chance = np.random.default_rng(8)
    neutral = shape.figures()["neutral"][:, :2]
    offset = chance.normal(0, 0.05, (68, 2))
    offset[36:48] = 0  # the unit of measure is the eye distance
    true, predicted = [], []
    for _ in range(200):
        turn, eyes, middle = chance.uniform(-1, 1), chance.uniform(20, 90), chance.uniform(50, 500, 2)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        at = neutral + chance.normal(0, 0.01, neutral.shape)
        true.append(at @ rotation.T * eyes + middle)
        predicted.append((at - offset) @ rotation.T * eyes + middle)
    all_true, all_predicted = np.array(true, np.float32), np.array(predicted, np.float32)
    convention = script.Convention(all_predicted[:100], all_true[:100])
    np.testing.assert_allclose(convention.offset, offset, atol=0.005)
    rest = all_true[100:]
    before = script.errors(all_predicted[100:], rest)["mean, 68 points"]
    assert script.errors(convention.shifted(all_predicted[100:]), rest)["mean, 68 points"] < 0.1 * before
    assert script.errors(convention.mapped(all_predicted[100:]), rest)["mean, 68 points"] < 0.1 * before


def test_invalid_options_of_the_script_are_an_error(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, words in (
        (["--data", str(tmp_path)], "give either --output"),
        (["--data", str(tmp_path), "--judge", "a.dat"], "has no landmarks68.npz"),
    ):
        monkeypatch.setattr(sys, "argv", ["train_landmarks.py", *given])
        with pytest.raises(SystemExit):
            script.main()
        assert words in capsys.readouterr().err
