"""Check that every stream runs, trains all its weights, ignores the rest of a batch, and is saved whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training import drawn, risen

from fervid import model, streams
from fervid.errors import ModelError
from fervid.labels import EMOTIONS
from fervid.streams import c3d
from fervid.streams.network import Network
from fervid.streams.survey.aggregate import Aggregate
from fervid.train import batches, fitting
from fervid.train.batches import Clips
from fervid.train.footage import Footage
from fervid.train.listener import SILENT
from fervid.train.machine import Machine, has_bfloat16
from fervid.train.recipe import Recipe
from fervid.train.support_vectors import fit_support_vectors
from fervid.train.survey.systems import SMALL

CLASSES = len(EMOTIONS)


def small(name: str) -> Network:
    torch.manual_seed(3)
    return streams.build(name, CLASSES, **SMALL.get(name, {}))


def settled(name: str) -> Network:
    """Return a small net in evaluation mode after its normalisation has seen some clips."""
    network = small(name)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.momentum = None  # the plain mean
    with torch.no_grad():
        for _ in range(2):
            network.train()(clips(network, 32))
    return network.eval()


def clips(network: Network, count: int, length: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    faces = torch.randn(count, length, 64, 64, generator=generator)
    points = 64 * torch.rand(count, length, 68, 2, generator=generator)
    displacement = 0.05 * torch.randn(count, length, 68, 2, generator=generator)
    inputs = {"faces": faces, "points": points, "displacement": displacement}
    return streams.join_inputs([inputs[name] for name in model.parts(network.reads)])


@pytest.mark.parametrize("name", streams.names())
def test_a_stream_runs_forward_and_back_and_every_weight_learns(name: str) -> None:
    network = small(name).train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            torch.nn.init.ones_(module.weight)  # a block that begins as its shortcut passes no gradient yet
    targets = torch.eye(CLASSES)[:5]
    features, own = network.features_and_loss(clips(network, 5, max(network.frames, 2)), targets)
    logits = network.top(features)
    assert logits.shape == (5, CLASSES) and torch.isfinite(logits).all()
    loss = torch.nn.functional.cross_entropy(logits, targets)
    (loss if own is None else loss + own).backward()
    for part, parameter in network.named_parameters():
        assert parameter.grad is not None, part
        assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().sum() > 0, part


@pytest.mark.parametrize("name", streams.names())
def test_a_clip_has_the_same_logits_alone_and_in_a_batch(name: str) -> None:
    network = settled(name)
    batch = clips(network, 6)
    with torch.inference_mode():
        whole = network(batch)
        alone = torch.cat([network(clip[None]) for clip in batch])
        backwards = network(batch.flip(0)).flip(0)
    torch.testing.assert_close(alone, whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(backwards, whole, rtol=1e-4, atol=1e-5)
    assert len(whole.unique(dim=0)) == 6


@pytest.mark.parametrize("name", streams.names())
def test_the_top_is_a_linear_layer_over_the_features(name: str) -> None:
    network = small(name).eval()
    batch = clips(network, 2)
    with torch.inference_mode():
        assert torch.equal(network.top(network.features(batch)), network(batch))
    assert network.frames in (1, 2, 16) and network.optimizer in ("sgd", "adamw")


@pytest.mark.parametrize("name", streams.names())
def test_a_stream_survives_being_saved(name: str, tmp_path: Path) -> None:
    network = small(name).eval()
    spec = model.Spec(
        name="saved",
        labels=EMOTIONS,
        streams=(model.StreamSpec(name, network.reads, SMALL.get(name, {})),),
        fusion="weighted",
        temperature=1.0,
        trained=False,
        licences={},
        training_data=(),
        weights_sha256="",
    )
    model.save(tmp_path / "model", spec, {f"{name}.{k}": v.numpy() for k, v in network.state_dict().items()})
    back = model.load(tmp_path / "model").networks[name]
    for key, value in network.state_dict().items():
        assert torch.equal(back.state_dict()[key], value), key
    batch = clips(network, 3)
    with torch.inference_mode():
        # In the memory layout of a loaded net: another layout adds up in another order.
        assert torch.equal(back(batch), network.placed(torch.device("cpu"))(batch))


@pytest.mark.parametrize("name", ["c3d", "still"])
def test_weights_of_other_sizes_do_not_load(name: str) -> None:
    with pytest.raises(RuntimeError):
        streams.build(name, CLASSES, width=12, blocks=1).load_state_dict(small(name).state_dict())


def test_an_unknown_stream_is_an_error() -> None:
    with pytest.raises(ModelError, match="unknown stream 'c4d': choose from aggregate_average, "):
        streams.build("c4d", CLASSES)


def test_nets_over_frames_take_any_number_of_them() -> None:
    network = small("still_mobilenet").eval()
    frame = clips(network, 2, length=1)
    with torch.inference_mode():
        single, repeated = network(frame), network(frame.expand(-1, 16, -1, -1))
    torch.testing.assert_close(single, repeated, rtol=1e-4, atol=1e-5)


def test_a_long_clip_is_read_mirrored_as_well() -> None:
    network = settled("still").eval()
    frame = clips(network, 2, length=1)
    long = frame.expand(-1, 16, -1, -1)
    with torch.inference_mode():
        both = (network(frame) + network(frame.flip(3))) / 2
        torch.testing.assert_close(network(long), both, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network(long.flip(3)), both, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(network(frame), both, atol=1e-3)


def test_an_inflated_net_begins_as_its_parent_on_a_still_face() -> None:
    parent, child = settled("still"), small("c3d")
    child.inflate(parent.state_dict())  # type: ignore[operator]
    child.eval()
    frame = clips(parent, 4, length=1)
    with torch.inference_mode():
        still, moving = parent(frame), child(frame.expand(-1, 16, -1, -1))
    torch.testing.assert_close(still, moving, rtol=1e-3, atol=1e-4)
    assert still.std() > 0.01
    with pytest.raises((RuntimeError, KeyError)):
        child.inflate(streams.build("still", CLASSES, width=12).state_dict())  # type: ignore[operator]


def test_c3d_depends_on_the_order_of_frames() -> None:
    network = small("c3d").eval()
    clip = clips(network, 1)
    with torch.inference_mode():
        assert not torch.allclose(network(clip), network(clip.flip(1)), atol=1e-4)


def test_phrnn_with_motion_says_nothing_about_a_face_at_rest() -> None:
    torch.manual_seed(3)
    network = streams.build("phrnn", CLASSES, motion=8).eval()
    moving = clips(network, 2)
    still = moving[:, :1].expand_as(moving)
    with torch.inference_mode():
        whole = streams.build("phrnn", CLASSES).eval()
        whole.load_state_dict(network.state_dict())
        assert network.features(still).max() < 1e-12 and whole.features(still).max() > 0.01
        shares = network.features(moving) / whole.features(moving)
        shares = shares[~shares.isnan()]
        assert ((shares > 0.5) & (shares < 1)).all()


def test_c3d_with_motion_says_nothing_about_a_picture() -> None:
    torch.manual_seed(3)
    network = streams.build("c3d", CLASSES, width=4, blocks=1, motion=20).eval()
    moving = clips(network, 2)
    with torch.inference_mode():
        whole = streams.build("c3d", CLASSES, width=4, blocks=1).eval()
        whole.load_state_dict(network.state_dict())
        assert network.features(moving[:, :1].expand_as(moving)).abs().max() < 1e-6
        assert torch.allclose(network.features(moving), whole.features(moving), rtol=1e-2)
        assert whole.features(moving).abs().max() > 0.01


def test_phrnn_ignores_the_jaw() -> None:
    network = small("phrnn").eval()
    clip = clips(network, 1)
    other = clip.clone()
    other[:, :, :17] += 1.0
    nose = clip.clone()
    nose[:, :, 30] += 0.1
    with torch.inference_mode():
        assert torch.equal(network(other), network(clip))
        assert not torch.equal(network(nose), network(clip))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("c3d", 3.0, 5.0), ("c3d_full", 75.0, 82.0), ("phrnn", 0.2, 0.6), ("still_mobilenet", 3.1, 3.3)],
)
def test_the_usual_sizes(name: str, low: float, high: float) -> None:
    with torch.device("meta"):
        network = streams.build(name, CLASSES)
    millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    assert low < millions < high


def test_logits_of_empty_clips_are_finite() -> None:
    for name in streams.names():
        network = small(name).eval()
        with torch.inference_mode():
            assert np.isfinite(network(torch.zeros_like(clips(network, 2))).numpy()).all()


EASY = ("happiness", "surprise")
EPOCHS = {  # else 10
    "aggregate_average": 8,
    "aggregate_covariance": 4,
    "aggregate_forest": 8,
    "aggregate_gaussian": 3,
    "aggregate_moments": 3,
    "aggregate_spd": 4,
    "aggregate_statistics": 8,
    "aggregate_subspace": 4,
    "cascaded_peak": 7,
    "cnn_lstm": 8,
    "c3d_full": 15,
    "compact": 5,
    "dap3d": 4,
    "dtan": 4,
    "flow": 4,
    "inception3d": 8,
    "irnn": 7,
    "mscnn": 7,
    "peak_piloted": 7,
    "phrnn": 5,
    "still_mobilenet": 20,
    "tiny_displacement": 6,
    "tiny_faces": 20,
}
HASTE = {
    "aggregate_average": 8.0,
    "aggregate_forest": 12.0,
    "aggregate_statistics": 12.0,
    "phrnn": 2.0,
    "c3d_full": 10.0,
    "tiny_faces": 12.0,
}  # factors of the learning rate, which is meant for large nets and data


@pytest.fixture(scope="module")
def easy() -> Footage:
    """Draw two emotions at their peak, shown by many people."""
    return drawn(EASY, 12, 12)


@pytest.fixture(scope="module")
def moving() -> Footage:
    """Draw the same emotions while they rise."""
    return risen(EASY, 12, 12)


@pytest.mark.parametrize("name", streams.names())
def test_a_stream_learns_what_is_easy(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    easy: Footage = request.getfixturevalue("moving" if streams.registered(name).by_motion else "easy")
    recipe = Recipe(
        streams=(name,),
        epochs=EPOCHS.get(name, 10),
        batch=8,
        augmentation="none",
        smoothing=0.0,
        average=0.0,
        balance=0.0,
    )
    machine = Machine(torch.device("cpu"))
    torch.manual_seed(0)
    network = streams.build(name, len(EASY), **SMALL.get(name, {})).placed(machine.device)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.momentum = 0.4  # the run is short, and validation uses the running statistics
    learner = fitting.StreamLoss(network, len(EASY), torch.ones(len(EASY)), recipe)
    targets = batches.make_targets(easy.samples, EASY, 0.0, 0.0)
    training_set = Clips(easy, targets, (network.reads,), length=network.frames, by_motion=network.by_motion)

    stage = fitting.Stage(
        name=name,
        epochs=recipe.epochs,
        rate=network.rate * HASTE.get(name, 4.0) * (16 / 128 if network.optimizer == "sgd" else 1.0),
        decay=network.decay,
        optimizer=network.optimizer,
        learner=learner,
        loss=lambda batch: learner(batch, machine),
        validate=lambda: (0.0, 0.0, 0.0),  # validating every epoch takes twice the time
    )
    fitting.fit(stage, training_set, recipe, machine, tmp_path / "state", SILENT)
    if isinstance(network, Aggregate):
        fit_support_vectors(
            network, training_set, training_set, recipe, machine, tmp_path / "machine", SILENT
        )
    logits = fitting.mean_logits(lambda batch: network(batch[network.reads]), training_set, 8, machine)
    accuracy, recall, _ = fitting.measure(logits, training_set.targets)
    assert accuracy > 0.9 and recall > 0.9


@pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no bfloat16")
@pytest.mark.parametrize("steps", [2, 4])
def test_gradients_in_bfloat16_are_those_of_float32(steps: int) -> None:
    """Compare gradients: torch's own, with two steps under a kernel of three, are garbage or infinite."""
    torch.manual_seed(0)
    block = c3d.Block(128, 128, 1, 3, 3).to(memory_format=torch.channels_last_3d)
    nn.init.ones_(block.second_norm.weight)
    maps = torch.randn(8, 128, steps, 6, 6).to(memory_format=torch.channels_last_3d)
    target = torch.randn(8, 128, steps, 6, 6)
    gradients = []
    for is_half in (False, True):
        block.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            output = block(maps)
        (output.float() * target).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in block.parameters() if parameter.dim() == 5])
    for exact, half in zip(*gradients, strict=True):
        assert (exact - half).norm() < 0.1 * exact.norm()
