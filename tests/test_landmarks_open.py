"""Test fervid's own predictor of the 68 points, its option, and the script that trains it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import ModuleType

import click
import cv2
import numpy as np
import pytest
import torch
from conftest import CLIP, ROOT, Call, environment
from safetensors.torch import save_file

from fervid import analysis, execute, quantized, synth
from fervid.cache import Store
from fervid.cli.shared.options import SELECTION
from fervid.errors import ModelError, UsageError
from fervid.faces import points as network
from fervid.faces import shape
from fervid.faces.detectors import Detection
from fervid.faces.finder import (
    _PREDICTORS,
    FaceFinder,
    _predictor,
    predictor,
    predictors,
    upright_box,
)
from fervid.faces.picture import canvas
from fervid.train.footage import PictureFinder
from fervid.types import Floats, Settings
from fervid.video import planning, reading

OPEN = Settings(start=Fraction(0), end=Fraction(1, 2), landmarks="open")
LARGEST = 4_000_000  # bytes, of the file
SHOWN = (0, 60, 120, 360)  # frames of the example clip with a face: large, and a third of the height
NEAR = 0.12  # eye distances: as far as two conventions of the same points differ
PEOPLE, PICTURES = 40, 3  # drawn for training


def eyes_apart(points: Floats, other: Floats) -> float:
    """Return the mean distance of the inner points, in eye distances."""
    return float(np.linalg.norm((points - other)[17:], axis=1).mean() / shape.eye_distance(other))


# --- the predictor


def test_it_is_small_and_has_a_name() -> None:
    assert list(predictors()) == ["open", "dlib"]
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
    with pytest.raises(ModelError, match="pip install 'fervid\\[dlib\\]'"):
        FaceFinder(landmarks="dlib").fit(luma, face)


def test_a_damaged_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, ending in (("dlib", "dat"), ("open", "safetensors")):
        path = tmp_path / f"cut.{ending}"
        path.write_bytes(predictors()[name]().read_bytes()[:1000])
        monkeypatch.setitem(_PREDICTORS, f"cut {name}", partial(Path, path))
        finder = FaceFinder(landmarks=f"cut {name}")
        with pytest.raises(ModelError, match=rf"cut\.{ending} cannot be read"):
            finder.fit(np.zeros((80, 80), np.uint8), Detection(np.array([8, 8, 64, 64], np.float32), 0.0))


def test_weights_of_another_network_are_an_error(tmp_path: Path) -> None:
    save_file({"stem.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=r"other\.safetensors cannot be read"):
        network.load(tmp_path / "other.safetensors")


def test_the_points_do_not_depend_on_the_other_faces_of_a_frame() -> None:
    chance = np.random.default_rng(5)
    images = [chance.integers(0, 255, (network.READ,) * 2, np.uint8) for _ in range(network.MOST + 2)]
    images = [np.asarray(cv2.GaussianBlur(image, (0, 0), 3), np.uint8) for image in images]
    predict = network.load(predictors()["open"]())
    together = predict.all(images)
    for image, points in zip(images, together, strict=True):
        assert np.array_equal(predict(image), points)
        assert np.array_equal(predict.all([image, images[0]])[0], points)
    exact = network.Predictor(network.PointsNet())  # in single precision, faces are predicted one by one
    assert np.array_equal(exact.all(images[:3])[2], exact(images[2]))
    assert predict.all([]) == []


def test_the_points_do_not_depend_on_the_number_of_threads() -> None:
    chance = np.random.default_rng(4)
    image = cv2.GaussianBlur(chance.integers(0, 255, (256, 256), np.uint8), (0, 0), 3)
    predict = network.load(predictors()["open"]())
    before = torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            answers.append(predict(image))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert answers[0].tobytes() == answers[1].tobytes() == answers[2].tobytes()


PREDICTED = """
import hashlib, cv2, numpy as np
from fervid.faces import points
from fervid.faces.finder import predictors
chance = np.random.default_rng(6)
images = [cv2.GaussianBlur(chance.integers(0, 255, (256, 256), np.uint8), (0, 0), 3) for _ in range(8)]
print(hashlib.sha256(np.stack(points.load(predictors()["open"]()).all(images)).tobytes()).hexdigest())
"""


@pytest.mark.skipif(not quantized.is_available(), reason="only 8-bit integers are the same everywhere")
def test_the_points_do_not_depend_on_the_code_that_a_library_chooses_for_a_processor() -> None:
    """MKL adds in another order with each set of instructions, and tracking amplifies the last bits."""
    answers = {
        subprocess.run(
            [sys.executable, "-c", PREDICTED],
            env=environment(MKL_CBWR=instructions, ONEDNN_MAX_CPU_ISA=other),
            capture_output=True,
            check=True,
        ).stdout
        for instructions, other in (("COMPATIBLE", "AVX2"), ("AVX2", "AVX512_CORE"), ("AUTO", "ALL"))
    }
    assert len(answers) == 1


# --- the option


def test_an_unknown_name_is_an_error(call: Call) -> None:
    with pytest.raises(UsageError, match="unknown landmarks 'haar': choose one of open, dlib"):
        FaceFinder(landmarks="haar")
    done = call("extract", CLIP, "-o", "out", "--landmarks", "haar")
    assert done.returncode == 2
    assert "'haar' is not one of 'open', 'dlib'" in done.stderr


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
    other, other_key = first_points(Settings(start=OPEN.start, end=OPEN.end, landmarks="dlib"))
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
    """Import the script as a module, with those that it imports."""
    folder = ROOT / "benchmarks"
    names = ("train_landmarks", "measure_landmarks", "fit_points", "stretch_points", "moving_faces")
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(names[0])
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, script: ModuleType) -> Path:
    """Write packs like the real ones: drawn people, each turned and moved differently.

    As in the real packs, points have an offset from what they name, and portraits have none.
    """
    chance = np.random.default_rng(3)
    points, packed = [], []
    for _ in range(PEOPLE * PICTURES):
        who = synth.person(chance)
        turn, eyes = chance.normal(0, 0.12), chance.uniform(42, 50)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        placed = who.shape[:, :2] @ rotation.T * eyes + np.array([96, 80]) + chance.normal(0, 4, 2)
        picture = synth.Painter(who, 192, chance).paint(placed, np.zeros((len(synth.UNITS), 2)))
        points.append(placed + np.array([measured().ASIDE * eyes, 0]))
        packed.append(cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 101])[1])
    folder = tmp_path_factory.mktemp("data")
    pictures = {
        "person": np.repeat([f"Person_{number}" for number in range(PEOPLE)], PICTURES),
        "webp": np.concatenate(packed),
        "offset": np.cumsum([0, *map(len, packed)]),
    }
    np.savez(folder / "landmarks68.npz", points=np.array(points, np.float32), **pictures)
    np.savez(folder / "portraits.npz", **pictures)
    return folder


def measured() -> ModuleType:
    """Return the module of the measures, which the script imports."""
    return sys.modules["measure_landmarks"]


SMALL = {"faces": 6, "portraits": 3, "motions": 2, "drawings": 4, "first-steps": 2, "steps": 2}


def test_it_trains_measures_and_resumes(
    script: ModuleType,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("fervid.faces.finder._PREDICTORS", dict(_PREDICTORS))
    for name, value in (("RESTING", 1), ("PORTRAITS", 2), ("MOTIONS", 3), ("OFFSET_FACES", 10)):
        monkeypatch.setattr(sys.modules["measure_landmarks"], name, value)
    monkeypatch.setattr(sys.modules["fit_points"], "BATCH", 4)
    monkeypatch.setattr(script, "UNSURE", np.inf)  # two steps teach nothing
    monkeypatch.setattr(script, "MISFIT", np.inf)
    target, runs = tmp_path / "new" / "own.safetensors", tmp_path / "runs"
    sizes = [f"--{name}={value}" for name, value in SMALL.items()]
    given = ["--data", str(drawn), "-o", str(target), "--runs", str(runs), "--json", *sizes]
    monkeypatch.setattr(sys, "argv", ["train_landmarks.py", *given, "--clip", str(still(tmp_path))])
    script.main()
    text = capsys.readouterr().out
    assert text.count("step 2 of 2") == 2
    figures = json.loads(text[text.index("{") :])
    assert figures[target.name]["megabytes"] == target.stat().st_size / 1e6
    (title,) = (name for name in figures if name.startswith("test: sound annotations"))
    assert 0 < figures[title]["dlib"]["mean, 51 inner points"] < 10
    assert 0 < figures[title][target.name]["mean, 51 inner points"] < 30  # the same faces and boxes
    for moving in ("test: annotated faces in motion", "test: portraits in motion"):
        assert figures[moving][target.name]["motions"] >= 6
        assert figures[moving]["dlib"]["mouth opening: correlation with the truth"] > 0.3
    steady = next(rows for name, rows in figures.items() if name.startswith("still.avi"))
    assert steady[target.name]["frames"] == STILL
    assert all(0 <= row["tremble, 68 points"] < 3 for row in steady.values())  # every frame is the same

    # A second run finds everything done; with more steps, it resumes from the state.
    monkeypatch.setattr(script, "report", lambda *_: None)
    before = target.read_bytes()
    target.unlink()
    monkeypatch.setattr(sys, "argv", ["train_landmarks.py", *given])
    script.main()
    assert "step" not in capsys.readouterr().out
    assert target.read_bytes() == before
    monkeypatch.setattr(sys, "argv", ["train_landmarks.py", *given, "--steps", "3"])
    script.main()
    assert capsys.readouterr().out.count("step 3 of 3") == 1
    assert target.read_bytes() != before


def test_the_parts_share_no_people(script: ModuleType, drawn: Path) -> None:
    known = script.read(drawn / "landmarks68.npz")
    learnt, tested = (known.take(known.parts == part) for part in (script.TRAINING, script.TEST))
    assert len(learnt) and len(tested)
    assert not set(learnt.people) & set(tested.people)
    recipe = script.Recipe(portraits=1000)
    assert len(script.chosen_portraits(drawn / "portraits.npz", recipe)) == len(set(learnt.people))


def test_the_network_learns_and_its_movements_are_stretched(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit_points, stretch_points = sys.modules["fit_points"], sys.modules["stretch_points"]
    monkeypatch.setattr(fit_points, "BATCH", 16)
    made = list(sys.modules["moving_faces"].drawings(8, 192, np.random.default_rng(1)))
    pool = fit_points.Pool(*(np.stack(arrays) for arrays in zip(*made, strict=True)))
    acted = [(pool.points[0], made)]

    pictures, targets = map(
        torch.from_numpy, next(fit_points.canvases([(pool, 1.0)], np.random.default_rng(2)))
    )

    def loss(net: network.PointsNet) -> float:
        with torch.inference_mode():
            return float(fit_points.loss_of(net(pictures), targets))

    untrained = network.PointsNet()
    for weights in (untrained.top.weight, untrained.top.bias):
        torch.nn.init.zeros_(weights)
    net = fit_points.fit([(pool, 1.0)], 60, 1, tmp_path)
    assert loss(net) < 0.9 * loss(untrained)

    gains = stretch_points.measured(network.Predictor(net), acted)
    assert all(1 <= gain <= stretch_points.MOST for gain, _ in gains)
    assert max(gain for gain, _ in gains) > 1.1
    stretch_points.stretch(net, gains)
    after = [gain for gain, _ in stretch_points.measured(network.Predictor(net), acted)]
    assert np.mean(after) < 0.5 + 0.5 * np.mean([gain for gain, _ in gains])


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


def test_what_the_network_sees_has_its_points_on_their_pixels(script: ModuleType) -> None:
    """Check the pictures of training, half of which are mirrored, and those of an analysis."""
    moving_faces = sys.modules["moving_faces"]
    chance = np.random.default_rng(5)
    points = (shape.figures()["neutral"][:, :2] * 46 + [96, 80]).astype(np.float32)
    picture = np.zeros((192, 192), np.uint8)
    x, y = points[36].round().astype(int)
    points[36] = x, y
    picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    sides = set()
    for _ in range(8):
        seen, placed = moving_faces.view_of(picture, points, chance)
        at = (
            placed - network.EDGE
        ) / network.SHRINK - 0.25  # of the middle of a pixel, as shrinking moves it
        marked = min((36, 45), key=lambda corner: float(np.hypot(*(at[corner] - centre(seen)))))
        sides.add(marked)
        assert np.hypot(*(at[marked] - centre(seen))) < 0.5
    assert sides == {36, 45}
    image, matrix = canvas(picture, *upright_box(points))
    at = (points[36] @ matrix[:, :2].T + matrix[:, 2] - network.EDGE) / network.SHRINK - 0.25
    seen = network.view(image)
    assert abs(seen.mean()) < 1e-4
    assert np.hypot(*(at - centre(seen - seen.min()))) < 0.5


def centre(picture: Floats) -> Floats:
    """Return the middle of the brightest pixels."""
    rows, columns = np.nonzero(picture > 0.6 * picture.max())
    return np.array([columns.mean(), rows.mean()], np.float32)


def test_a_face_in_motion_has_true_points_and_one_that_tears_is_left_out(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving_faces = sys.modules["moving_faces"]
    chance = np.random.default_rng(6)
    who = synth.person(chance)
    rest = (who.shape[:, :2] * 46 + [96, 80]).astype(np.float32)
    picture = synth.Painter(who, 192, chance).paint(rest, np.zeros((len(synth.UNITS), 2)))
    motions = list(moving_faces.acts(picture, rest, 12, chance))
    moves = measured().moves_of(np.stack([points for _, points in motions]))
    assert moves["eye opening"].min() < 0.03 < 0.1 < moves["eye opening"].max()
    assert moves["mouth opening"].max() - moves["mouth opening"].min() > 0.15
    assert len({face.tobytes() for face, _ in motions}) == 12
    monkeypatch.setattr(moving_faces, "TORN", 1.0)  # of points that move by as much as landmarks
    assert not list(moving_faces.acts(picture, rest, 2, chance))


def test_agreement_is_about_each_faces_own_mean(script: ModuleType) -> None:
    true = np.array([[0, 1, 2], [5, 4, 3]], np.float32)
    halved = true / 2 + np.array([[3], [-1]], np.float32)
    assert measured().agreement(halved, true) == pytest.approx((1, 0.5))
    assert measured().agreement(-true, true)[0] == pytest.approx(-1)


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
    convention = measured().Convention(all_predicted[:100], all_true[:100])
    np.testing.assert_allclose(convention.offset, offset, atol=0.005)
    rest = all_true[100:]
    before = measured().errors(all_predicted[100:], rest)["mean, 68 points"]
    assert measured().errors(convention.shifted(all_predicted[100:]), rest)["mean, 68 points"] < 0.1 * before
    assert measured().errors(convention.mapped(all_predicted[100:]), rest)["mean, 68 points"] < 0.1 * before


def test_invalid_options_of_the_script_are_an_error(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, words in (
        (["--data", str(tmp_path)], "give either --output"),
        (["--data", str(tmp_path), "-o", "a.safetensors"], "give --runs"),
        (["--data", str(tmp_path), "--judge", "a.dat"], "has no landmarks68.npz"),
    ):
        monkeypatch.setattr(sys, "argv", ["train_landmarks.py", *given])
        with pytest.raises(SystemExit):
            script.main()
        assert words in capsys.readouterr().err
