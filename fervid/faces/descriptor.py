"""Face descriptors, 128 numbers that identify a person: dlib's face net, on torch.

dlib's wheels are built without BLAS and take 70 ms a face; torch takes a tenth of that with the same weights.
The descriptors of two pictures of one person are usually within 0.6 of each other (dlib's own figure).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from fervid.process import one_thread
from fervid.types import Bytes, Floats

SIDE = 150  # pixels of the picture that the net reads
COLOUR = (122.782, 117.001, 104.298)  # subtracted from red, green and blue, before the division by 256

# Width of each residual block, in order, and whether it halves the picture.
BLOCKS = (
    *((32, False),) * 3,
    *((64, True), *((64, False),) * 3),
    *((128, True), *((128, False),) * 2),
    *((256, True), *((256, False),) * 2),
    (256, True),
)

Layer = tuple[torch.Tensor, torch.Tensor]  # a convolution's weights and bias


def load(path: Path) -> FaceNet:
    """Load the net; benchmarks/convert_face_net.py makes the file."""
    from safetensors.numpy import load_file

    weights = {name: torch.from_numpy(value.astype(np.float32)) for name, value in load_file(path).items()}
    return FaceNet(weights)


class FaceNet:
    """A residual net of 29 convolutions; the fixed scale and shift after each is folded into it."""

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        def layer(name: str) -> Layer:
            kernel = weights[f"{name}.weight"].contiguous(memory_format=torch.channels_last)
            return kernel, weights[f"{name}.bias"]

        self._first = layer("first")
        self._blocks = [
            (layer(f"{index}.first"), layer(f"{index}.second"), is_halved)
            for index, (_, is_halved) in enumerate(BLOCKS)
        ]
        self._last = weights["last"]

    def describe(self, face: Bytes) -> Floats:
        """Return the 128 numbers of a grey face (SIDE, SIDE); faces of a batch would affect each other."""
        grey = torch.from_numpy(face.astype(np.float32))
        picture = torch.stack([(grey - level) / 256 for level in COLOUR])[None]  # (1, 3, SIDE, SIDE)
        picture = picture.contiguous(memory_format=torch.channels_last)  # a third faster
        with one_thread(), torch.inference_mode():
            weights, bias = self._first
            x = functional.relu(functional.conv2d(picture, weights, bias, stride=2))
            x = functional.max_pool2d(x, 3, 2)
            for first, second, is_halved in self._blocks:
                x = functional.relu(_added(x, first, second, is_halved))
            return np.asarray((x.mean((2, 3)) @ self._last)[0].numpy(), np.float32)


def _added(x: torch.Tensor, first: Layer, second: Layer, is_halved: bool) -> torch.Tensor:
    """Return a block's output plus its input; dlib lets them differ in size, and fills with zeros."""
    stride, padding = (2, 0) if is_halved else (1, 1)
    y = functional.relu(functional.conv2d(x, *first, stride=stride, padding=padding))
    y = functional.conv2d(y, *second, padding=1)
    if is_halved:
        x = functional.avg_pool2d(x, 2, 2)
    size = [max(a, b) for a, b in zip(x.shape[1:], y.shape[1:], strict=True)]
    return _filled(x, size) + _filled(y, size)


def _filled(x: torch.Tensor, size: list[int]) -> torch.Tensor:
    missing = [want - have for want, have in zip(size, x.shape[1:], strict=True)]
    return functional.pad(x, (0, missing[2], 0, missing[1], 0, missing[0])) if any(missing) else x
