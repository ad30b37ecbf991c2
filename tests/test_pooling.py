"""Test how the windows of a clip become one answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fervid import execute, model, synth
from fervid.clips import Face, straightness_of
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.train import evaluate
from fervid.train.footage import cut
from fervid.types.samples import OnDisk, Sample

REST, SMILE, FEAR = (EMOTIONS.index(label) for label in (NEUTRAL, "happiness", "fear"))
STILL = np.zeros(4, np.float32)


def showing(label: int, height: float = 4.0) -> np.ndarray:
    return np.float32(height) * np.eye(len(EMOTIONS), dtype=np.float32)[label]


def pooled(*windows: np.ndarray, straightness: float = 0) -> np.ndarray:
    owners = np.zeros(len(windows), np.int64)
    moved = np.full(len(windows), straightness, np.float32)
    (logits,) = model.pooled(np.stack(windows), moved, owners, 1, EMOTIONS)
    return logits


def test_an_expression_that_follows_rest_is_what_the_clip_shows() -> None:
    assert np.mean([showing(REST), showing(REST), showing(SMILE, 6)], axis=0).argmax() == REST
    assert pooled(showing(REST), showing(REST), showing(SMILE, 6)).argmax() == SMILE
    assert pooled(showing(SMILE), showing(REST)).argmax() == SMILE


def test_a_moment_does_not_speak_for_a_clip_at_rest() -> None:
    assert pooled(*[showing(REST, 3)] * 9, showing(SMILE, 3)).argmax() == REST


def test_an_expression_that_appears_one_way_counts_more() -> None:
    windows = [showing(REST, 3)] * 4 + [showing(SMILE, 5)]
    assert pooled(*windows).argmax() == REST
    assert pooled(*windows, straightness=1).argmax() == SMILE


def test_windows_that_say_the_same_are_not_changed() -> None:
    for label in (REST, FEAR):
        np.testing.assert_allclose(pooled(*[showing(label)] * 5), showing(label), rtol=1e-6)


def test_a_window_counts_by_a_power_of_the_score_of_expressions() -> None:
    windows = np.stack([showing(REST, 2), showing(FEAR, 1), showing(SMILE, 5)])
    scores = np.exp(windows / 2) / np.exp(windows / 2).sum(axis=1, keepdims=True)
    straightness = np.array([0, 0.5, 1], np.float32)
    weights = (1 - scores[:, REST]) ** [0.2, 0.2 + 1 / 16, 1.2]
    (got,) = model.pooled(windows, straightness, np.zeros(3, np.int64), 1, EMOTIONS, temperature=2.0)
    np.testing.assert_allclose(got, weights @ windows / weights.sum(), rtol=1e-5)


def test_each_clip_has_its_own_windows_in_any_order() -> None:
    windows = np.stack([showing(SMILE), showing(REST), showing(REST), showing(FEAR)])
    logits = model.pooled(windows, STILL, np.array([2, 0, 2, 0]), 4, EMOTIONS)
    np.testing.assert_allclose(logits[2], pooled(showing(SMILE), showing(REST)), rtol=1e-6)
    np.testing.assert_allclose(logits[0], pooled(showing(REST), showing(FEAR)), rtol=1e-6)
    assert np.isnan(logits[[1, 3]]).all()  # they have no windows
    assert logits.dtype == np.float32


def test_without_neutral_all_windows_count_the_same() -> None:
    windows = np.array([[5, 0], [0, 1], [0, 1]], np.float32)
    (logits,) = model.pooled(windows, STILL[:3], np.zeros(3, np.int64), 1, ("anger", "fear"))
    np.testing.assert_allclose(logits, windows.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("height", [200.0, 1e6])
def test_a_certain_clip_at_rest_still_has_an_answer(height: float) -> None:
    np.testing.assert_allclose(pooled(*[showing(REST, height)] * 3), showing(REST, height), rtol=1e-6)


def test_a_temperature_near_0_gives_no_warning() -> None:
    windows = np.stack([showing(REST), showing(SMILE)])
    (logits,) = model.pooled(windows, STILL[:2], np.zeros(2, np.int64), 1, EMOTIONS, temperature=5e-324)
    assert np.isnan(logits).all()  # an error where it is read


def test_logits_that_are_not_numbers_stay_so() -> None:
    assert np.isnan(pooled(showing(REST), np.full(len(EMOTIONS), np.nan, np.float32))).all()


def test_samples_without_a_face_have_no_answer(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((400, 400), 128, np.uint8))
    samples = (Sample("grey", "anger", OnDisk(str(tmp_path / "grey.png"))),)
    with execute.serial() as executor:
        predicted = evaluate.predict("untrained", samples, labels=EMOTIONS, executor=executor)
    assert not predicted.has_face.any() and not predicted.rejected.any()
    assert all(np.isnan(values).all() for values in predicted.logits.values())


def test_what_is_said_of_a_whole_clip_is_said_of_each_of_its_windows(tmp_path: Path) -> None:
    plain = model.read_spec("untrained")
    faces, landmarks = plain.streams
    spec = replace(plain, streams=(faces, replace(landmarks, window="clip")))
    model.save(tmp_path / "mixed", spec, model.read_tensors(model.find("untrained")))
    samples = tuple(synth.samples("posed", 2, 1, 0, ["anger", "happiness"]))
    with execute.serial() as executor:
        predicted = evaluate.predict(tmp_path / "mixed", samples, labels=EMOTIONS, executor=executor)
        strips = cut(samples, executor)
    net = model.load(tmp_path / "mixed")
    for row in range(len(samples)):
        face = Face.of_strip(strips[row])
        short = net.logits(faces.name, [model.read(window, faces.reads) for window in face.windows()])
        whole = net.logits(landmarks.name, [model.read(face.whole(), landmarks.reads)])
        assert len(short) > 1
        both = {faces.name: short, landmarks.name: np.repeat(whole, len(short), axis=0)}
        owners = np.zeros(len(short), np.int64)
        moved = straightness_of(list(face.windows()))
        (wanted,) = model.pooled(net.weighted(both), moved, owners, 1, EMOTIONS, spec.temperature)
        np.testing.assert_allclose(predicted.logits["weighted"][row], wanted, atol=1e-4)
        np.testing.assert_allclose(predicted.logits[landmarks.name][row], whole[0], atol=1e-4)
