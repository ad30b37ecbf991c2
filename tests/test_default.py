"""Test the included model: its size, its files, and that its figures are those of its card."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from fervid import datasets, execute, metrics, model
from fervid.labels import EMOTIONS
from fervid.train import evaluate

FOLDER = Path(str(model.find("default")))
DATA = ROOT.parent / "shared" / "data"
MOST = 20 * 2**20  # bytes of its files
SOME = 30  # stills of each label


def test_the_default_model_is_small_and_undamaged() -> None:
    model.verify("default")
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST
    assert {path.name for path in FOLDER.iterdir()} == {
        "model.json",
        "model.safetensors",
        "card.md",
        "accuracy.json",
        "runs.json",
    }


def test_streams_are_fused_by_joint_fine_tuning() -> None:
    spec = model.read_spec("default")
    assert spec.trained and spec.labels == EMOTIONS and spec.fusion == "joint"
    assert [stream.name for stream in spec.streams] == ["c3d", "phrnn", "still", "still_facenet"]
    assert spec.yielding == {"phrnn": 0.6} and spec.leading == ("still", "still_facenet")
    assert spec.one_way == {"c3d": 1, "phrnn": 0.35}
    net = model.load("default")
    shares = {}
    for name, top in net.joint.items():
        own, joint = (layer.weight.detach().numpy() for layer in (net.networks[name].top, top))
        share = float((joint * own).sum() / (own * own).sum())
        shares[name] = share if np.allclose(joint, share * own, atol=1e-3) else None
    # The tops of the frame networks were fixed, and share the sum.
    assert shares["c3d"] is None and shares["phrnn"] is None
    assert [shares["still"], shares["still_facenet"]] == pytest.approx([0.8, 0.2], abs=1e-3)


def test_the_card_has_figures_terms_and_limits() -> None:
    card = (FOLDER / "card.md").read_text(encoding="utf-8")
    for words in ("visible expression", "300-W", "FER2013", "Fear and disgust", "no labelled video"):
        assert words.casefold() in card.casefold(), words
    for row, shares in model.accuracy("default").items():
        line = next(line for line in card.splitlines() if line.startswith(f"| {row} |"))
        for share in shares.values():
            assert f"{100 * share:.1f}" in line, row


def test_the_readme_has_the_figures_of_the_model() -> None:
    rows = model.accuracy("default")
    figures = json.loads((FOLDER / "accuracy.json").read_text(encoding="utf-8"))
    names = (
        "FER2013 public test, stills, original labels",
        "KDEF, frontal faces",
        "KDEF, from the person's neutral face",
        "KDEF, from the neutral face to the apex in half a second",
    )
    wanted = [rows[name]["joint"] for name in names] + [figures["moments"]["agreement"]]
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("| test | accuracy |")[2]
    written = re.findall(r"\| ([\d.]+) % \|$", text.partition("\n\n")[0], re.MULTILINE)
    assert written == [f"{100 * share:.1f}" for share in wanted]


def test_runs_contain_their_recipes() -> None:
    runs = json.loads((FOLDER / "runs.json").read_text(encoding="utf-8"))
    assert {"c3d", "phrnn", "default"} <= set(runs)
    for run in runs.values():
        if "mean_of" in run:
            assert len(run["mean_of"]) > 1 and set(run["mean_of"]) <= runs.keys()
        elif "after" in run:
            assert run["after"] in runs and run["history"]
        else:
            assert run["recipe"]["seed"] >= 0 and run["recipe"]["data"] and run["history"]


@pytest.mark.skipif(not DATA.is_dir(), reason="the packs are missing")
def test_accuracy_is_that_of_the_card() -> None:
    samples = datasets.read(f"ferplus:{DATA / 'ferplus.npz'}?usage=PublicTest&most={SOME}").samples
    with execute.serial() as executor:
        figures = metrics.report(evaluate.predict("default", samples, EMOTIONS, executor))
    row = next(row for name, row in model.accuracy("default").items() if "mean recall" in name)
    slack = 3 * (0.25 / figures["n"]) ** 0.5  # three standard errors
    for name in ("c3d", "joint"):
        assert figures["streams"][name]["mean_recall"] == pytest.approx(row[name], abs=slack)
