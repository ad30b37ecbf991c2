"""Test training: runs and their resumption, the models that they start from, and damaged states."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Call
from safetensors.numpy import load_file
from training import CPU, LABELS, SMALL, Stop, drawn, footage, same, trained, weights

from fervid import clips, execute, model, streams, synth
from fervid.errors import InputError, ModelError, UsageError
from fervid.faces import shape
from fervid.streams.still import Still
from fervid.train import alone, crops, evaluate, fitting, folders, run, starting, state
from fervid.train.augment import OFF, STRONG
from fervid.train.batches import Clips, make_targets
from fervid.train.footage import Footage
from fervid.train.listener import Listener, Progress
from fervid.train.machine import open_machine
from fervid.train.material import Material, arrange
from fervid.types.samples import Picture, Sample, Strip


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


def test_variants_without_the_illumination_in_use_are_an_error(material: Material) -> None:
    recipe = replace(SMALL, variants=True)
    run.check(recipe, material, "cpu")
    with pytest.raises(UsageError, match="the model would read dog"):
        run.check(replace(recipe, illumination="dog"), material, "cpu")


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


def test_a_state_is_read_back_equal(tmp_path: Path) -> None:
    written = state.State(epoch=3, step=2, history={"loss": [1.0, 0.5]})
    written.keep("learner", {"a.b": torch.arange(3.0)})
    written.keep("learner", {"c": torch.ones(2)})
    state.write(tmp_path / "x", written)
    back = state.read(tmp_path / "x")
    assert back is not None and back.history == written.history and (back.epoch, back.step) == (3, 2)
    assert list(back.part("learner")) == ["c"] and back.part("learner")["c"].tolist() == [1, 1]
    assert state.read(tmp_path / "none") is None


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
