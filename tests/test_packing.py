"""Test weights that are stored as the whole numbers that networks compute with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from fervid import model, quantized, streams
from fervid.errors import ModelError
from fervid.packing import STEPS, pack, unpack
from fervid.streams.network import Network

SIZES: dict[str, dict[str, int]] = {
    "still": {"width": 8, "blocks": 2},
    "c3d": {"width": 4, "blocks": 1},
    "still_facenet": {"width": 8, "blocks": 4},
}


def network(name: str) -> Network:
    """Return a network with random weights of half precision; some outputs have equal or no weights."""
    torch.manual_seed(5)
    net = streams.build(name, 7, **SIZES[name])
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(part.weight)  # negative ones, too
            part.weight.data[0] = 0
            assert part.running_var is not None
            part.running_var.uniform_(0.5, 1.5)
        elif isinstance(part, nn.Conv2d | nn.Conv3d):
            part.weight.data = part.weight.data.half().float()
            part.weight.data[1] = part.weight.data[1].sign() * 0.03125
            part.weight.data[2] = 0
    return net.eval()


def packed(net: Network) -> dict[str, np.ndarray]:
    whole = {
        f"{name}.weight": (numbers.numpy(), steps.numpy())
        for name, (numbers, steps) in quantized.whole_weights(net).items()
    }
    return pack({key: value.numpy() for key, value in net.state_dict().items()}, whole)


@pytest.mark.parametrize("name", SIZES)
def test_a_network_computes_with_the_same_whole_numbers(name: str) -> None:
    net, again = network(name), network(name)
    tensors = packed(net)
    assert sum(value.dtype == np.int8 for value in tensors.values()) == len(quantized.convolutions(net)) - 1
    unpacked = unpack(tensors)
    again.load_state_dict({key: torch.from_numpy(value) for key, value in unpacked.items()})
    for key, numbers in quantized.whole_weights(net).items():
        for before, after in zip(numbers, quantized.whole_weights(again)[key], strict=True):
            assert torch.equal(before, after), key
    twice = packed(again)
    assert twice.keys() == tensors.keys()
    assert all(np.array_equal(value, twice[key]) for key, value in tensors.items())


@pytest.mark.skipif(not quantized.is_available(), reason="needs an x86 processor")
@pytest.mark.parametrize("name", SIZES)
def test_scores_stay_the_same_bit_by_bit(name: str) -> None:
    sizes = SIZES[name] | ({"width": 32, "blocks": 3} if name == "still_facenet" else {})
    torch.manual_seed(7)
    net = streams.build(name, 7, **sizes).eval().placed(torch.device("cpu"))
    again = streams.build(name, 7, **sizes).eval().placed(torch.device("cpu"))
    again.load_state_dict({key: torch.from_numpy(value) for key, value in unpack(packed(net)).items()})
    clips = torch.randn(4, net.frames if net.frames > 1 else 16, 64, 64)
    with torch.no_grad(), quantized.measured(net) as ranges:
        net(clips)
    exact = [each(clips).detach() for each in (net, again)]
    assert not torch.equal(*exact) and torch.allclose(*exact, atol=0.2)
    for each in (net, again):
        each.quantize(ranges)
    with torch.no_grad():
        assert torch.equal(net(clips), again(clips))


@pytest.mark.parametrize("damage", ["no weights", "of another length", "of floats"])
def test_steps_that_do_not_fit_are_refused(damage: str, tmp_path: Path) -> None:
    spec, tensors = model.read_spec("untrained"), load_file(model.find("untrained") / model.WEIGHTS)
    name = next(name for name, value in tensors.items() if value.ndim == 2)
    stored = pack(tensors, {name: (np.ones_like(tensors[name]), np.ones(len(tensors[name]), np.float32))})
    if damage == "no weights":
        del stored[name]
    elif damage == "of another length":
        stored[name + STEPS] = stored[name + STEPS][:-1]
    else:
        stored[name] = tensors[name]
    model.save(tmp_path / "model", spec, stored)
    with pytest.raises(ModelError, match="do not fit"):
        model.load(tmp_path / "model")


def test_the_default_model_takes_half_the_bytes_of_half_precision() -> None:
    tensors = load_file(model.find("default") / model.WEIGHTS)
    stored = sum(value.nbytes for value in tensors.values())
    assert stored < 0.56 * sum(2 * value.size for value in unpack(tensors).values())
