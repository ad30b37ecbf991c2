"""Test that the recipe of the included model runs: from packs to a measured model with its card."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import ROOT, made_in
from expression_detectors import small_detector
from safetensors.numpy import load_file
from small_emonet import small_emonet
from test_metrics import logits_for, predictions

from fervid import datasets, model, synth
from fervid.faces import detection, detectors
from fervid.faces.detectors import Detection
from fervid.labels import EMOTIONS
from fervid.metrics import charts
from fervid.synth import motion, puppet
from fervid.train.survey import systems
from fervid.types import Bytes, Floats
from fervid.types.samples import OnDisk, Picture, Sample

BENCHMARKS = ROOT / "benchmarks"
DETECTED: dict[object, list[Detection]] = {}  # picture and settings -> its faces
PUPPETS: dict[object, puppet.Puppet] = {}  # portrait and landmarks -> its mesh
UNLABELLED = 4  # faces of the pack of landmarks
STREAMS = ["c3d", "phrnn", "still", "still_facenet"]
PEOPLE = 24  # enough for each part, and for each half of the validation part
CODES = {"anger": 0, "disgust": 1, "fear": 2, "happiness": 3, "sadness": 4, "surprise": 5, "neutral": 6}


def face(label: str, number: int, side: int) -> Bytes:
    """Draw a picture of a face that shows a label."""
    who, moved, rng = synth.acted(f"posed/5/{number}/0/{label}")
    points = moved.clean[-1] * (side / 3.0) + (side / 2, side * 0.4)
    painted = synth.Painter(who, side, rng).paint(points, moved.weights[-1])
    return np.asarray(painted, np.uint8)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write tiny packs in the format of the real ones."""
    folder = tmp_path_factory.mktemp("packs")
    rows = [(label, number, usage) for usage in (0, 1) for label in EMOTIONS for number in range(3)]
    votes = np.zeros((len(rows), 10), np.int64)
    votes[:, 0] = 2
    columns = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
    for row, (label, _, _) in enumerate(rows):
        votes[row, columns.index(label)] += 8
    np.savez(
        folder / "ferplus.npz",
        images=np.stack(
            [
                cv2.resize(face(label, number + 3 * usage, 96), (48, 48), interpolation=cv2.INTER_AREA)
                for label, number, usage in rows
            ]
        ),
        fer2013=np.array([CODES[label] for label, _, _ in rows]),
        votes=votes,
        usage=np.array([usage for _, _, usage in rows]),
        duplicates_validation=np.zeros(len(rows), bool),
    )
    # Two neutral pictures of most people, and a smile of some: the landmark network learns from differences.
    neutral, smiling = range(2 * PEOPLE), range(0, PEOPLE, 4)
    portraits = [("neutral", number) for number in neutral] + [("happiness", number) for number in smiling]
    np.savez(
        folder / "portraits.npz",
        images=np.stack([face(label, 10 + number, 144) for label, number in portraits]),
        label=np.array([{"happiness": 4, "neutral": 7}[label] for label, _ in portraits]),
        person=np.array([f"Somebody {number % PEOPLE}" for _, number in portraits]),
    )
    unlabelled = [face("neutral", 50 + number, 192) for number in range(UNLABELLED)]
    people_of = np.array(["Somebody filmed"] * UNLABELLED)
    np.savez(folder / "landmarks68.npz", images=np.stack(unlabelled), person=people_of)
    return folder


