"""Face descriptors, 128 numbers that identify a person: dlib's face net, on torch.

dlib's wheels are built without BLAS and take 70 ms a face; torch takes 16 with the same weights, and 3 in
8-bit integers. The descriptors of two pictures of one person are usually within 0.6 of each other (dlib's own
figure).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fervid import packing, quantized
from fervid.faces import face_net
from fervid.process import one_thread
from fervid.types import Array, Bytes, Floats

SIDE = 150  # pixels of the picture that the net reads


class Trunk(nn.Module):
    """The net up to its last maps, for pictures of 0 to 255."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.blocks = face_net.stem(), face_net.blocks()

    def forward(self, pictures: Tensor) -> Tensor:
        return self.blocks(face_net.pooled(self.stem(pictures)))


class WholeTrunk:
    """A `Trunk` that computes in 8-bit integers."""

    def __init__(self, trunk: Trunk, ranges: quantized.Ranges) -> None:
        self._stem = quantized.Layer(trunk.stem, None, quantized.Steps(0, quantized.LEVELS))
        self._blocks = face_net.WholeBlocks(trunk.blocks, ranges)

    def __call__(self, pictures: Tensor) -> Tensor:
        return self._blocks(face_net.pooled(self._stem(pictures.to(torch.uint8))))


class FaceNet:
    """The net with its last layer."""

    def __init__(self, weights: Mapping[str, Tensor], ranges: Tensor | None = None) -> None:
        trunk = Trunk()
        trunk.load_state_dict(face_net.for_grey(weights, 0, 1))
        trunk.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.trunk: Callable[[Tensor], Tensor] = trunk
        if ranges is not None:
            self.trunk = WholeTrunk(trunk, quantized.decode(trunk, ranges))
        self._last = weights["last"]

    def describe(self, face: Bytes) -> Floats:
        """Return the 128 numbers of a grey face (SIDE, SIDE); faces of a batch would affect each other."""
        picture = torch.from_numpy(face)[None, None].float()
        with one_thread(), torch.inference_mode():
            maps = self.trunk(quantized.channels_last(picture))
            return np.asarray((maps.mean((2, 3)) @ self._last)[0].numpy(), np.float32)


def whole_weights(weights: Mapping[str, Tensor]) -> dict[str, tuple[Array, Floats]]:
    """Return the whole numbers that the blocks compute with, and their steps, by the names of `weights`."""
    trunk = Trunk()
    trunk.load_state_dict(face_net.for_grey(weights, 0, 1))
    return {
        f"{name.removeprefix('blocks.')}.weight": (numbers.numpy(), steps.numpy())
        for name, (numbers, steps) in quantized.whole_weights(trunk).items()
    }


def load(path: Path, in_integers: bool = True) -> FaceNet:
    """Load the net from `path`, for 8-bit integers where the machine has them."""
    weights = read_weights(path)
    ranges = weights.pop(quantized.RANGES)
    return FaceNet(weights, ranges if in_integers and quantized.is_available() else None)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights of the net in single precision, and the ranges of its layers' inputs."""
    from safetensors.numpy import load_file

    unpacked = packing.unpack(load_file(path))
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in unpacked.items()}
