"""Test the starts that are no models: dlib's face net, and a denoising autoencoder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from training import Stop

from fervid import execute, model, quantized, streams, synth
from fervid.errors import UsageError
from fervid.faces import descriptor
from fervid.faces.finder import face_net
from fervid.streams import still_facenet
from fervid.train import denoising, folders, run, starting
from fervid.train.listener import SILENT, Listener, Progress
from fervid.train.machine import Machine
from fervid.train.material import Material, arrange
from fervid.train.recipe import Recipe

LABELS = ("happiness", "surprise")
SMALL = Recipe(
    data=("synth:posed",),
    streams=("still",),
    sizes={"still": {"width": 8, "blocks": 1}},
    epochs=4,
    epoch_clips=48,
    batch=4,
    held_out=0.3,
    average=0.9,
    start_from=("denoising",),
)


@pytest.fixture(scope="module")
def material() -> Material:
    return arrange(tuple(synth.samples("posed", 6, 6, 0, LABELS)), (), (), 0.3, 0)


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strips")


def trained(
    recipe: Recipe, material: Material, folder: Path, strips: Path, listener: Listener = SILENT
) -> Path:
    if not (folder / folders.RECIPE).is_file():
        folders.begin(folder, recipe, material)
    with execute.serial() as executor:
        machine = Machine(torch.device("cpu"))
        return run.train(recipe, material, folder, executor, machine, cache=strips, listener=listener)


def test_a_start_from_the_face_net_has_its_features() -> None:
    network = streams.build("still_facenet", 7, side=descriptor.SIDE).eval()
    assert starting.take_face_net(network)
    unit = np.random.default_rng(0).normal(size=(descriptor.SIDE, descriptor.SIDE))
    face = np.clip(np.rint(still_facenet.GREY + still_facenet.DEVIATION * unit), 0, 255).astype(np.uint8)
    clip = (torch.from_numpy(face.astype(np.float32)) - still_facenet.GREY) / still_facenet.DEVIATION
    last = descriptor.read_weights(face_net())["last"]
    with torch.inference_mode():
        described = (network.features(clip[None, None])[0] @ last).numpy()
    net = descriptor.load(face_net(), in_integers=False)
    np.testing.assert_allclose(described, net.describe(face), atol=1e-4)


def test_only_the_stream_of_its_shape_starts_from_the_face_net() -> None:
    assert not starting.take_face_net(streams.build("still", 7, width=8))
    with pytest.raises(UsageError, match="usual width"):
        starting.take_face_net(streams.build("still_facenet", 7, width=4, side=103))
    with pytest.raises(ValueError, match="at least 103"):
        streams.build("still_facenet", 7, side=102)
    with pytest.raises(ValueError, match="blocks must be 1 to 14"):
        streams.build("still_facenet", 7, blocks=15)


def test_the_face_net_reads_crops_as_they_are_in_integers() -> None:
    network = streams.build("still_facenet", 7, blocks=13).eval().requires_grad_(False)
    assert starting.take_face_net(network)
    chance = torch.Generator().manual_seed(0)
    faces = torch.nn.functional.avg_pool2d(torch.randn(8, 1, 256, 256, generator=chance), 4) * 4
    larger = torch.nn.functional.interpolate(faces, scale_factor=2, mode="bilinear", align_corners=False)
    edged = torch.nn.functional.pad(faces, (1, 0, 1, 0), mode="replicate")
    assert torch.allclose(still_facenet._unenlarged(network.stem)(edged), network.stem(larger), atol=1e-4)
    with torch.inference_mode(), quantized.measured(network) as ranges:
        exact = network.frame_features(faces)
    assert quantized.is_available()
    network.quantize(ranges)
    with torch.inference_mode():
        whole = network.frame_features(faces)
    assert 0 < (whole - exact).abs().mean() < 0.03 * exact.abs().mean()
    assert network.can_quantize() and not network.can_quantize(side=136)


def test_of_a_clip_the_face_net_reads_the_middle_frame_mirrored() -> None:
    torch.manual_seed(0)
    network = streams.build("still_facenet", 7, width=4).eval()
    clip = torch.randn(2, 16, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network.features(clip), network.features(clip[:, 8:9].flip(3)))
        assert not torch.allclose(network.features(clip), network.features(clip[:, 8:9]))


@pytest.mark.parametrize(
    ("name", "stream", "message"),
    [
        ("facenet", "still", "is for the stream still_facenet"),
        ("denoising", "c3d", "is for networks of single faces"),
    ],
)
def test_a_start_without_a_stream_for_it_is_an_error(
    name: str, stream: str, message: str, material: Material
) -> None:
    recipe = replace(SMALL, streams=(stream,), sizes={}, start_from=(name,))
    with pytest.raises(UsageError, match=message):
        run.check(recipe, material, "cpu")
    with pytest.raises(UsageError, match="no model to start from"):
        run.check(replace(SMALL, epochs=0), material, "cpu")


def test_squares_of_a_face_are_masked() -> None:
    torch.manual_seed(0)
    faces = torch.ones(200, 1, 60, 60)
    corrupted = denoising.masked(faces)
    assert set(corrupted.unique().tolist()) == {0.0, 1.0}
    assert abs(float((corrupted == 0).float().mean()) - denoising.MASKED) < 0.02
    square = corrupted[..., :56, :56].reshape(200, 7, 8, 7, 8)
    assert (square.amax((2, 4)) == square.amin((2, 4))).all()


def test_an_interrupted_autoencoder_resumes_and_is_where_the_stream_starts(
    material: Material, strips: Path, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    notes: list[str] = []
    listener = Listener(note=notes.append, tick=seen.append)
    whole = trained(SMALL, material, tmp_path / "whole", strips, listener)
    curve = [now.validation for now in seen if now.measure == "explained variance"]
    assert curve[-1] > 0.1 and {now.stage for now in seen} > {"still.denoising", "still"}
    assert any(note.startswith("still.denoising: best after") for note in notes)
    assert list(json.loads((whole / "history.json").read_text())) == ["still"]

    def stop(now: Progress) -> None:
        if now.stage == "still.denoising" and now.epoch == 3:
            raise Stop

    with pytest.raises(Stop):
        trained(SMALL, material, tmp_path / "parts", strips, Listener(tick=stop))
    parts = trained(SMALL, material, tmp_path / "parts", strips)
    plain = trained(replace(SMALL, start_from=()), material, tmp_path / "plain", strips)
    ours, theirs, others = (load_file(folder / model.WEIGHTS) for folder in (whole, parts, plain))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert ours.keys() == others.keys() and not any(name.startswith("still.decoder") for name in ours)
    assert not np.array_equal(ours["still.stem.weight"], others["still.stem.weight"])