@pytest.fixture(scope="module")
def scripts() -> Iterator[Callable[[str], ModuleType]]:
    """Return a function that imports a script of the folder of benchmarks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module


@pytest.fixture(scope="module")
def script(scripts: Callable[[str], ModuleType]) -> ModuleType:
    return scripts("train_default")


def detect_once(luma: Bytes, *settings: Any) -> list[Detection]:
    """Return the faces of a picture, detected once: many datasets of the recipe have the same pictures."""
    key = luma.shape, luma.tobytes(), settings
    if key not in DETECTED:
        DETECTED[key] = DETECT(luma, *settings)
    return list(DETECTED[key])


DETECT = detection.detect


def puppet_once(portrait: Bytes, landmarks: Floats) -> puppet.Puppet:
    """Return the puppet of a portrait, made once: each portrait acts in many clips."""
    key = portrait.tobytes(), landmarks.tobytes()
    if key not in PUPPETS:
        PUPPETS[key] = puppet.Puppet(portrait, landmarks)
    return PUPPETS[key]


class Drawer:
    """Stands for the net that draws people: it draws one of a few faces."""

    def __init__(self, folder: Path) -> None:
        assert folder.is_dir()

    def styles(self, random: np.random.Generator, count: int) -> Floats:
        return np.asarray(random.normal(size=(count, 512)), np.float32)

    def draw(self, style: Floats) -> Bytes:
        label = EMOTIONS[int(abs(style[0]) * 1000) % len(EMOTIONS)]
        if label not in DRAWN:
            DRAWN[label] = face(label, 80, 256)
        return DRAWN[label]


DRAWN: dict[str, Bytes] = {}


def run_main(script: ModuleType, packs: Path, *arguments: str | Path) -> None:
    """Run a script, and the commands that it starts, in this process, which has torch loaded."""

    def stage(words: list[str], check: bool) -> None:
        assert words[0] == sys.executable and check
        if words[1:3] == ["-m", "fervid"]:
            made_in(packs, *words[3:])
        else:
            name = Path(words[1]).stem
            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(sys, "argv", words[1:])
                importlib.import_module(name).main()

    line = [script.__file__, "--data", packs, "--jobs", "1", *arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERVID_CACHE_DIR", str(packs / "cache"))
        patch.setattr(charts, "_png", lambda picture: None)  # SVG takes a twentieth of the time
        patch.setattr(detection, "detect", detect_once)
        upright = replace(detectors.detectors()["yunet"], angles=())  # as all faces are here
        patch.setitem(detectors._DETECTORS, "yunet", upright)
        patch.setattr(motion, "EVERY", 12)  # portraits act at a sixth of the usual rate,
        patch.setattr(puppet, "MESH_STEP", 0.5)  # with coarse skin
        patch.setattr(motion, "Puppet", puppet_once)
        for name in ("c3d", "still"):
            patch.setitem(systems.SMALL, name, {"width": 4, "blocks": 1})  # half as wide
        if hasattr(script, "subprocess"):
            patch.setattr(script, "subprocess", SimpleNamespace(run=stage))
        patch.setattr(sys, "argv", list(map(str, line)))
        script.main()


def small_net(folder: Path) -> Path:
    """Write a small net in the files of face-api's, with random weights."""
    random, entries, content = np.random.default_rng(0), [], b""
    widths = (3, 32, 64, 128, 256)
    for block in range(4):
        before, after = widths[block], widths[block + 1]
        for layer in range(4):
            name, depth = f"dense{block}/conv{layer}", after if layer else before
            shapes = {"depthwise_filter": (3, 3, depth, 1), "pointwise_filter": (1, 1, depth, after)}
            if not block and not layer:
                shapes = {"filters": (3, 3, 3, after)}
            for part, shape in shapes.items():
                scale = {"dtype": "uint8", "scale": 0.004, "min": -0.5}
                entries.append({"name": f"{name}/{part}", "shape": shape, "quantization": scale})
                content += random.integers(0, 256, int(np.prod(shape)), np.uint8).tobytes()
            entries.append({"name": f"{name}/bias", "shape": (after,)})
            content += np.zeros(after, "<f4").tobytes()
    for part, shape in (("weights", (256, 7)), ("bias", (7,))):
        entries.append({"name": f"fc/{part}", "shape": shape})
        content += random.normal(0, 0.05, shape).astype("<f4").tobytes()
    folder.mkdir()
    (folder / "face_expression_model-weights_manifest.json").write_text(json.dumps([{"weights": entries}]))
    (folder / "face_expression_model.bin").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def made(script: ModuleType, packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    small_detector(folder / "detector.pt")
    nets = ("--face-api", small_net(folder / "net"), "--detector", folder / "detector.pt")
    run_main(script, packs, "-o", folder / "default", "--runs", folder / "runs", "--small", *nets)
    return folder


def test_the_recipe_makes_a_model_of_its_streams(made: Path) -> None:
    model.verify(made / "default")
    spec = model.read_spec(made / "default")
    assert spec.trained and spec.name == "default" and spec.labels == EMOTIONS
    assert [stream.name for stream in spec.streams] == STREAMS and spec.fusion == "joint"
    assert spec.yielding == {"phrnn": 0.6} and spec.leading == ("still", "still_facenet")
    assert spec.one_way == {"c3d": 1, "phrnn": 0.35}
    assert "300-W" in spec.licences["landmarks"]


def test_figures_of_other_weights_are_ignored(made: Path) -> None:
    rows = model.accuracy(made / "default")
    assert {*STREAMS, "weighted", "joint"} == set(rows["acted portraits, all three"])
    assert set(rows["the same, the middle frame alone"]) == set(rows["the same, in reverse"])
    figures = json.loads((made / "default" / "accuracy.json").read_text())
    left_out = figures["left_out"]
    assert list(left_out) == ["stills", "acted portraits, all three", "FER2013 public test, onsets"]
    assert all(set(streams) == set(STREAMS) for streams in left_out.values())
    assert 0 <= figures["calibration"]["onsets"] <= 1
    assert 0 <= figures["example_clip"] <= 1 and figures["moments"] is None
    assert all(0 <= share <= 1 for row in rows.values() for share in row.values())
    value = json.loads((made / "default" / "accuracy.json").read_text())
    value["weights_sha256"] = "of others"
    (made / "default" / "other.json").write_text(json.dumps(value))
    (made / "default" / "accuracy.json").rename(made / "default" / "kept.json")
    (made / "default" / "other.json").rename(made / "default" / "accuracy.json")
    try:
        assert model.accuracy(made / "default") == {}
    finally:
        (made / "default" / "kept.json").rename(made / "default" / "accuracy.json")


def test_the_card_has_the_table_and_no_paths(made: Path, packs: Path) -> None:
    card = (made / "default" / "card.md").read_text()
    assert "| acted portraits, medium |" in card and "visible expression" in card and "{" not in card
    runs = (made / "default" / "runs.json").read_text()
    assert set(json.loads(runs)) >= {"c3d", "phrnn", "default"}
    assert str(packs) not in runs + card and str(made) not in runs + card


def test_expressions_grow_out_of_the_neutral_picture_of_the_same_session(
    script: ModuleType, tmp_path: Path
) -> None:
    labels = {"AF01NES": "neutral", "AF01ANS": "anger", "BF01ANS": "anger", "BM02NES": "neutral"}
    for grey, name in enumerate(labels):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((8, 8), 10 * grey, np.uint8))
    samples = [Sample(name, label, OnDisk(str(tmp_path / f"{name}.png"))) for name, label in labels.items()]
    grown = {sample.name: sample for sample in script.accuracy.from_rest(tuple(samples))}
    # There is no neutral picture of session B of woman 1.
    assert list(grown) == ["grow/AF01NES", "grow/AF01ANS", "grow/BM02NES"]
    pixels = grown["grow/AF01ANS"].pixels
    assert isinstance(pixels, Picture) and pixels.rest is not None
    assert (pixels.luma == 10).all() and (pixels.rest == 0).all() and pixels.motion.startswith("grow/")
    assert grown["grow/AF01ANS"].label == "anger"


