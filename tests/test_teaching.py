"""Test distillation: targets that mix labels and a teacher's answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Call
from safetensors.numpy import load_file

from fervid import execute, metrics, model, synth
from fervid.cli.shared.training import begin
from fervid.errors import UsageError
from fervid.execute import Executor
from fervid.train import folders, run, scoring, teaching
from fervid.train.machine import Machine
from fervid.train.material import Material, arrange
from fervid.train.recipe import Recipe
from fervid.train.stages import Run

LABELS = ("happiness", "surprise")
SMALL = Recipe(data=("synth:posed",), streams=("tiny_displacement",), epochs=1, batch=4, held_out=0.3)


@pytest.fixture(scope="module")
def material() -> Material:
    return arrange(tuple(synth.samples("posed", 4, 4, 0, LABELS, bare=True)), (), (), 0.3, 0)


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strips")


@pytest.fixture(scope="module")
def teacher(material: Material, strips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(replace(SMALL, epochs=2), material, tmp_path_factory.mktemp("runs") / "teacher", strips)


def trained(recipe: Recipe, material: Material, folder: Path, strips: Path) -> Path:
    run.check(recipe, material, "cpu")
    folders.begin(folder, recipe, material)
    with execute.serial() as executor:
        return run.train(recipe, material, folder, executor, Machine(torch.device("cpu")), cache=strips)


def test_a_target_is_a_mix_of_label_and_answer() -> None:
    label = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    answers = np.array([[0.8, 0.2], [1.0, 0.0], [np.nan, np.nan]])
    mixed = teaching.mix(label, answers, 0.5, 2.0)
    np.testing.assert_allclose(mixed[0], [0.5 + 0.5 * 2 / 3, 0.5 / 3], rtol=1e-6)  # sqrt(0.8 / 0.2) is 2
    np.testing.assert_array_equal(mixed[1:], [[0.5, 0.5], [1, 0]])
    np.testing.assert_array_equal(teaching.mix(label, answers, 0.0, 2.0), label)
    np.testing.assert_allclose(teaching.mix(label, answers, 1.0, 1.0)[:2], answers[:2], rtol=1e-6)


def test_a_teacher_is_asked_once_and_changes_what_is_learned(
    teacher: Path, material: Material, strips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMALL, teacher=str(teacher), teacher_share=1.0, teacher_temperature=1.0)
    seen: list[Run] = []
    real = teaching.with_answers

    def with_answers(run: Run, executor: Executor, cache: Path | None) -> Run:
        changed = real(run, executor, cache)
        with execute.serial() as nobody:
            monkeypatch.setattr(scoring, "predict", None)  # a second call reads the answers from disk
            again = real(run, nobody, cache)
        monkeypatch.undo()
        np.testing.assert_array_equal(changed.targets, again.targets)
        seen.append(changed)
        return changed

    monkeypatch.setattr(teaching, "with_answers", with_answers)
    taught = trained(recipe, material, tmp_path / "taught", strips)
    with execute.serial() as executor:
        answers = scoring.predict(teacher, seen[0].train.samples, None, executor, cache=strips)
    np.testing.assert_allclose(seen[0].targets, metrics.probabilities(answers), atol=1e-6)
    plain = trained(SMALL, material, tmp_path / "plain", strips)
    ours, theirs = load_file(taught / model.WEIGHTS), load_file(plain / model.WEIGHTS)
    assert any(not np.array_equal(ours[key], theirs[key]) for key in ours)
    assert folders.recipe_of(taught) == recipe


def test_a_teacher_must_know_the_labels(teacher: Path, strips: Path) -> None:
    samples = tuple(synth.samples("posed", 4, 4, 0, (*LABELS, "anger"), bare=True))
    with pytest.raises(UsageError, match="does not know anger"):
        run.check(replace(SMALL, teacher=str(teacher)), arrange(samples, (), (), 0.3, 0), "cpu")


def test_a_run_does_not_replace_its_teacher(teacher: Path, material: Material) -> None:
    recipe = replace(SMALL, teacher=str(teacher))
    with pytest.raises(UsageError, match="is the teacher: name another folder"):
        begin(str(teacher), True, recipe, material, "cpu")


def test_distillation_from_the_shell(call: Call, teacher: Path) -> None:
    start = ["train", "-d", "synth:posed?people=4&per_class=4&classes=6", "--held-out", "0.3", "-o", "small"]
    wrong = call(*start, "--teacher", str(teacher))
    assert wrong.returncode == 2 and "does not know anger" in wrong.stderr
    none = call(*start, "--teacher", "nobody")
    assert none.returncode == 1 and "no model 'nobody'" in none.stderr
