"""Face descriptors, 128 numbers that identify a person: dlib's face net and weights, on torch.

dlib's wheels are built without BLAS and take 70 ms a face; torch takes a tenth of that with the same weights.
The descriptors of two pictures of one person are usually within 0.6 of each other (dlib's own figure).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from fervid.errors import ModelError
from fervid.threads import one_thread
from fervid.types import Bytes, Floats

SIZE = 128  # numbers that describe a face
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

LAYER = re.compile(rb"con_4|affine_|fc_2")

Layer = tuple[torch.Tensor, torch.Tensor]  # a convolution's weights and bias


@cache
def load(path: Path) -> FaceNet:
    """Load the net from `path`, dlib's dlib_face_recognition_resnet_model_v1.dat."""
    try:
        return FaceNet(path.read_bytes())
    except (OSError, ValueError, IndexError, StopIteration) as error:
        raise ModelError(
            f"{path.name} is not dlib's face net ({error}): "
            "pip install --force-reinstall face_recognition_models"
        ) from error


class FaceNet:
    """A residual net of 29 convolutions; the fixed scale and shift after each is folded into it."""

    def __init__(self, content: bytes) -> None:
        values = _tensors(content)
        self._first = _convolution(values, 3, 32, 7)
        self._blocks: list[tuple[Layer, Layer, bool]] = []
        before = 32
        for width, is_halved in BLOCKS:
            first, second = _convolution(values, before, width, 3), _convolution(values, width, width, 3)
            self._blocks.append((first, second, is_halved))
            before = width
        self._last = torch.from_numpy(next(values).reshape(before, SIZE))

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


def _convolution(values: Iterator[Floats], depth: int, width: int, side: int) -> Layer:
    """Return the next convolution with the scale and shift after it folded in."""
    kernel, after = next(values), next(values)
    weights = kernel[:-width].reshape(width, depth, side, side)
    scale, shift = after.reshape(2, width)
    folded = torch.from_numpy(weights * scale[:, None, None, None])
    return (
        folded.contiguous(memory_format=torch.channels_last),
        torch.from_numpy(kernel[-width:] * scale + shift),
    )


def _tensors(content: bytes) -> Iterator[Floats]:
    """Yield the weights of every layer in the file, in order, each flat."""
    position = 0
    while layer := LAYER.search(content, position):
        position = layer.end()
        if layer[0] == b"fc_2":  # its sizes come before its weights
            _, position = _integer(content, position)
            _, position = _integer(content, position)
        version, position = _integer(content, position)
        count = 1
        for _ in range(4):
            length, position = _integer(content, position)
            count *= length
        end = position + 4 * count
        if version != 2 or end > len(content):
            raise ValueError("its layers cannot be read")
        yield np.frombuffer(content[position:end], "<f4").astype(np.float32)
        position = end


def _integer(content: bytes, position: int) -> tuple[int, int]:
    """Return an integer as dlib writes it, a count of bytes followed by them, and the position after it."""
    end = position + 1 + content[position]
    return int.from_bytes(content[position + 1 : end], "little"), end