def test_what_is_read_where_two_labels_differ(script: ModuleType) -> None:
    """Four of five pictures have two labels, which differ on three of them."""
    original = predictions(logits_for((0, 1, 2, 3, 4), 7), (0, 1, 2, 6, 6), EMOTIONS)
    votes = zip(original.names, ("anger", "neutral", "sadness", "happiness"), strict=False)
    nothing = Picture(np.zeros((4, 4), np.uint8))
    voted = script.accuracy.relabelled(original, [Sample(name, label, nothing) for name, label in votes])
    assert script.accuracy.two_labels(original, voted) == {
        "agree": 0.25,
        "right_where_they_agree": 1.0,
        "first_where_not": pytest.approx(2 / 3),
        "second_where_not": pytest.approx(1 / 3),
    }


def test_finished_stages_are_not_trained_again(made: Path, script: ModuleType, packs: Path) -> None:
    before = (made / "runs" / "c3d" / "model.safetensors").stat().st_mtime_ns
    nets = ("--face-api", made / "net", "--detector", made / "detector.pt")
    figures = json.loads((made / "default" / "accuracy.json").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script.accuracy, "measure", lambda *arguments, **options: figures)
        run_main(script, packs, "-o", made / "again", "--runs", made / "runs", "--small", *nets)
    assert (made / "runs" / "c3d" / "model.safetensors").stat().st_mtime_ns == before
    assert (made / "again" / "model.safetensors").read_bytes() == (
        made / "default" / "model.safetensors"
    ).read_bytes()


