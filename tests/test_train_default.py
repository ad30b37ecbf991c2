"""Test that the recipe of the included model runs: from packs to a measured model with its card."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import ROOT, made_in
from safetensors.numpy import load_file

from fervid import datasets, model, synth
from fervid.labels import EMOTIONS
from fervid.metrics import charts
from fervid.synth import motion, puppet
from fervid.types import Bytes

BENCHMARKS = ROOT / "benchmarks"
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
    np.savez(
        folder / "portraits.npz",
        images=np.stack([face("neutral", 10 + number, 144) for number in range(PEOPLE)]),
        label=np.full(PEOPLE, 7),
        person=np.array([f"Somebody {number}" for number in range(PEOPLE)]),
    )
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


def run_main(script: ModuleType, packs: Path, *arguments: str | Path) -> None:
    """Run a script, and the commands that it starts, in this process, which has torch loaded."""

    def stage(words: list[str], check: bool) -> None:
        assert words[:3] == [sys.executable, "-m", "fervid"] and check
        made_in(packs, *words[3:])

    line = [script.__file__, "--data", packs, "--jobs", "1", *arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERVID_CACHE_DIR", str(packs / "cache"))
        patch.setattr(charts, "_png", lambda picture: None)  # SVG takes a twentieth of the time
        patch.setattr(motion, "EVERY", 12)  # portraits act at a sixth of the usual rate,
        patch.setattr(puppet, "MESH_STEP", 0.5)  # with coarse skin
        if hasattr(script, "subprocess"):
            patch.setattr(script, "subprocess", SimpleNamespace(run=stage))
        patch.setattr(sys, "argv", list(map(str, line)))
        script.main()


@pytest.fixture(scope="module")
def made(script: ModuleType, packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    run_main(script, packs, "-o", folder / "default", "--runs", folder / "runs", "--small")
    return folder


def test_the_recipe_makes_a_model_of_its_streams(made: Path) -> None:
    model.verify(made / "default")
    spec = model.read_spec(made / "default")
    assert spec.trained and spec.name == "default" and spec.labels == EMOTIONS
    assert [stream.name for stream in spec.streams] == ["c3d", "phrnn", "still"] and spec.fusion == "joint"
    assert "300-W" in spec.licences["landmarks"]


def test_figures_of_other_weights_are_ignored(made: Path) -> None:
    rows = model.accuracy(made / "default")
    assert {"c3d", "phrnn", "still", "weighted", "joint"} == set(rows["acted portraits, all three"])
    assert set(rows["the same, the middle frame alone"]) == set(rows["the same, in reverse"])
    figures = json.loads((made / "default" / "accuracy.json").read_text())
    left_out = figures["left_out"]
    assert set(left_out["stills"]) == set(left_out["acted portraits, all three"]) == {"c3d", "phrnn", "still"}
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


def test_finished_stages_are_not_trained_again(made: Path, script: ModuleType, packs: Path) -> None:
    before = (made / "runs" / "c3d" / "model.safetensors").stat().st_mtime_ns
    run_main(script, packs, "-o", made / "again", "--runs", made / "runs", "--small")
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
        top = f"{stage.name.partition('_')[0]}.top.weight"
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
    *alone, fusion = trained_stages(script)
    of_streams = set.union(*(people(packs, stage.data) for stage in alone))
    of_fusion = people(packs, tuple(spec for spec in fusion.data if spec.startswith("acted")))
    tested = people(packs, ("acted:{data}/portraits.npz?part=test",))
    assert of_fusion and tested and not of_fusion & of_streams
    assert not tested & (of_streams | of_fusion | people(packs, fusion.validation))


def test_missing_packs_are_an_error(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_main(script, tmp_path, "-o", tmp_path / "x")
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
