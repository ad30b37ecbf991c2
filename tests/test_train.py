"""Test training: runs and their resumption, starting models, data, batches, and the commands."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, Call, environment
from safetensors.numpy import load_file
from training import drawn, footage

from fervid import clips, execute, model, streams, synth
from fervid.cli.main import fervid as program
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.training import ARCHITECTURE_FIELDS, listening, recipe_of
from fervid.errors import InputError, ModelError, UsageError
from fervid.faces import shape
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.streams.still import Still
from fervid.train import alone, crops, evaluate, fitting, folders, frozen, run, scoring, starting, state
from fervid.train.augment import AUGMENTATIONS, OFF, STRONG
from fervid.train.augment.pixels import VARIANTS
from fervid.train.batches import Clips, make_targets
from fervid.train.footage import Footage
from fervid.train.listener import SILENT, Listener, Progress
from fervid.train.machine import Machine, open_machine
from fervid.train.material import Material, arrange, gather
from fervid.train.recipe import SETTING, Recipe, settings
from fervid.types.samples import Drawn, Picture, Sample, Strip

CPU = Machine(torch.device("cpu"))
LABELS = ("happiness", "surprise")
SMALL = Recipe(
    data=("synth:posed",),
    streams=("tiny_faces", "tiny_displacement"),
    epochs=3,
    joint_epochs=2,
    batch=4,
    held_out=0.3,
)


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw curves only as SVG, which takes a twentieth of the time; the run of `whole` draws both."""
    monkeypatch.setattr("fervid.metrics.charts._png", lambda picture: None)


@pytest.fixture(scope="module")
def material() -> Material:
    return arrange(tuple(synth.samples("posed", 6, 6, 0, LABELS)), (), (), 0.3, 0)


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder of this file's strips, which are drawn once."""
    return tmp_path_factory.mktemp("strips")


def trained(recipe: Recipe, material: Material, folder: Path, strips: Path, **options: object) -> Path:
    folders.begin(folder, recipe, material)
    with execute.serial() as executor:
        return run.train(recipe, material, folder, executor, CPU, cache=strips, **options)  # type: ignore[arg-type]


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / model.WEIGHTS)


def same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


class Stop(Exception):
    """The interruption of a run."""