def trained_stages(script: ModuleType) -> list[Any]:
    return [stage for stage in script.STAGES if isinstance(stage, script.Stage)]


def test_means_average_all_weights_of_their_runs(made: Path, script: ModuleType) -> None:
    means = [stage for stage in script.STAGES if isinstance(stage, script.Mean)]
    runs = json.loads((made / "default" / "runs.json").read_text())
    assert means
    for stage in means:
        parts = [load_file(made / "runs" / name / model.WEIGHTS) for name in stage.of]
        mean = load_file(made / "runs" / stage.name / model.WEIGHTS)
        assert all(part.keys() == mean.keys() for part in parts)
        for key, value in mean.items():
            if value.dtype.kind != "f":
                continue  # a counter has no mean
            values = np.stack([part[key].astype(np.float64) for part in parts])
            assert np.allclose(value, values.mean(0), rtol=1e-3, atol=1e-3), key
        top = (
            "phrnn.joint.weight" if stage.name == "default" else f"{stage.name.partition('_')[0]}.top.weight"
        )
        assert not np.array_equal(mean[top], parts[0][top])
        model.verify(made / "runs" / stage.name)
        assert runs[stage.name] == {"mean_of": list(stage.of)}


def test_every_dataset_of_the_recipe_can_be_read(script: ModuleType, packs: Path) -> None:
    for stage in trained_stages(script):
        for spec in (*stage.data, *stage.validation):
            small = script.sized(spec, True).format(data=packs)
            assert datasets.read(small).samples, spec


def people(packs: Path, specs: tuple[str, ...]) -> set[str]:
    """Return the people on the portraits of these datasets."""
    read = (datasets.read(spec.format(data=packs)).samples for spec in specs if "portraits.npz" in spec)
    return {sample.subject for samples in read for sample in samples}


def test_training_and_validation_share_no_people(script: ModuleType, packs: Path) -> None:
    for stage in trained_stages(script):
        training, validation = people(packs, stage.data), people(packs, stage.validation)
        assert training and not training & validation  # some stages validate on stills alone
        assert all("part=validation" in spec for spec in stage.validation if "portraits.npz" in spec)
        assert all("usage=Training" in spec for spec in stage.data if "ferplus" in spec)
        assert all("usage=PublicTest" in spec for spec in stage.validation if "ferplus" in spec)


def test_streams_and_fusion_train_on_different_people(script: ModuleType, packs: Path) -> None:
    *alone, fusion, free = trained_stages(script)
    assert (fusion.data, fusion.validation) == (free.data, free.validation)
    of_streams = set.union(*(people(packs, stage.data) for stage in alone))
    of_fusion = people(packs, tuple(spec for spec in fusion.data if spec.startswith("acted")))
    tested = people(packs, ("acted:{data}/portraits.npz?part=test",))
    assert of_fusion and tested and not of_fusion & of_streams
    assert not tested & (of_streams | of_fusion | people(packs, fusion.validation))


