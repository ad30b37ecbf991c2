"""Networks in numpy, which a process that runs no others uses instead of torch's."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from fervid import clips, model, streams
from fervid.errors import ModelError
from fervid.labels import EMOTIONS
from fervid.model.spec import Spec, StreamSpec
from fervid.types import Floats

READS = "displacement"


def windows(count: int, spread: float = 0.05) -> Floats:
    random = np.random.default_rng(count)
    return random.normal(0, spread, (count, clips.LENGTH, 68, 2)).astype(np.float32)


def phrnn(folder: Path, **sizes: int) -> Path:
    """Write a model of one untrained PHRNN."""
    torch.manual_seed(0)
    network = streams.build("phrnn", len(EMOTIONS), **sizes)
    part = StreamSpec("phrnn", READS, sizes)
    spec = Spec("own", EMOTIONS, (part,), "weighted", 1.0, True, {}, (), weights_sha256="")
    model.save(folder, spec, {f"phrnn.{name}": value.numpy() for name, value in network.state_dict().items()})
    return folder


@pytest.mark.parametrize("spread", [0.0, 0.005, 0.05, 1.0])
@pytest.mark.parametrize("count", [0, 1, 40])
def test_the_default_model_has_the_logits_that_it_has_in_torch(count: int, spread: float) -> None:
    light, whole = model.load_light("default", READS), model.load("default")
    assert light is not None
    for got, expected in zip(
        light.heads("phrnn", windows(count, spread), 32),
        whole.heads("phrnn", windows(count, spread)),
        strict=True,
    ):
        assert got is not None and expected is not None
        assert got.shape == expected.shape == (count, 7) and got.dtype == np.float32
        assert np.allclose(got, expected, atol=1e-5)
    assert light.reading(READS) == whole.reading(READS)


@pytest.mark.parametrize("sizes", [{}, {"motion": 8}, {"width": 12, "hidden": 20}])
def test_every_size_has_the_logits_that_it_has_in_torch(tmp_path: Path, sizes: dict[str, int]) -> None:
    folder = phrnn(tmp_path, **sizes)
    light = model.load_light(folder, READS)
    assert light is not None
    expected = model.load(folder).logits("phrnn", windows(9))
    assert np.abs(expected).max() > 0.01
    assert np.allclose(light.logits("phrnn", windows(9)), expected, atol=1e-5)


def test_the_logits_of_a_window_do_not_depend_on_the_others() -> None:
    light = model.load_light("default", READS)
    assert light is not None
    together = light.logits("phrnn", windows(40), 32)
    alone = [light.logits("phrnn", [window], 32)[0] for window in windows(40)]
    assert np.array_equal(together, alone)


def test_a_model_whose_network_has_no_form_in_numpy_needs_torch() -> None:
    assert [stream.name for stream in model.read_spec("untrained").streams if stream.reads == READS]
    assert model.load_light("untrained", READS) is None


def test_a_model_that_reads_only_pictures_needs_nothing(tmp_path: Path) -> None:
    network = streams.build("still", len(EMOTIONS), width=8, blocks=1)
    part = StreamSpec("still", "faces", {"width": 8, "blocks": 1})
    spec = Spec("own", EMOTIONS, (part,), "weighted", 1.0, True, {}, (), weights_sha256="")
    model.save(
        tmp_path, spec, {f"still.{name}": value.numpy() for name, value in network.state_dict().items()}
    )
    light = model.load_light(tmp_path, READS)
    assert light is not None and not light.reading(READS)


@pytest.mark.parametrize("change", ["missing", "narrow"])
def test_weights_of_other_sizes_are_an_error(tmp_path: Path, change: str) -> None:
    folder = Path(shutil.copytree(phrnn(tmp_path / "sound"), tmp_path / "hurt"))
    tensors = load_file(folder / model.WEIGHTS)
    if change == "missing":
        del tensors["phrnn.mouth.weight_hh_l0"]
    else:
        tensors["phrnn.hidden.weight"] = tensors["phrnn.hidden.weight"][:, 1:].copy()
    model.save(folder, model.read_spec(folder), tensors)
    with pytest.raises(ModelError, match="do not fit its sizes"):
        model.load_light(folder, READS)
