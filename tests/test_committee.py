"""Test committees: their votes, members, models, resumption and the commands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Call
from safetensors.numpy import load_file
from training import CPU, LABELS, SMALL

from fervid import execute, model, synth
from fervid.cli.shared.training import check_run_folder
from fervid.clips import Face
from fervid.errors import ModelError, UsageError
from fervid.explain import explain
from fervid.train import evaluate, folders, footage, run, starting
from fervid.train.listener import Listener
from fervid.train.material import Material, arrange
from fervid.train.recipe import Recipe, settings

COMMITTEE = replace(SMALL, epochs=2, joint_epochs=1, committee=2)


@pytest.fixture(scope="module")
def material() -> Material:
    return arrange(tuple(synth.samples("posed", 4, 4, 0, LABELS)), (), (), 0.3, 0)


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strips")


def trained(
    recipe: Recipe, material: Material, folder: Path, strips: Path, listener: Listener | None = None
) -> Path:
    if not folder.exists():
        run.check(recipe, material, "cpu")
        folders.begin(folder, recipe, material)
    with execute.serial() as executor:
        return run.train(
            recipe, material, folder, executor, CPU, cache=strips, listener=listener or Listener()
        )


@pytest.fixture(scope="module")
def committee(material: Material, strips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(COMMITTEE, material, tmp_path_factory.mktemp("runs") / "committee", strips)


def test_the_mean_is_of_probabilities_and_the_majority_of_votes() -> None:
    shares = np.array([[[0.9, 0.05, 0.05]], [[0.3, 0.4, 0.3]], [[0.3, 0.4, 0.3]]])  # (M, N, C)
    logits = np.log(shares).astype(np.float32) + 3  # a constant changes no probability
    mean, majority = (np.exp(model.vote(logits, rule)) for rule in model.VOTES)
    np.testing.assert_allclose(mean[0], shares.mean(0)[0], atol=1e-5)
    assert mean.argmax() == 0 and majority.argmax() == 1
    np.testing.assert_allclose(majority.sum(), 1, atol=1e-5)


def test_the_mean_decides_a_tie_of_votes() -> None:
    shares = np.array([[[0.6, 0.4]], [[0.1, 0.9]]])
    majority = model.vote(np.log(shares).astype(np.float32), "majority")
    assert majority[0].argmax() == 1
    assert np.isnan(model.vote(np.full((2, 1, 2), np.nan, np.float32), "majority")).all()


def test_a_committee_is_a_model_of_its_members(committee: Path, material: Material, strips: Path) -> None:
    net, members = model.load(committee), [model.load(committee / f"member_{n}") for n in (1, 2)]
    names = [stream.name for stream in net.spec.streams]
    assert names == ["tiny_faces#1", "tiny_displacement#1", "tiny_faces#2", "tiny_displacement#2"]
    assert net.spec.vote == net.spec.headline == "mean" and net.spec.fusion == "joint"
    assert [folders.recipe_of(committee / f"member_{n}").seed for n in (1, 2)] == [0, 1]
    first, second = (load_file(committee / f"member_{n}" / model.WEIGHTS) for n in (1, 2))
    assert any(not np.array_equal(first[key], second[key]) for key in first)

    with execute.serial() as executor:
        whole, one, two = (
            evaluate.predict(folder, material.validation, None, executor, cache=strips)
            for folder in (committee, committee / "member_1", committee / "member_2")
        )
    assert set(whole.logits) == {*names, "mean", "majority"} and whole.headline == "mean"
    np.testing.assert_array_equal(whole.logits["tiny_faces#2"], two.logits["tiny_faces"])
    answers = np.stack([one.logits["joint"], two.logits["joint"]])
    for rule in model.VOTES:
        np.testing.assert_allclose(whole.logits[rule], model.vote(answers, rule), atol=1e-5)
    assert model.info(committee).sha256 != model.info(committee / "member_1").sha256
    assert all(member.spec.vote == "" for member in members)

    figures = json.loads((committee / "validation.json").read_text())
    assert set(figures["streams"]) == {*names, "mean"}
    assert "A committee of 2, which answers by mean." in (committee / "card.md").read_text()


def test_a_model_without_a_vote_has_the_hash_of_before(committee: Path) -> None:
    spec = model.read_spec(committee / "member_1")
    assert "vote" not in spec.as_json() and "vote" in model.read_spec(committee).as_json()


def test_an_unknown_vote_is_an_error(committee: Path, tmp_path: Path) -> None:
    spec = model.read_spec(committee)
    (tmp_path / model.SPEC).write_text(json.dumps(spec.as_json() | {"vote": "loudest"}))
    with pytest.raises(ModelError, match="unknown vote 'loudest'"):
        model.read_spec(tmp_path)


def test_an_interrupted_committee_ends_with_the_same_weights(
    committee: Path, material: Material, strips: Path, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def note(text: str) -> None:
        if text == "member 2 of 2" and not stopped:
            stopped.append(text)
            raise Stop

    stopped: list[str] = []
    folder = tmp_path / "committee"
    with pytest.raises(Stop):
        trained(COMMITTEE, material, folder, strips, Listener(note=note))
    assert folders.is_done(folder / "member_1") and not folders.is_done(folder)
    before = (folder / "member_1" / model.WEIGHTS).stat().st_mtime_ns
    trained(COMMITTEE, material, folder, strips, Listener(note=note))
    assert (folder / "member_1" / model.WEIGHTS).stat().st_mtime_ns == before
    ours, theirs = load_file(folder / model.WEIGHTS), load_file(committee / model.WEIGHTS)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


def test_a_committee_starts_from_the_members_of_another(
    committee: Path, material: Material, strips: Path, tmp_path: Path
) -> None:
    recipe = replace(
        COMMITTEE, epochs=0, streams=("tiny_faces",), start_from=(str(committee),), vote="majority"
    )
    other = trained(recipe, material, tmp_path / "other", strips)
    assert model.read_spec(other).vote == "majority"
    ours, theirs = load_file(other / model.WEIGHTS), load_file(committee / model.WEIGHTS)
    assert all(np.array_equal(ours[key], theirs[key]) for key in ours)
    with pytest.raises(UsageError, match="without a member 3"):
        run.check(replace(recipe, committee=3), material, "cpu")
    with pytest.raises(UsageError, match="start from one of its members"):
        run.check(replace(recipe, committee=1), material, "cpu")
    with pytest.raises(UsageError, match="is a committee"):
        starting.finetune_recipe(committee, COMMITTEE)


def test_a_committee_is_not_explained(committee: Path, material: Material) -> None:
    face = Face.of_strip(footage.strip_of(material.validation[0]))
    with pytest.raises(UsageError, match="explain one of its members"):
        explain(model.load(committee), next(iter(face.windows())))


def test_choices_of_the_vote_are_those_of_models() -> None:
    assert settings()["vote"].choices == model.VOTES


def test_committees_from_the_shell(call: Call, tmp_path: Path) -> None:
    data = "synth:posed?people=4&per_class=4&classes=6"
    tiny = ["--streams", "tiny_displacement", "--epochs", "1", "--batch", "4", "--held-out", "0.3", "-j", "1"]
    wanted = ["--committee", "2", "--vote", "majority"]
    done = call("train", "-d", data, *tiny, *wanted, "-o", "run")
    assert done.returncode == 0, done.stderr
    scored = call("eval", "-d", data, "--model", "run", "--json", "-j", "1")
    figures = json.loads(scored.stdout)
    assert set(figures["streams"]) == {"tiny_displacement#1", "tiny_displacement#2", "mean", "majority"}
    assert figures["headline"] == "majority"
    assert check_run_folder(str(tmp_path / "run"), overwrite=True).is_dir()
    assert not list((tmp_path / "run").iterdir())

    survey = ["bench", "survey", "-d", data, "--size", "smoke", "--folds", "2", "--epochs", "1", "-j", "1"]
    table = call(*survey, "--only", "tiny_displacement", "-o", "survey", "--json", *wanted)
    assert table.returncode == 0, table.stderr
    assert [row["system"] for row in json.loads(table.stdout)["rows"]] == ["tiny_displacement"]
    assert (tmp_path / "survey/tiny_displacement/fold_1/member_2/model.json").is_file()
