"""Test that a stream yields where single frames are certain of an expression, or the face moves one way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CLIP

from fervid import analysis, clips, execute, model, synth
from fervid.errors import ModelError
from fervid.explain import explain, window_at
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.train import evaluate
from fervid.train.footage import cut
from fervid.train.scoring import windows
from fervid.types import Settings

SPEC = replace(
    model.read_spec("untrained"),
    fusion="joint",
    yielding={"tiny_displacement": 0.8},
    leading=("tiny_faces",),
    one_way={"tiny_displacement": 0.5},
)
STILL = np.zeros(1, np.float32)


def logits_of(label: str, height: float) -> np.ndarray:
    return np.float32(height) * np.array([[emotion == label for emotion in EMOTIONS]], np.float32)


def test_the_more_certain_an_expression_the_less_counts_what_yields() -> None:
    own = logits_of("fear", 3)
    heights = (0, 2, 4, 20)
    shares = [
        model.shares(SPEC, {"tiny_faces": logits_of("anger", height), "tiny_displacement": own}, STILL)
        for height in heights
    ]
    counted = [float(share["tiny_displacement"].max() / own.max()) for share in shares]
    assert counted[0] == pytest.approx(1 - 0.8 / len(EMOTIONS))
    assert counted == sorted(counted, reverse=True)
    assert counted[-1] == pytest.approx(0.2, abs=1e-4)
    for height, share in zip(heights, shares, strict=True):
        assert np.array_equal(share["tiny_faces"], logits_of("anger", height))  # what leads stays


def test_nothing_yields_to_a_certain_neutral_face_or_without_the_spec() -> None:
    own = logits_of("fear", 3)
    resting = {"tiny_faces": logits_of(NEUTRAL, 30), "tiny_displacement": own}
    np.testing.assert_allclose(model.shares(SPEC, resting, STILL)["tiny_displacement"], own, rtol=1e-6)
    plain = replace(SPEC, yielding={}, leading=(), one_way={})
    certain = {"tiny_faces": logits_of("anger", 30), "tiny_displacement": own}
    assert model.shares(plain, certain, STILL) == certain


def test_the_more_a_face_moves_one_way_the_less_counts_what_yields() -> None:
    resting = {"tiny_faces": logits_of(NEUTRAL, 30), "tiny_displacement": logits_of("fear", 3)}
    straightness = np.array([0, 0.5, 1], np.float32)
    logits = {name: values.repeat(3, 0) for name, values in resting.items()}
    left = model.counted(SPEC, logits, straightness)["tiny_displacement"]
    assert left[:, 0] == pytest.approx([1, 1 - 0.5 * 0.25, 0.5], abs=1e-5)
    # Both rules together: what is left is a share of a share.
    certain = {"tiny_faces": logits_of("anger", 30), "tiny_displacement": logits_of("fear", 3)}
    left = model.counted(SPEC, certain, straightness[2:])["tiny_displacement"]
    assert left == pytest.approx(0.2 * 0.5, abs=1e-4)
    none = {name: values[:0] for name, values in certain.items()}
    assert model.shares(SPEC, none, straightness[:0])["tiny_displacement"].shape == (0, len(EMOTIONS))
    alone = replace(SPEC, yielding={}, leading=())
    assert model.counted(alone, certain, straightness[2:])["tiny_displacement"] == pytest.approx(0.5)


def test_labels_without_neutral_are_all_expressions() -> None:
    spec = replace(SPEC, labels=("anger", "fear"))
    values = {"tiny_faces": np.array([[0, 9]], np.float32), "tiny_displacement": np.ones((1, 2), np.float32)}
    assert model.counted(spec, values, STILL)["tiny_displacement"] == pytest.approx(0.2, abs=1e-3)


def test_logits_that_are_not_numbers_are_an_error_of_the_model(folder: Path) -> None:
    net = model.load(folder)
    values = {name: np.full((1, len(EMOTIONS)), np.inf, np.float32) for name in net.networks}
    with pytest.raises(ModelError, match="not numbers"):
        net.probabilities(net.fuse(values, STILL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the untrained model with a joint sum, one of whose streams yields."""
    target = tmp_path_factory.mktemp("models") / "yielding"
    tensors = model.read_tensors(model.find("untrained"))
    tops = {name: value for name, value in tensors.items() if ".top." in name}
    joint = {name.replace(".top.", f".{model.JOINT}"): 30 * value for name, value in tops.items()}
    model.save(target, SPEC, tensors | joint)
    return target


def test_the_spec_survives_and_changes_the_hash(folder: Path) -> None:
    again = model.read_spec(folder)
    assert again.yielding == SPEC.yielding and again.leading == SPEC.leading
    assert again.one_way == SPEC.one_way
    assert model.info(folder).sha256 != model.info("untrained").sha256
    assert not {"yielding", "one_way"} & set(model.read_spec("untrained").as_json())


def test_scores_of_samples_are_pooled_over_windows_that_each_yield(folder: Path) -> None:
    samples = tuple(synth.samples("posed", 2, 1, 0, ["anger", "happiness"]))
    with execute.serial() as executor:
        predicted = evaluate.predict(folder, samples, labels=EMOTIONS, executor=executor, leave_out=True)
        strips = cut(samples, executor)
    net = model.load(folder)
    for index in range(len(samples)):
        seen = [window for row, window in windows(strips) if row == index]
        logits = {s.name: net.logits(s.name, [model.read(w, s.reads) for w in seen]) for s in SPEC.streams}
        straightness = clips.straightness_of(seen)
        shares, fused = model.shares(SPEC, logits, straightness), net.fuse(logits, straightness)
        left = fused - shares["tiny_displacement"]
        assert np.abs(fused - sum(logits.values())).max() > 1e-3  # something yielded
        for name, values in {"joint": fused, "without tiny_displacement": left}.items():
            owners = np.zeros(len(seen), np.int64)
            (wanted,) = model.pooled(values, straightness, owners, 1, SPEC.labels, SPEC.temperature)
            np.testing.assert_allclose(predicted.logits[name][index], wanted, atol=1e-4)


def test_the_last_window_alone_can_be_scored(folder: Path) -> None:
    samples = tuple(synth.samples("posed", 2, 1, 0, ["anger", "happiness"]))
    with execute.serial() as executor:
        predicted = evaluate.predict(folder, samples, labels=EMOTIONS, executor=executor, frames="last")
        strips = cut(samples, executor)
    net = model.load(folder)
    for index in range(len(samples)):
        *_, last = (window for row, window in windows(strips) if row == index)
        logits = {s.name: net.logits(s.name, [model.read(last, s.reads)]) for s in SPEC.streams}
        fused = net.fuse(logits, clips.straightness_of([last]))
        np.testing.assert_allclose(predicted.logits["joint"][index], fused[0], atol=1e-4)


def test_contributions_to_an_answer_are_those_that_count(folder: Path) -> None:
    settings = Settings(end=3, people=False)
    with analysis.start(CLIP, model="untrained", settings=settings, crops=True) as run:
        seen = window_at(run, 2)
    net = model.load(folder)
    whole = explain(net, seen.window, seen.neutral)
    values = {}
    for stream in net.spec.streams:
        is_moved = stream.reads == "displacement"
        shown = seen.window.displacement(seen.neutral) if is_moved else model.read(seen.window, stream.reads)
        values[stream.name] = net.logits(stream.name, [shown])
    fused = net.fuse(values, clips.straightness_of([seen.window]))[0]
    for label, logit in whole.logits.items():
        assert logit == pytest.approx(fused[EMOTIONS.index(label)], abs=1e-4)
        assert abs(whole.residual(label)) < 0.01