def test_the_frame_network_learns_from_labels_and_answers(
    scripts: Callable[[str], ModuleType], made: Path
) -> None:
    script, runs = scripts("train_frames"), made / "runs" / "frames"
    material = script.gather(runs, script.STAGES[0])
    assert np.allclose(material.targets.sum(1), 1) and (material.targets >= 0).all()
    with np.load(runs / "portraits.npz") as pack:
        kept = int((pack["split"] == "training").sum())
        assert 0 < kept < len(pack["split"])
    with np.load(runs / "fer.npz") as pack:
        assert len(material.faces) == len(pack["faces"]) + kept + UNLABELLED
        answers = np.load(runs / "answers-fer.npy")
        assert answers.shape == (len(pack["faces"]), 7) and answers.std(0).min() > 0
        labels = np.array([EMOTIONS.index(label) for label in pack["label"]])
        assert (material.targets[: len(labels)].argmax(1) == labels).all()
    history = json.loads((runs / "history.json").read_text())
    assert [len(history[stage.name]) for stage in script.STAGES] == [1] * len(script.STAGES)
    before, after = (
        load_file(made / "runs" / name / model.WEIGHTS) for name in ("still_mean", "still_second")
    )
    name = "still.blocks.1.first.weight"
    changed = np.abs(after[name] - before[name]).mean()
    assert 0 < changed < 0.1 * np.abs(before[name]).mean()


def test_the_landmark_network_learns_from_pictures_of_the_same_person(
    scripts: Callable[[str], ModuleType], made: Path
) -> None:
    script, runs = scripts("train_motion"), made / "runs" / "motion"
    material = script.Material(runs, 0.5)
    assert material.resting and all(len(rows) == 2 for rows in material.resting)
    random, resting = np.random.default_rng(0), EMOTIONS.index("neutral")
    shown = []
    for source in sorted({source for stage in script.STAGES for source in stage.sources}):
        for _ in range(40):
            moved, target = material.draw(random, {source: 1.0})
            assert moved.shape == (16, 68, 2) and np.isfinite(moved).all()
            assert target.sum() == pytest.approx(1) and target.min() > 0
            shown.append((source, int(target.argmax())))
    of_pairs = {label for source, label in shown if source == "pairs"}
    assert of_pairs == {resting, EMOTIONS.index("happiness")}
    assert {label for source, label in shown if source == "onsets"} == set(range(len(EMOTIONS)))
    history = json.loads((runs / "history.json").read_text())
    assert [len(history[stage.name]) for stage in script.STAGES] == [1] * len(script.STAGES)
    (stream,) = model.read_spec(made / "runs" / "phrnn_people").streams
    assert stream.sizes["motion"] == 8 and model.read_spec(made / "default").streams[1].sizes["motion"] == 8


def test_the_detector_divides_what_is_not_neutral(
    scripts: Callable[[str], ModuleType], made: Path, tmp_path: Path
) -> None:
    script, runs = scripts("train_frames"), tmp_path / "frames"
    shutil.copytree(made / "runs" / "frames", runs)
    taught, random = next(stage for stage in script.STAGES if stage.detected), np.random.default_rng(0)
    with np.load(runs / "fer.npz") as pack:
        labels = np.array([EMOTIONS.index(label) for label in pack["label"]])
    for name, shown in (("fer", labels), ("landmarks", np.arange(UNLABELLED))):  # a detector that knows them
        logs = np.eye(len(EMOTIONS))[shown] + random.normal(0, 1, (len(shown), len(EMOTIONS)))
        np.save(runs / f"detected-{name}.npy", logs.astype(np.float32))
    flat = np.full(len(EMOTIONS), 1 / len(EMOTIONS), np.float32)
    targets, plain = (
        script.gather(runs, stage, lambda faces: np.tile(flat, (len(faces), 1))).targets
        for stage in (taught, replace(taught, detected=0.0))
    )
    neutral = EMOTIONS.index("neutral")
    assert np.allclose(targets.sum(1), 1, atol=1e-5)
    assert np.allclose(targets[:, neutral], plain[:, neutral], atol=1e-6)
    changed = np.abs(targets - plain).max(1) > 1e-3
    assert changed[: len(labels)].all() and changed[-UNLABELLED:].all()
    assert not changed[len(labels) : -UNLABELLED].any()  # the portraits


