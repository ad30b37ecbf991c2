"""Test the detector that is one of the default model's teachers."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import ROOT
from expression_detectors import small_detector
from torch import nn

from fervid.labels import EMOTIONS

FACES = np.random.default_rng(0).integers(0, 256, (3, 88, 88), np.uint8)


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("expression_detector")


def test_weights_are_read_without_the_classes_that_made_them(script: ModuleType, tmp_path: Path) -> None:
    small_detector(tmp_path / "net.pt")
    # The tests' folder, and so the class of the modules, is not on the path of this process.
    read = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from expression_detector import read_weights\n"
        "print(len(dict(read_weights(Path(sys.argv[2])))))"
    )
    words = [sys.executable, "-c", read, str(ROOT / "benchmarks"), str(tmp_path / "net.pt")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    net = small_detector(tmp_path / "again.pt")
    assert int(done.stdout) == len(net.state_dict())
    weights = dict(script.read_weights(tmp_path / "net.pt"))
    for name, value in net.state_dict().items():
        assert torch.equal(weights[name.removeprefix("model.")], value), name


class Harmful(nn.Module):
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["HARM"],)


def test_no_code_of_the_file_runs(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    torch.save({"model": Harmful()}, tmp_path / "net.pt")
    assert dict(script.read_weights(tmp_path / "net.pt")) == {}
    assert not (tmp_path / "harm").exists()
    torch.load(tmp_path / "net.pt", weights_only=False)  # what it would have done
    assert (tmp_path / "harm").exists()


def test_answers_are_in_the_order_of_the_emotions(script: ModuleType, tmp_path: Path) -> None:
    small_detector(tmp_path / "net.pt")
    detector = script.ExpressionDetector(tmp_path / "net.pt")
    answers = detector(FACES)
    assert answers.shape == (3, len(EMOTIONS)) and answers.dtype == np.float32
    assert (answers <= 0).all() and (answers >= np.log(script.LEAST) - 1e-6).all()
    for emotion in EMOTIONS:
        bias = torch.full((8,), -9.0)
        bias[script.ORDER.index(emotion)] = 9.0
        for level in range(3):
            detector.weights[f"23.cv3.{level}.2.bias"] = bias
        assert (detector(FACES).argmax(1) == EMOTIONS.index(emotion)).all()


def test_the_best_place_of_any_level_counts(script: ModuleType, tmp_path: Path) -> None:
    small_detector(tmp_path / "net.pt")
    detector = script.ExpressionDetector(tmp_path / "net.pt")
    grey = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        before = detector.scores(grey)
        for level in range(3):  # nothing but the bias of one level
            detector.weights[f"23.cv3.{level}.2.weight"] = torch.zeros(8, 16, 1, 1)
            detector.weights[f"23.cv3.{level}.2.bias"] = torch.full((8,), 2.0 * level)
        after = detector.scores(grey)
    assert before.shape == after.shape == (2, 8)
    assert torch.allclose(after, torch.tensor(4.0).sigmoid())


def test_each_face_stays_as_neutral_as_it_was(script: ModuleType) -> None:
    neutral = EMOTIONS.index("neutral")
    answers = np.random.default_rng(0).dirichlet(np.ones(len(EMOTIONS)), 50).astype(np.float32)
    scores = np.zeros_like(answers)
    assert np.allclose(script.among_emotions(answers, scores), answers, atol=1e-3)
    scores[:, 1], scores[:, neutral] = 2.0, 9.0
    shared = script.among_emotions(answers, scores)
    assert np.allclose(shared.sum(1), 1, atol=1e-5)
    assert np.array_equal(shared[:, neutral], answers[:, neutral])
    assert (shared[:, 1] > answers[:, 1]).all() and (shared[:, 0] < answers[:, 0]).all()


def test_scores_are_adapted_to_labels(script: ModuleType) -> None:
    random, classes = np.random.default_rng(0), len(EMOTIONS)
    labels = random.choice(classes, 600, p=[0.4, *[0.1] * 6])
    true = random.normal(0, 1, (600, classes)) + 2.0 * np.eye(classes)[labels]
    logs = (2 * true + 5.0 * np.eye(classes)[2]).astype(np.float32)  # too sure, and fond of one class
    fitted = script.adapted(logs, labels)(logs)
    assert fitted.dtype == np.float32 and np.allclose(np.exp(fitted).sum(1), 1, atol=1e-5)
    right, before, after = ((scores.argmax(1) == labels).mean() for scores in (true, logs, fitted))
    assert before < 0.5 < right - 0.05 < after
    assert np.exp(fitted).max(1).mean() == pytest.approx(after, abs=0.1)  # as sure as it is right
    # All classes count the same, however many labels they have.
    twice = script.adapted(np.repeat(logs, 1 + (labels == 0), 0), np.repeat(labels, 1 + (labels == 0)))(logs)
    assert np.allclose(np.exp(twice), np.exp(fitted), atol=1e-3)