@pytest.fixture(scope="module")
def whole(material: Material, strips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run without interruption."""
    return trained(SMALL, material, tmp_path_factory.mktemp("runs") / "whole", strips)


def test_a_run_becomes_a_model(whole: Path) -> None:
    model.verify(whole)
    net = model.load(whole)
    assert net.spec.labels == LABELS and net.spec.fusion == "joint" and net.spec.trained
    assert set(net.joint) == {"tiny_faces", "tiny_displacement"}
    assert net.spec.training_data == ("synth:posed",)
    for name in ("card.md", "history.json", "validation.json", "recipe.json"):
        assert (whole / name).stat().st_size > 50, name
    pictures = {path.stem for path in whole.iterdir() if path.suffix in (".svg", ".png")}
    assert pictures == {"curves_tiny_faces", "curves_tiny_displacement", "curves_joint", "confusion"}
    assert not (whole / folders.STATE).exists() and folders.is_done(whole)
    figures = json.loads((whole / "validation.json").read_text())
    assert set(figures["streams"]) == {"tiny_faces", "tiny_displacement", "weighted", "joint"}
    card = (whole / "card.md").read_text()
    assert "visible expression" in card and "300-W" in card and str(figures["n"]) in card


@pytest.fixture(scope="module")
def whole_clip(material: Material, strips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a network over time and one of frames on whole clips."""
    recipe = replace(
        SMALL,
        streams=("tiny_displacement", "mscnn"),
        sizes={"mscnn": {"width": 4, "hidden": 8}},
        window="clip",
        epochs=1,
    )
    return trained(recipe, material, tmp_path_factory.mktemp("runs") / "clip", strips)


def test_a_model_of_whole_clips_records_its_windows(whole: Path, whole_clip: Path) -> None:
    assert [stream.window for stream in model.read_spec(whole_clip).streams] == ["clip", "short"]
    assert "window" not in (whole / "model.json").read_text()  # hashes of other models stay
    recipe = starting.finetune_recipe(whole_clip, SMALL)
    assert recipe.window == "clip" and starting.finetune_recipe(whole, SMALL).window == "short"


def test_training_and_evaluation_read_the_same_whole_clips(
    whole_clip: Path, material: Material, strips: Path
) -> None:
    with execute.serial() as executor:
        figures = evaluate.predict(whole_clip, material.validation, None, executor, cache=strips)
    measured = json.loads((whole_clip / "validation.json").read_text())["streams"]
    for name in ("tiny_displacement", "mscnn", "weighted", "joint"):
        right = float((figures.logits[name].argmax(1) == figures.truth).mean())
        assert right == pytest.approx(measured[name]["accuracy"]), name
    net = model.load(whole_clip)
    faces = clips.Face.of_strip(synth.strip_of(material.validation[0].pixels.name))  # type: ignore[union-attr]
    own, _ = net.heads("tiny_displacement", [faces.whole()["displacement"]])
    np.testing.assert_allclose(figures.logits["tiny_displacement"][0], own[0], atol=1e-5)
    short, _ = net.heads("mscnn", [window["faces"] for window in faces.windows()])
    np.testing.assert_allclose(figures.logits["mscnn"][0], short.mean(0), atol=1e-5)


@pytest.mark.parametrize("command", ["analyze", "live", "batch"])
def test_a_model_of_whole_clips_analyzes_no_video(
    whole_clip: Path, call: Call, clip: Path, command: str
) -> None:
    options = ("-o", "out") if command == "batch" else ()
    done = call(command, clip, *options, "--model", str(whole_clip))
    assert done.returncode == 2 and "reads whole labelled clips (tiny_displacement" in done.stderr


def test_kept_streams_need_the_same_windows(whole_clip: Path, material: Material) -> None:
    recipe = replace(SMALL, streams=("tiny_displacement",), epochs=0, start_from=(str(whole_clip),))
    with pytest.raises(UsageError, match="tiny_displacement was trained with --window clip"):
        run.check(recipe, material, "cpu")
    run.check(replace(recipe, window="clip"), material, "cpu")


@pytest.mark.parametrize(
    ("stream", "wanted", "expected"),
    [
        ("tiny_faces", "own", ("sgd", 0.1 / 4, 5e-4)),
        ("tiny_faces", "sgd", ("sgd", 0.1 / 4, 5e-4)),
        ("tiny_faces", "adam", ("adam", 1e-3 / 2, 0.0)),
        ("tiny_displacement", "own", ("adamw", 2e-3 / 2, 1e-2)),
        ("tiny_displacement", "sgd", ("sgd", 0.1 / 4, 5e-4)),
    ],
)
def test_a_stream_trains_with_its_own_optimizer_or_another(
    stream: str, wanted: str, expected: tuple[str, float, float]
) -> None:
    network = streams.build(stream, 2)
    assert alone.optimizer_of(network, replace(SMALL, optimizer=wanted, batch=32)) == pytest.approx(expected)


def test_optimizers_are_made_by_name() -> None:
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    for name, kind in kinds.items():
        net = torch.nn.Linear(2, 2)
        stage = fitting.Stage("", 1, 0.1, 0.0, name, net, lambda batch: None, lambda: (0, 0, 0))  # type: ignore
        assert type(fitting._optimizer(stage)) is kind


def test_ten_crops_are_the_centre_the_corners_and_their_mirror_images() -> None:
    side = 64 + 2 * 12
    ramp = np.add.outer(np.arange(side), 2 * np.arange(side)).astype(np.uint8)
    landmarks = np.random.default_rng(0).uniform(20, 60, (3, 68, 2)).astype(np.float32)
    strip = Strip(Fraction(1, 25), np.arange(3), np.stack([ramp] * 3), landmarks)
    (window,) = clips.Face.of_strip(strip).windows()
    ten = crops.views(window, 10)
    corners = [int(view["faces"][0, 0, 0]) for view in ten[:5]]
    centre = int(ramp[12, 12])
    assert corners == [centre, *(centre + down + 2 * right for down in (-4, 4) for right in (-4, 4))]
    for plain, mirrored in zip(ten[:5], ten[5:], strict=True):
        assert np.array_equal(mirrored["faces"], plain["faces"][..., ::-1])
        assert np.array_equal(mirrored["displacement"], window["displacement"])
        swapped = mirrored["points"][:, shape.figures()["mirror"]]
        np.testing.assert_allclose(63 - swapped[..., 0], plain["points"][..., 0], atol=1e-4)
    np.testing.assert_allclose(ten[1]["points"], window["points"] + 4, atol=1e-4)  # up and to the left
    assert np.array_equal(ten[0]["faces"], window["faces"]) and crops.views(window, 1) == [window]
    with pytest.raises(ValueError, match="1, 5 or 10"):
        crops.views(window, 3)


def test_a_ten_crop_test_is_the_mean_over_crops(whole: Path, material: Material, strips: Path) -> None:
    some = material.validation[:2]
    with execute.serial() as executor:
        one, ten = (
            evaluate.predict(whole, some, LABELS, executor, cache=strips, crops=count) for count in (1, 10)
        )
    assert np.array_equal(one.logits["tiny_displacement"], ten.logits["tiny_displacement"])
    net, face = model.load(whole), clips.Face.of_strip(synth.strip_of(some[0].pixels.name))  # type: ignore[union-attr]
    seen = [view["faces"] for window in face.windows() for view in crops.views(window, 10)]
    expected = net.heads("tiny_faces", seen)[0].mean(0)
    np.testing.assert_allclose(ten.logits["tiny_faces"][0], expected, atol=1e-5)
    assert not np.allclose(one.logits["tiny_faces"][0], expected, atol=1e-3)


@pytest.mark.parametrize("stop_after", [1, 4, 11])
def test_an_interrupted_run_gives_the_same_weights(
    whole: Path,
    material: Material,
    strips: Path,
    tmp_path: Path,
    stop_after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "BETWEEN_CHECKPOINTS", 0.0)  # a checkpoint after each step
    left = stop_after

    def tick(progress: Progress) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            left = stop_after
            raise Stop

    folder = tmp_path / "run"
    folders.begin(folder, SMALL, material)
    stops = 0
    while not folders.is_done(folder):
        try:
            with execute.serial() as executor:
                recipe, listener = folders.recipe_of(folder), Listener(tick=tick)
                run.train(recipe, material, folder, executor, CPU, cache=strips, listener=listener)
        except Stop:
            stops += 1
    assert stops > 1
    assert same(weights(folder), weights(whole))
    ours, theirs = (json.loads((where / "history.json").read_text()) for where in (folder, whole))
    assert ours == theirs


def test_another_seed_gives_other_weights(
    whole: Path, material: Material, strips: Path, tmp_path: Path
) -> None:
    other = trained(replace(SMALL, seed=1), material, tmp_path / "run", strips)
    assert not same(weights(other), weights(whole))


def test_weighted_fusion_and_every_loss(material: Material, strips: Path, tmp_path: Path) -> None:
    recipe = replace(
        SMALL,
        fusion="weighted",
        center_loss=0.01,
        island_loss=0.001,
        locality_loss=0.01,
        tuplet_loss=0.1,
        triplet_loss=0.1,
        mixup=0.2,
        variants=True,
        patience=1,
    )
    net = model.load(trained(recipe, material, tmp_path / "run", strips))
    assert net.spec.fusion == "weighted" and not net.joint
    assert sum(stream.weight for stream in net.spec.streams) > 0


def test_illumination_is_stored_in_the_model(material: Material, strips: Path, tmp_path: Path) -> None:
    recipe = replace(SMALL, streams=("tiny_faces",), illumination="he", epochs=1)
    spec = model.read_spec(trained(recipe, material, tmp_path / "run", strips))
    assert spec.streams[0].illumination == "he" and spec.fusion == "weighted"


def test_finetuning_starts_from_the_model(
    whole: Path, material: Material, strips: Path, tmp_path: Path
) -> None:
    recipe = starting.finetune_recipe(whole, replace(SMALL, rate=1e-9, average=0.0))
    net = model.load(trained(recipe, material, tmp_path / "run", strips))
    before = model.load(whole)
    for name, network in net.networks.items():
        for key, value in network.state_dict().items():
            assert torch.allclose(value, before.networks[name].state_dict()[key], atol=1e-3), key
    assert net.spec.labels == before.spec.labels


def test_finetuning_on_unknown_labels_is_an_error(whole: Path, strips: Path, tmp_path: Path) -> None:
    other = arrange(tuple(synth.samples("posed", 3, 3, 0, ("anger", "surprise"))), (), (), 0.4, 0)
    with pytest.raises(InputError, match=r"anger, which the model does not know \(happiness, surprise\)"):
        trained(starting.finetune_recipe(whole, SMALL), other, tmp_path / "run", strips)


def test_a_frame_network_is_inflated(material: Material, strips: Path, tmp_path: Path) -> None:
    sizes = {"width": 4, "blocks": 1}
    still = replace(SMALL, streams=("still",), sizes={"still": sizes}, epochs=1)
    parent = trained(still, material, tmp_path / "still", strips)
    moving = replace(
        SMALL,
        streams=("c3d",),
        sizes={"c3d": sizes},
        epochs=1,
        rate=1e-9,
        start_from=(str(parent),),
        average=0.0,
    )
    child = weights(trained(moving, material, tmp_path / "c3d", strips))
    flat = weights(parent)
    spread = child["c3d.blocks.1.second.weight"].astype(np.float32)
    assert np.allclose(spread.sum(2), flat["still.blocks.1.second.weight"], atol=3e-3)
    assert np.allclose(spread[:, :, 0], spread[:, :, 2], atol=1e-3)
    wrong = replace(moving, sizes={"c3d": {"width": 6, "blocks": 1}})
    with pytest.raises(InputError, match="has other sizes"):
        trained(wrong, material, tmp_path / "wrong", strips)


# --- joining models, and coarse epochs


@pytest.fixture(scope="module")
def halves(material: Material, strips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Train a model of faces, and one of landmarks."""
    folder = tmp_path_factory.mktemp("halves")
    return tuple(  # type: ignore[return-value]
        trained(replace(SMALL, streams=(name,), epochs=1), material, folder / name, strips)
        for name in SMALL.streams
    )


def test_joining_models_keeps_their_weights(
    halves: tuple[Path, Path], material: Material, strips: Path, tmp_path: Path
) -> None:
    warned: list[str] = []
    joining = replace(SMALL, epochs=0, start_from=tuple(map(str, halves)))
    run.check(joining, material, "cpu")
    child = trained(joining, material, tmp_path / "joint", strips, listener=Listener(warn=warned.append))
    assert not warned
    parents = weights(halves[0]) | weights(halves[1])
    net, joint = model.load(child), weights(child)
    assert net.spec.fusion == "joint" and set(net.joint) == set(SMALL.streams)
    assert all(np.array_equal(joint[name], parent) for name, parent in parents.items())
    new = joint.keys() - parents.keys()
    assert new and all(f".{model.JOINT}" in name for name in new)  # the trained fusion
    for name in SMALL.streams:
        top = net.joint[name].state_dict()["weight"]
        assert not torch.equal(top, net.networks[name].top.state_dict()["weight"])
    assert set(json.loads((child / "history.json").read_text())) == {"joint"}
    assert not list(child.glob("curves_tiny_*"))
    again = trained(joining, material, tmp_path / "again", strips)
    assert same(weights(again), joint)


def test_fixed_tops_stay_as_they_are(
    halves: tuple[Path, Path], material: Material, strips: Path, tmp_path: Path
) -> None:
    fixed, learned = SMALL.streams
    joining = replace(SMALL, epochs=0, start_from=tuple(map(str, halves)), fixed_tops=(fixed,))
    net = model.load(trained(joining, material, tmp_path / "joint", strips))
    for name, is_same in ((fixed, True), (learned, False)):
        own, joint = net.networks[name].top.state_dict(), net.joint[name].state_dict()
        assert torch.equal(own["weight"], joint["weight"]) == is_same


def test_all_tops_cannot_be_fixed() -> None:
    with pytest.raises(UsageError, match="not all"):
        replace(SMALL, fixed_tops=SMALL.streams)


def test_a_stream_is_taken_from_the_first_model_that_has_it(
    halves: tuple[Path, Path], whole: Path, material: Material, strips: Path, tmp_path: Path
) -> None:
    for bases in ((halves[1], halves[0], whole), (whole, halves[0])):
        names = tuple(map(str, bases))
        recipe = replace(SMALL, streams=("tiny_faces",), epochs=0, start_from=names)
        child = weights(trained(recipe, material, tmp_path / bases[0].name, strips))
        parent = weights(next(base for base in bases if base != halves[1]))
        assert all(np.array_equal(value, parent[name]) for name, value in child.items())


def test_the_same_stream_is_preferred_to_inflating_a_still(
    material: Material, strips: Path, tmp_path: Path
) -> None:
    sizes = {"width": 4, "blocks": 1}
    parents = [
        trained(
            replace(SMALL, streams=(name,), sizes={name: sizes}, epochs=1),
            material,
            tmp_path / name,
            strips,
        )
        for name in ("still", "c3d")
    ]
    joining = replace(
        SMALL,
        streams=("still", "c3d"),
        sizes={"still": sizes, "c3d": sizes},
        epochs=0,
        joint_epochs=1,
        start_from=tuple(map(str, parents)),
    )
    child = weights(trained(joining, material, tmp_path / "joint", strips))
    for name, parent in (weights(parents[0]) | weights(parents[1])).items():
        assert np.array_equal(child[name], parent), name


def test_a_stream_in_no_model_starts_from_random_weights(
    halves: tuple[Path, Path], material: Material, strips: Path, tmp_path: Path
) -> None:
    warned: list[str] = []
    bases = (str(halves[0]), str(halves[0]))
    recipe = replace(SMALL, epochs=1, joint_epochs=1, start_from=bases)
    run.check(recipe, material, "cpu")
    trained(recipe, material, tmp_path / "run", strips, listener=Listener(warn=warned.append))
    assert warned == [
        "tiny_displacement starts from random weights: no model to start from has such a stream"
    ]
    with pytest.raises(UsageError, match="no model to start from has a stream tiny_displacement"):
        run.check(replace(recipe, epochs=0), material, "cpu")


def test_coarse_epochs_show_faces_smaller(
    material: Material, strips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test also that a stream of one size trains unchanged beside one that reads any."""
    shown: list[tuple[bool, int]] = []
    features = Still.features

    def watched(net: Still, clip: torch.Tensor) -> torch.Tensor:
        shown.append((net.training, clip.shape[-1]))
        return features(net, clip)

    monkeypatch.setattr(Still, "features", watched)
    sizes = {"still": {"width": 4, "blocks": 1}}
    recipe = replace(SMALL, streams=("still", "tiny_displacement"), sizes=sizes, coarse=0.6, joint_epochs=1)
    trained(recipe, material, tmp_path / "run", strips)
    sides = [side for is_training, side in shown if is_training]
    steps = len(sides) // recipe.epochs
    assert steps > 0 and sides == [48] * 2 * steps + [64] * steps  # 0.6 of three epochs is two
    assert {side for is_training, side in shown if not is_training} == {64}  # in validation and fusion


def test_small_faces_are_the_same_faces() -> None:
    some_footage = drawn(LABELS, 2, 2)
    targets = make_targets(some_footage.samples, LABELS, 0.0, 0.0)
    small, usual = (
        Clips(some_footage, targets, ("faces", "displacement"), STRONG, coarse=coarse) for coarse in (2, 0)
    )
    for number, side in ((0, 48), (1, 48), (2, 64)):
        ours, theirs = (clips.drawn(number, np.arange(4), CPU.device) for clips in (small, usual))
        assert ours["faces"].shape[-2:] == (side, side)
        torch.testing.assert_close(ours["displacement"], theirs["displacement"])
        again = torch.nn.functional.interpolate(ours["faces"], (64, 64), mode="bilinear")
        alike = torch.corrcoef(torch.stack([again.flatten(), theirs["faces"].flatten()]))[0, 1]
        assert alike > 0.9


def test_an_infinite_loss_is_an_error(material: Material, strips: Path, tmp_path: Path) -> None:
    recipe = replace(SMALL, streams=("tiny_faces",), rate=1e30)
    with pytest.raises(ModelError, match=r"is not a number in epoch .* lower --rate"):
        trained(recipe, material, tmp_path / "run", strips)


def test_a_damaged_checkpoint_is_an_error(material: Material, strips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folders.begin(folder, SMALL, material)
    (folder / folders.STATE / "tiny_faces.safetensors").write_bytes(b"rubbish")
    with (
        pytest.raises(InputError, match=r"checkpoint .* is damaged: delete it"),
        execute.serial() as executor,
    ):
        run.train(SMALL, material, folder, executor, CPU, cache=strips)


# --- data


def sample(name: str, label: str, subject: str | None = None) -> Sample:
    return Sample(name=name, label=label, subject=subject, pixels=Drawn("x"))


def test_training_and_validation_share_no_people() -> None:
    samples = [sample(f"{k}", LABELS[k % 2], f"p{k // 4}") for k in range(40)]
    split = arrange(samples, (), (), 0.25, 3)
    assert split.labels == LABELS
    assert not {s.subject for s in split.train} & {s.subject for s in split.validation}
    assert len(split.train) + len(split.validation) == 40
    with pytest.raises(InputError, match=r"the same people: .*p0"):
        arrange(samples[:8], samples[2:3], (), 0.25, 3)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("happiness",), r"labels outside of happiness: surprise \(20\)"),
        (("happiness", "surprise", "anger"), "no training sample of anger"),
    ],
)
def test_labels_must_fit_the_data(labels: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        arrange([sample(f"{k}", LABELS[k % 2]) for k in range(40)], (), labels, 0.25, 0)


def test_a_run_needs_a_validation_set() -> None:
    with pytest.raises(UsageError, match="no validation set"):
        arrange([sample("a", "anger"), sample("b", "fear")], (), (), 0.0, 0)


def test_samples_without_a_face_are_left_out_with_a_warning(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_footage = drawn(LABELS, 4, 4)
    nothing = footage(
        [replace(s, name=f"none-{k}", subject=f"none-{k}") for k, s in enumerate(some_footage.samples[:2])],
        [_empty(some_footage[0])] * 2,
    )
    everything = Footage.joined([some_footage, nothing])
    monkeypatch.setattr(run.footage, "cut", lambda *_, **__: everything)
    warned: list[str] = []
    split = Material(LABELS, (*some_footage.samples[:4], *some_footage.samples[4:]), nothing.samples)
    with pytest.raises(InputError, match="no validation sample shows a face"):
        trained(SMALL, split, tmp_path / "run", tmp_path, listener=Listener(warn=warned.append))
    assert warned == ["2 of 2 validation samples show no face and are left out"]


def _empty(strip: Strip) -> Strip:
    none = slice(0, 0)
    return Strip(strip.time_base, strip.pts[none], strip.faces[none], strip.landmarks[none])


# --- clips


def test_clips_depend_on_epoch_and_draw_alone() -> None:
    some_footage = drawn(LABELS, 3, 3, length=40)
    targets = make_targets(some_footage.samples, LABELS, 0.0, 0.0)
    clips = Clips(some_footage, targets, ("faces", "displacement"), STRONG, seed=4)
    whole = clips.drawn(2, np.array([0, 3, 5]), CPU.device)
    again = clips.drawn(2, np.array([5]), CPU.device)
    torch.testing.assert_close(again["faces"][0], whole["faces"][2], atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(again["displacement"][0], whole["displacement"][2])
    later = clips.drawn(3, np.array([5]), CPU.device)
    assert not torch.allclose(later["faces"], again["faces"], atol=0.1)
    orders = [[draws.tolist() for _, draws in clips.epoch(0, 2)] for _ in range(2)]
    assert orders[0] == orders[1] != [draws.tolist() for _, draws in clips.epoch(1, 2)]
    halves = [[p.tolist() for _, p in clips.epoch(0, 2, part, 2)] for part in (0, 1)]
    assert [[a[0], b[0]] for a, b in zip(*halves, strict=True)] == orders[0]


def test_plain_clips_are_what_analysis_reads() -> None:
    some_footage = drawn(LABELS, 2, 2, length=40)
    targets = make_targets(some_footage.samples, LABELS, 0.0, 0.0)
    clips = Clips(some_footage, targets, ("faces+points", "displacement"), OFF)
    from fervid.train.scoring import windows

    theirs = [(index, window) for index, window in windows(some_footage)]
    for indices, batch in clips.plain(4, CPU.device):
        for row, (index, faces) in enumerate(zip(indices, batch["faces"], strict=True)):
            mine = [window for p, window in theirs if p == index]
            for name in ("displacement", "points"):
                assert any(np.allclose(m[name], batch[name][row].numpy(), atol=1e-3) for m in mine), name
            pictures = [window["faces"].astype(np.float32) for window in mine]
            plain = [(f - f.mean()) / f.std() for f in pictures]
            assert any(np.allclose(f, faces.numpy(), atol=1e-3) for f in plain)


def test_whole_clips_in_training_reach_from_end_to_end() -> None:
    some_footage = drawn(LABELS, 2, 2, length=60)
    targets = make_targets(some_footage.samples, LABELS, 0.0, 0.0)
    still, strong = (
        Clips(some_footage, targets, ("displacement",), settings, whole=True) for settings in (OFF, STRONG)
    )
    exact = clips.whole_rows(some_footage.pts[0])
    rows = [still._drawn(0, np.random.default_rng(seed)).rows for seed in range(3)]
    assert all(np.array_equal(row, exact) for row in rows)
    moved = np.stack([strong._drawn(0, np.random.default_rng(seed)).rows for seed in range(20)])
    assert (np.diff(moved) >= 0).all() and len(np.unique(moved, axis=0)) == 20
    assert np.abs(moved - exact).mean() < 2 and np.abs(moved - exact).max() <= 8
    (_, batch), *others = still.plain(9, CPU.device, looks=None)
    assert not others and len(batch["displacement"]) == len(some_footage)
    assert not Clips(some_footage, targets, ("faces",), length=1, whole=True).whole


@pytest.mark.parametrize("method", ["none", "he_linear"])
def test_variants_of_the_illumination_stay_apart(method: str) -> None:
    some_footage = drawn(LABELS, 1, 1)
    targets = make_targets(some_footage.samples, LABELS, 0.0, 0.0)
    settings = replace(OFF, illumination="kuo")
    shown = Clips(some_footage.take([0]), targets[:1], ("faces",), settings, method)
    draws = shown.drawn(0, np.arange(24), CPU.device)["faces"]
    strips = clips.Face.of_strip(some_footage[0]).faces
    variants = {name: clips.contrast(strips[None, -1:], name)[0, 0] for name in VARIANTS}
    seen = set()
    for picture in draws[:, -1].numpy():
        unit = (picture - picture.mean()) / picture.std()
        away = {name: np.abs(unit - variant).mean() for name, variant in variants.items()}
        seen.add(min(away, key=lambda name: away[name]))
    assert seen == set(VARIANTS)
    ((_, plain),) = shown.plain(9, CPU.device, looks=1)
    window = list(clips.Face.of_strip(some_footage[0]).windows())[1]["faces"]
    np.testing.assert_allclose(plain["faces"][0], clips.contrast(window[None], method)[0], atol=1e-3)


def test_variants_without_the_illumination_in_use_are_an_error(material: Material) -> None:
    recipe = replace(SMALL, variants=True)
    run.check(recipe, material, "cpu")
    with pytest.raises(UsageError, match="the model would read dog"):
        run.check(replace(recipe, illumination="dog"), material, "cpu")


def test_targets_mix_votes_and_labels() -> None:
    voted = replace(sample("a", "happiness"), votes={"happiness": 0.6, "surprise": 0.4})
    targets = make_targets([voted, sample("b", "surprise")], LABELS, 0.5, 0.1)
    assert targets.tolist() == [
        pytest.approx([0.9 * 0.8 + 0.05, 0.9 * 0.2 + 0.05]),
        pytest.approx([0.05, 0.95]),
    ]


def test_votes_for_other_labels_do_not_count() -> None:
    mixed = replace(sample("a", "happiness"), votes={"happiness": 0.3, "surprise": 0.3, "contempt": 0.4})
    none = replace(sample("b", "surprise"), votes={"contempt": 1.0})
    assert make_targets([mixed, none], LABELS, 1.0, 0.0).tolist() == [pytest.approx([0.5, 0.5]), [0.0, 1.0]]


def test_networks_of_frames_train_on_expressive_frames() -> None:
    some_footage = drawn((*LABELS, NEUTRAL), 2, 1, length=60)
    shown = Clips(some_footage, make_targets(some_footage.samples, EMOTIONS, 0.0, 0.0), ("faces",), length=1)
    for index, sample in enumerate(some_footage.samples):
        drawn_motion, mean_motion = [], []
        for seed in range(40):
            frame = shown._drawn(index, np.random.default_rng(seed)).rows
            window = shown._drawn_window(index, np.random.default_rng(seed)).rows
            assert len(frame) == 1 and frame[0] in window
            drawn_motion.append(shown.motion[index][frame[0]])
            mean_motion.append(shown.motion[index][window].mean())
        if sample.label != NEUTRAL:
            assert np.mean(drawn_motion) > np.mean(mean_motion)


def test_pictures_have_a_temperature_of_their_own(
    whole: Path, material: Material, strips: Path, tmp_path: Path
) -> None:
    spec = replace(model.read_spec(whole), temperature=2.0, picture_temperature=0.5)
    model.save(tmp_path / "own", spec, load_file(whole / model.WEIGHTS))
    noise = np.random.default_rng(0).integers(0, 256, (96, 96), np.uint8)
    clip = material.validation[0]
    samples = (clip, Sample("picture", clip.label, Picture(noise)))
    with execute.serial() as executor:
        read = evaluate.predict(tmp_path / "own", samples, None, executor, cache=strips)
    assert read.has_face.all()
    assert read.temperature.tolist() == [2.0, 0.5]


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_moving_sets_the_share_of_clips(share: float) -> None:
    clips_of, stills_of = drawn(LABELS, 2, 2), drawn(LABELS, 3, 3, length=1)
    both = Footage.joined([stills_of, clips_of])
    targets = make_targets(both.samples, LABELS, 0.0, 0.0)
    shown = Clips(both, targets, ("faces",), length=1, size=40, moving=share)
    for epoch in range(2):
        draws = np.concatenate([draws for _, draws in shown.epoch(epoch, 8)])
        assert len(draws) == len(set(draws.tolist())) == 40
        assert (draws % len(both) >= len(stills_of)).sum() == share * 40
    as_they_come = Clips(both, targets, ("faces",), length=1)
    assert {index for _, draws in as_they_come.epoch(0, 1) for index in draws.tolist()} == set(
        range(len(both))
    )


@pytest.fixture(scope="module")
def both() -> Clips:
    """Draw two stills, and two clips of five and four windows."""
    some_footage = Footage.joined([drawn(LABELS, 1, 1, length=1), drawn(LABELS, 1, 1, length=30)])
    return Clips(some_footage, make_targets(some_footage.samples, LABELS, 0.0, 0.0), ("displacement",))


def test_whole_clips_have_the_windows_of_analysis(both: Clips) -> None:
    wanted = [(index, window["displacement"]) for index, window in scoring.windows(both.footage)]
    assert [index for index, _ in wanted] == [0, 1, *[2] * 5, *[3] * 4]
    shown = list(both.plain(3, CPU.device, looks=None))
    assert [index for indices, _ in shown for index in indices.tolist()] == [index for index, _ in wanted]
    ours = torch.cat([batch["displacement"] for _, batch in shown]).numpy()
    np.testing.assert_allclose(ours, np.stack([window for _, window in wanted]), atol=1e-6)
    ((indices, few),) = both.plain(99, CPU.device, np.array([2, 0]))
    assert set(indices.tolist()) == {0, 2} and 1 < len(few["displacement"]) < 1 + 5


class Apart(Machine):
    """One of several processes that run one after the other."""

    def wait(self) -> None:
        pass


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_features_of_frozen_streams_are_computed_once(
    both: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    network = streams.build("tiny_displacement", len(LABELS)).eval()
    monkeypatch.setattr(frozen, "AT_ONCE", 1)
    monkeypatch.setattr(state, "BETWEEN_CHECKPOINTS", 0.0)

    def features(part: int) -> torch.Tensor:
        here, path = Apart(CPU.device, part, parts), tmp_path / "x.safetensors"
        return frozen.compute_features(
            {"tiny_displacement": network}, both, 4, here, path, Listener(tick=stop)
        )["tiny_displacement"]

    def stop(progress: Progress) -> None:
        raise Stop

    stops = 0
    for part in range(min(parts, len(both))):
        for _ in range(len(range(part, len(both), parts))):
            with pytest.raises(Stop):  # after each clip, which is not computed again
                features(part)
            stops += 1
    assert stops == len(both)
    computed = [features(part) for part in range(parts)]
    assert all(torch.equal(computed[0], other) for other in computed)
    for index in range(len(both)):
        ((_, batch),) = both.plain(99, CPU.device, np.array([index]), looks=None)
        windows = network.features(batch["displacement"])
        assert len(windows) == (1, 1, 5, 4)[index]
        torch.testing.assert_close(computed[0][index], windows.mean(0))


def test_frozen_clips_are_drawn_in_the_order_of_clips(both: Clips) -> None:
    numbers = torch.arange(4.0)[:, None]
    features = frozen.Frozen(both, {"tiny_displacement": numbers})
    for number in (0, 1):
        ours, theirs = (
            [(step, draws.tolist()) for step, draws in clips.epoch(number, 2)] for clips in (features, both)
        )
        assert ours == theirs and features.steps(2) == both.steps(2)
    batch = features.drawn(1, np.array([3, 0, 6]), CPU.device)
    assert batch.features["tiny_displacement"].flatten().tolist() == [3, 0, 2]
    assert batch.targets.tolist() == both.targets[[3, 0, 2]].tolist()


def test_features_of_other_data_are_an_error(both: Clips, tmp_path: Path) -> None:
    network = {"tiny_displacement": streams.build("tiny_displacement", len(LABELS))}
    path = tmp_path / "x.safetensors"
    frozen.compute_features(network, both, 4, CPU, path, SILENT)
    fewer = Clips(both.footage.take([0, 1]), both.targets[:2], ("displacement",))
    with pytest.raises(InputError, match="has other data than this run"):
        frozen.compute_features(network, fewer, 4, CPU, path, SILENT)


def test_a_repeated_clip_is_another_draw() -> None:
    some_footage = drawn(LABELS, 2, 2)
    targets = make_targets(some_footage.samples, LABELS, 0.0, 0.0)
    clips = Clips(some_footage, targets, ("displacement",), STRONG, size=12)
    draws = np.concatenate([draws for _, draws in clips.epoch(0, 4)])
    assert sorted(draws.tolist()) == list(range(12))
    twice = clips.drawn(0, np.array([1, 1 + len(some_footage)]), CPU.device)
    assert twice.targets[0].tolist() == twice.targets[1].tolist()
    assert not torch.equal(twice["displacement"][0], twice["displacement"][1])


def write_faces(folder: Path, seed: int) -> None:
    """Write a folder of classes with a picture in each."""
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        picture = np.random.default_rng([seed, len(label)]).integers(0, 255, (48, 48)).astype(np.uint8)
        cv2.imwrite(str(folder / label / "0.png"), picture)


def test_folders_of_the_same_name_differ_and_share_no_files(tmp_path: Path) -> None:
    for number, name in enumerate(("alice", "bob")):
        write_faces(tmp_path / name / "clips", number)
    ours, theirs = (f"folder:{tmp_path / name / 'clips'}" for name in ("alice", "bob"))
    both = gather((ours, theirs), (), (), 0.5, 0)
    names = {sample.name for sample in (*both.train, *both.validation)}
    assert len(names) == 4 and "folder:clips#2/happiness/0.png" in names
    assert len(gather((ours,), (theirs,), (), 0.5, 0).validation) == 2
    table = tmp_path / "list.csv"
    table.write_text("path,label\nalice/clips/happiness/0.png,happiness\n")
    with pytest.raises(InputError, match=r"is the same file as .* of the training set"):
        gather((ours,), (f"csv:{table}",), (), 0.5, 0)


def test_tables_of_one_folder_have_the_same_people(tmp_path: Path) -> None:
    write_faces(tmp_path / "clips", 0)
    for name, label in (("one", "happiness"), ("two", "surprise")):
        (tmp_path / f"{name}.csv").write_text(f"path,label,subject\nclips/{label}/0.png,{label},ann\n")
    with pytest.raises(InputError, match=r"the same people: .*ann"):
        gather((f"csv:{tmp_path}/one.csv",), (f"csv:{tmp_path}/two.csv",), (), 0.5, 0)


def test_a_protocol_checks_every_fold_before_it_trains(tmp_path: Path) -> None:
    rows = [*synth.samples("posed", 3, 3, 0, LABELS), *synth.samples("posed", 1, 1, 0, ("anger",))]
    words = "fold 1 of kfold:3: there is no training sample of anger"
    with pytest.raises(InputError, match=words), execute.serial() as executor:
        evaluate.by_protocol("kfold:3", rows, SMALL, tmp_path / "runs", executor, CPU)
    assert not (tmp_path / "runs").exists()


def test_a_state_is_read_back_equal(tmp_path: Path) -> None:
    written = state.State(epoch=3, step=2, history={"loss": [1.0, 0.5]})
    written.keep("learner", {"a.b": torch.arange(3.0)})
    written.keep("learner", {"c": torch.ones(2)})
    state.write(tmp_path / "x", written)
    back = state.read(tmp_path / "x")
    assert back is not None and back.history == written.history and (back.epoch, back.step) == (3, 2)
    assert list(back.part("learner")) == ["c"] and back.part("learner")["c"].tolist() == [1, 1]
    assert state.read(tmp_path / "none") is None


# --- the command line


def given(name: str, *line: str) -> dict[str, Any]:
    """Return the settings of recipes that a command line gives to a command."""
    with click.Context(program) as context:
        command = program.get_command(context, name)
        assert command is not None
        values = command.make_context(name, list(line), parent=context).params
    return {name: value for name, value in values.items() if name in settings()}


def test_fields_of_a_recipe_with_settings_are_options() -> None:
    assert all(SETTING in field.metadata for field in fields(Recipe))
    assert {field.name for field in fields(Recipe)} - settings().keys() == {"finetune", "latent"}
    for name, line, others in (
        ("train", ("-d", "x", "-o", "y"), set()),
        ("finetune", ("-d", "x", "-o", "y"), set(ARCHITECTURE_FIELDS)),
        ("eval", ("--data", "x"), {"data", "teacher", "teacher_share", "teacher_temperature"}),
    ):
        assert given(name, *line).keys() | others == settings().keys()


@pytest.mark.parametrize(("name", "epochs"), [("train", 40), ("finetune", 10)])
def test_defaults_of_options_are_those_of_recipes(name: str, epochs: int) -> None:
    assert recipe_of(given(name, "-d", "x", "-o", "y")) == Recipe(data=("x",), epochs=epochs)
    assert Recipe().epochs == 40 and Recipe().streams == ("c3d", "phrnn")


def test_choices_are_those_of_the_library() -> None:
    assert set(settings()["fusion"].choices) == set(model.FUSIONS)
    assert set(settings()["augmentation"].choices) == set(AUGMENTATIONS)


def test_documented_defaults_are_those_of_recipes() -> None:
    parts = (ROOT / "docs" / "commands.md").read_text("utf-8").split("\n## ")
    text = next(part for part in parts if part.startswith("fervid train\n"))
    documented: dict[str, str] = {}
    for options, numbers in re.findall(r"^\| (`--[^|]+) \|[^|(]+ \(([\d., ]+)\)", text, re.M):
        names = [name.replace("-", "_") for name in re.findall(r"--([\w-]+)", options)]
        documented |= dict(zip(names, numbers.split(", "), strict=True))
    usual = {name: f"{getattr(Recipe(), name):g}" for name in documented if name in settings()}
    assert len(usual) > 8 and usual.items() <= documented.items()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"streams": ("c3d", "c4d")}, "--streams"),
        ({"streams": ("c3d", "c3d")}, "different"),
        ({"fusion": "sum"}, "--fusion"),
        ({"augmentation": "much"}, "--augmentation"),
        ({"illumination": "lamp"}, "--illumination"),
        ({"sizes": {"still": {"width": 3}}}, "not in --streams"),
        ({"epochs": -1, "start_from": ("m",)}, "--epochs must be from 0 to 1000000"),
        ({"epochs": 0}, "give --start-from"),
        ({"coarse": 1.5}, "--coarse must be from 0 to 1"),
        ({"coarse": -0.5}, "--coarse must be from 0 to 1"),
        ({"coarse": 0.5, "streams": ("phrnn",)}, "--coarse does not apply to phrnn"),
        ({"coarse": 0.5, "streams": ("phrnn", "still_mobilenet")}, "not apply to phrnn.still_mobilenet"),
        ({"soft_labels": 1.5}, "--soft-labels"),
        ({"average": 1.0}, "--average"),
        ({"rate": -1.0}, "--rate"),
        ({"rate": float("nan")}, "--rate"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_invalid_recipes(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Recipe(**change)  # type: ignore[arg-type]


def test_options_become_a_recipe() -> None:
    starts = ["--start-from", "one", "--start-from", "two", "--epochs", "0", "--coarse", "0.5"]
    sizes = ["--size", "c3d.width=4", "--labels", "anger, fear"]
    recipe = recipe_of(given("train", "-d", "synth:posed", "-o", "x", *starts, *sizes))
    assert (recipe.start_from, recipe.epochs, recipe.coarse) == (("one", "two"), 0, 0.5)
    assert (recipe.sizes, recipe.labels) == ({"c3d": {"width": 4}}, ("anger", "fear"))
    assert Recipe.from_json(json.loads(json.dumps(recipe.as_json()))) == recipe


@pytest.mark.parametrize(
    ("messages", "term", "is_shown"),
    [
        (Messages(), "xterm", True),
        (Messages(), "dumb", False),
        (Messages(quiet=True), "xterm", False),
        (Messages(has_progress=False), "xterm", False),
    ],
    ids=["usual", "dumb terminal", "quiet", "no progress"],
)
def test_the_bar_is_shown_on_a_terminal_only(
    messages: Messages, term: str, is_shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "120")
    with listening(messages) as listener:
        listener.crop(1, 2)
        listener.tick(Progress("still", 1, 2, 0.25, 0.5, 0.75, math.nan))
    assert ("epoch 1/2  loss 0.500  accuracy 0.750" in screen.getvalue()) == is_shown


SYNTH = "synth:posed?people=8&per_class=8"
FROM = "--start-from"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    yield [
        "--streams",
        "tiny_faces+tiny_displacement",
        "--epochs",
        "1",
        "--joint-epochs",
        "1",
        "--batch",
        "4",
    ]


def test_training_from_the_shell(call: Call, tmp_path: Path, tiny: list[str]) -> None:
    data = "synth:posed?people=4&per_class=4&classes=6"
    done = call("train", "-d", data, *tiny, "-o", "run", "--held-out", "0.3", "-j", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run\n" and "joint: epoch 1 of 1: validation accuracy" in done.stderr
    again = call("train", "-d", data, *tiny, "-o", "run")
    assert again.returncode == 1 and "continue it with --resume" in again.stderr
    resumed = call("train", "-o", "run", "--resume")
    assert resumed.returncode == 0 and "is done" in resumed.stderr
    both = call("train", "-o", "run", "--resume", "--epochs", "3")
    assert both.returncode == 2 and "leave out --epochs" in both.stderr

    scored = call("eval", "-d", data, "--model", "run", "--json", "--predictions", "said.csv", "-j", "1")
    assert scored.returncode == 0, scored.stderr
    figures = json.loads(scored.stdout)
    assert figures["n"] == 24 and figures["n_no_face"] == 0
    assert set(figures["streams"]) == {"tiny_faces", "tiny_displacement", "weighted", "joint"}
    assert np.array(figures["confusion"]).sum() == 24
    assert figures["accuracy"] == pytest.approx(np.trace(figures["confusion"]) / 24)
    rows = (tmp_path / "said.csv").read_text().splitlines()
    assert len(rows) == 25 and rows[0].startswith("name,subject,fold,label,predicted")
    table = call("eval", "-d", data, "--model", "run", "--pictures", "figures", "-j", "1")
    assert table.returncode == 0 and "24 samples, 0 of them without a face" in table.stdout
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {
        "confusion",
        "reliability",
        "risk_coverage",
    }

    itself = call("finetune", "--model", "run", "-d", data, "-o", "run", "-y")
    assert itself.returncode == 2 and "is the model to start from" in itself.stderr
    model.verify(tmp_path / "run")
    mine = call(
        "finetune", "--model", "run", "-d", data, "--epochs", "1", "--batch", "4", "-o", "mine", "-j", "1"
    )
    assert mine.returncode == 0, mine.stderr
    assert model.read_spec(tmp_path / "mine").labels == model.read_spec(tmp_path / "run").labels


def test_protocols_from_the_shell(call: Call, tmp_path: Path, tiny: list[str]) -> None:
    data = "synth:posed?people=4&per_class=4&classes=6"
    rest = ["--protocol", "kfold:2", *tiny, "--held-out", "0.4", "--runs", "runs", "--json", "-j", "1"]
    done = call("eval", "-d", data, *rest)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["n"] == 24 and figures["folds"]["n"] == 2
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["fold_1", "fold_2"]
    again = call("eval", "-d", data, *rest)
    assert again.stdout == done.stdout and "epoch" not in again.stderr
    other = call("eval", "-d", data, *rest, "--seed", "7")
    assert other.returncode == 2 and "started with other settings" in other.stderr
    rest[1] = "kfold:3"
    split = call("eval", "-d", data, *rest)
    assert split.returncode == 1 and "another split" in split.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "-o", "x"], "--data"),
        (["train", "-o", "x", "--resume"], "no training run"),
        (["train", "-d", "synth:posed", "-o", "x", "--size", "c3d=4"], "STREAM.SIZE=NUMBER"),
        (["train", "-d", "synth:posed", "-o", "x", "--labels", "joy"], "--labels"),
        (["train", "-d", "synth:posed", "-o", "x", "--streams", "c5d"], "--streams"),
        (["eval", "--model", "untrained"], "--data"),
        (["eval", "-d", "synth:posed", "--model", "untrained", "--epochs", "3"], "give it with --protocol"),
        (["eval", "-d", "synth:posed", "--protocol", "halves"], "--protocol must be one of"),
        (["eval", "-d", "synth:posed", "--model", "untrained", "--json", "--predictions", "-"], "both"),
        (["finetune", "--model", "untrained", "-o", "x"], "--data"),
        (["train", "-d", SYNTH, "-o", "x", "--start-from", "nosuch"], "no model"),
        (
            ["train", "-d", SYNTH, "-o", "x", FROM, "untrained", FROM, "nosuch"],
            "no model",
        ),
        (["train", "-d", SYNTH, "-o", "x", "--device", "cuda"], "no CUDA GPU"),
        (["train", "-d", SYNTH, "-o", "x", "--streams", "still", "--size", "still.foo=3"], "these sizes"),
        (
            ["train", "-d", SYNTH, "-o", "x", "--streams", "still", "--size", "still.width=0"],
            "--size must be",
        ),
        (["finetune", "--model", "nosuch", "-d", "synth:posed", "-o", "x"], "no model"),
    ],
)
def test_usage_errors(call: Call, arguments: list[str], words: str, tmp_path: Path) -> None:
    done = call(*arguments)
    assert done.returncode in (1, 2) and words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_folder_of_other_files_is_not_replaced(call: Call, tmp_path: Path, tiny: list[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    done = call("train", "-d", "synth:posed?people=2&per_class=2", *tiny, "-o", "mine", "-y")
    assert done.returncode == 1 and "is not a training run" in done.stderr
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


# At the end of Python, threads of a group of processes that is still open can abort it.
ONE_OF_SEVERAL = """\
import sys
from pathlib import Path
from fervid.cli import main
code = main.run()
threads = {path.read_text() for path in Path("/proc/self/task").glob("*/comm")}
sys.exit("the group of processes is still open" if any("gloo" in name for name in threads) else code)
"""


def test_several_processes_train_one_model(tmp_path: Path, tiny: list[str]) -> None:
    (tmp_path / "one.py").write_text(ONE_OF_SEVERAL)
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "one.py",
    ]
    data = ["-d", "synth:posed?people=4&per_class=2&classes=6", "--held-out", "0.3"]
    done = subprocess.run(
        [*launch, "train", *data, *tiny, "-o", "run", "-j", "1"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run\n"  # only the main process prints
    model.verify(tmp_path / "run")
    assert done.stderr.count("joint: epoch 1 of 1") == 1


def test_a_checkpoint_of_other_labels_is_an_error(material: Material, strips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folders.begin(folder, SMALL, material)

    def tick(progress: Progress) -> None:
        if len(progress.stage) > len("tiny_faces"):  # the second stream has begun
            raise Stop

    with pytest.raises(Stop), execute.serial() as executor:
        run.train(SMALL, material, folder, executor, CPU, cache=strips, listener=Listener(tick=tick))
    assert (folder / folders.STATE / "tiny_faces.safetensors").is_file()
    other = arrange(tuple(synth.samples("posed", 3, 3, 0, ("anger", *LABELS))), (), (), 0.4, 0)
    with pytest.raises(InputError, match="with other data, or another split"), execute.serial() as executor:
        run.train(SMALL, other, folder, executor, CPU, cache=strips)
    folders.begin(folder, SMALL, other)  # without the check of the folder
    with pytest.raises(InputError, match="has other labels or sizes"), execute.serial() as executor:
        run.train(SMALL, other, folder, executor, CPU, cache=strips)


def test_landmarks_that_are_not_numbers_are_an_error() -> None:
    some_footage = drawn(LABELS, 2, 2)
    some_footage.landmarks[1][3, 40] = np.nan
    clips = Clips(some_footage, make_targets(some_footage.samples, LABELS, 0.0, 0.0), ("displacement",), OFF)
    with pytest.raises(InputError, match=f"landmarks of {some_footage.samples[1].name} are not all numbers"):
        clips.drawn(0, np.arange(4), CPU.device)


def test_denormal_numbers_work_again_after_training() -> None:
    small = torch.tensor(1e-310, dtype=torch.float64)  # a global state of the processor flushes it to 0
    with pytest.raises(RuntimeError, match="broken off"), open_machine("cpu", torch.get_num_threads()):
        assert (small / 2).item() == 0.0
        raise RuntimeError("broken off")
    assert (small / 2).item() > 0.0