def test_the_frame_network_sees_acted_faces(scripts: Callable[[str], ModuleType], made: Path) -> None:
    script, runs = scripts("train_frames"), made / "runs" / "frames"
    third = next(stage for stage in script.STAGES if stage.own)
    with np.load(runs / "acted.npz") as pack:
        labels, levels = pack["label"], pack["level"]
    assert set(labels) == set(EMOTIONS) and 0 <= levels.min() < 0.1 < 0.5 < levels.max() <= 1
    flat = np.full(len(EMOTIONS), 1 / len(EMOTIONS), np.float32)
    material = script.gather(runs, third, lambda faces: np.tile(flat, (len(faces), 1)))
    targets = material.targets[-len(labels) :]
    neutral = EMOTIONS.index("neutral")
    hidden = levels < script.VISIBLE[0]
    assert (targets[hidden].argmax(1) == neutral).all()
    clear = (levels > script.VISIBLE[1]) & (labels != "neutral")
    expected = [EMOTIONS.index(label) for label in labels[clear]]
    assert clear.any() and (targets[clear].argmax(1) == expected).all()


@pytest.fixture(scope="module")
def sharp(scripts: Callable[[str], ModuleType], made: Path, packs: Path) -> Path:
    """Train the frame networks of the recipe's model on drawn faces, and return the folder of the new one."""
    script, emonet, target = scripts("train_sharp"), made / "emonet.pth", made / "sharp"
    small_emonet(emonet)
    for words in (
        ("draw", "--drawer", made, "--emonet", emonet, "--small"),
        ("answers", "--data", packs, "--emonet", emonet),
        ("train", "--model", made / "default", "--small"),
        ("join", "--model", made / "default", "--data", packs, "-o", target),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FERVID_CACHE_DIR", str(packs / "cache"))
            patch.setattr(script, "Drawer", Drawer)
            patch.setattr(script, "compute_in_integers", lambda folder, data: None)
            patch.setattr(script, "calibrate", lambda folder, data, executor: None)
            runs = ("--runs", made / "runs" / "frames")
            patch.setattr(sys, "argv", list(map(str, (script.__file__, *words, *runs))))
            script.main()
    return target


def test_frame_networks_learn_from_drawn_faces(
    scripts: Callable[[str], ModuleType], made: Path, sharp: Path
) -> None:
    script, runs = scripts("train_sharp"), made / "runs" / "frames"
    whole = model.load_exactly(made / "default")
    material = script.shared(script.gather(whole, runs), script.SHARP)
    assert np.allclose(material.targets.sum(1), 1, atol=1e-4) and (material.targets >= 0).all()
    counts = {}
    for name in (
        "fer",
        "portraits",
        "landmarks",
        *(f"drawn-{number}" for number in range(script.ROUNDS + 1)),
    ):
        with np.load(runs / f"{name}.npz") as pack:
            counts[name] = len(pack["faces"])
            if name == "portraits":
                counts[name] = int((pack["split"] == "training").sum())
            elif name.startswith("drawn"):
                assert pack["emonet"].shape == (counts[name], len(script.KINDS)) and counts[name] > 0
    assert len(material.faces) == sum(counts.values())
    # About portraits EmoNet only says what divides the expressions: each stays as neutral as it was.
    neutral, begin = EMOTIONS.index("neutral"), counts["fer"]
    portraits = slice(begin, begin + counts["portraits"])
    own = script.scores(whole, material.faces[portraits])[:, neutral]
    share, targets = script.LABELS[True], material.targets[portraits, neutral]
    rested = np.abs(targets - (share + (1 - share) * own)) < 1e-4
    smiled = np.abs(targets - (1 - share) * own) < 1e-4
    assert (rested | smiled).all() and rested.any()
    history = json.loads((runs / "history.json").read_text())
    assert all(len(history[stage.name]) == 1 for _, stage in script.STAGES)


def test_a_model_gets_the_networks_that_have_seen_sharp_faces(
    scripts: Callable[[str], ModuleType], made: Path, sharp: Path
) -> None:
    script = scripts("train_sharp")
    model.verify(sharp)
    before, after = model.read_tensors(made / "default"), model.read_tensors(sharp)
    first, second, face_net = (
        load_file(made / "runs" / "frames" / stage.name / model.WEIGHTS) for _, stage in script.STAGES
    )
    more = np.array([script.ADDED_AFTER.get(label, 0.0) for label in EMOTIONS])
    for name, nets, old, new in (
        ("still", (before, first, second), 1 - script.SHARE, 1 - script.SHARE_AFTER),
        ("still_facenet", (face_net,), script.SHARE, script.SHARE_AFTER),
    ):
        weight, bias = (
            np.mean([net[f"{name}.top.{part}"].astype(np.float32) for net in nets], 0)
            for part in ("weight", "bias")
        )
        assert not np.allclose(weight, before[f"{name}.top.weight"], atol=1e-5)
        assert np.allclose(after[f"{name}.top.weight"], weight, atol=2e-3)
        assert np.allclose(after[f"{name}.joint.weight"], new * weight, atol=2e-3)
        # What was added to the logits of the sum stays, and something is added.
        rest = before[f"{name}.joint.bias"] - old * before[f"{name}.top.bias"]
        added = rest + more if name == "still" else rest
        assert np.allclose(after[f"{name}.joint.bias"] - new * bias, added, atol=1e-3)
    weights = {stream.name: stream.weight for stream in model.read_spec(sharp).streams}
    assert 7 * weights["still_facenet"] == pytest.approx(3 * weights["still"])
    same = [name for name in before if name.startswith(("c3d.", "phrnn.")) and not name.endswith("ranges")]
    assert same and all(np.array_equal(before[name], after[name]) for name in same)


def test_streams_over_time_count_more_and_what_they_always_add_stays(script: ModuleType, made: Path) -> None:
    fused = load_file(made / "runs" / "default" / model.WEIGHTS)
    still = load_file(made / "runs" / script.STILL / model.WEIGHTS)
    tensors = model.read_tensors(made / "default")
    always = (1 - script.SHARE) * still["still.top.bias"].astype(np.float32)
    always = always + np.array([script.ADDED.get(label, 0.0) for label in EMOTIONS])
    for name, times in script.COUNTS.items():
        assert np.allclose(tensors[f"{name}.joint.weight"], times * fused[f"{name}.joint.weight"], atol=2e-3)
        assert not tensors[f"{name}.joint.bias"].any()
        always = always + fused[f"{name}.joint.bias"]
    assert np.allclose(tensors["still.joint.bias"], always, atol=1e-3)


def test_missing_packs_are_an_error(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_main(script, tmp_path, "-o", tmp_path / "x", "--face-api", tmp_path, "--detector", tmp_path)
    assert "there is no ferplus.npz" in capsys.readouterr().err


def test_the_rejection_rule_is_measured(
    scripts: Callable[[str], ModuleType], packs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "figures.json"
    run_main(scripts("rejection"), packs, "--model", "untrained", "--most", "2", "--json", target)
    figures = json.loads(target.read_text())
    rows = figures["rows"]
    for row in rows.values():
        assert 0 <= row["read"] <= row["found"] <= 1
        assert (row["right_where_read"] is None) == (row["read"] == 0)
    assert rows["as they are"]["read"] == 1 > rows["out of focus, 4% of the width"]["read"]
    # And the heading, which is the first line.
    assert capsys.readouterr().out.count("\n|") == len(rows) + 1
    assert set(figures["coverage"]) == {"100%", "90%", "80%", "70%", "60%"}
