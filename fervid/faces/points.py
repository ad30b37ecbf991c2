"""fervid's own predictor of the 68 points: a small network that reads the middle of the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from fervid import quantized
from fervid.errors import ModelError
from fervid.faces.picture import CANVAS
from fervid.faces.shape import figures
from fervid.process import one_thread
from fervid.types import LANDMARKS, Bytes, Floats

EYES = 63.0  # pixels between the eyes on the canvas
BELOW_EYES = 0.41  # eye distances from the eyes down to the middle of the canvas
SHRINK = 2  # the network reads the canvas at half its size
SIDE = 96  # pixels: the side of the part that the network reads
READ = SHRINK * SIDE  # pixels: the side of that part on the canvas
EDGE = (CANVAS - READ) // 2  # pixels of a whole canvas around it
PATCH = 4  # pixels: the side of the squares that are cut up into channels
WIDTHS = (32, 64, 96)  # channels at 24, 12 and 6 pixels
NARROW, HIDDEN = 48, 256  # channels and numbers of the last layers
MOST = 8  # faces at once
UPPER = np.array([37, 38, 43, 44, 61, 62, 63])  # points of lids and lips, which never cross LOWER
LOWER = np.array([41, 40, 47, 46, 67, 66, 65])
FAINT = 8.0  # grey levels added to a picture's spread, so that noise is not enlarged to a face


class Block(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(maps + self.second(functional.relu(self.first(maps))))


class PointsNet(nn.Module):
    """(N, 1, 96, 96) -> patches (N, 16, 24, 24) -> convolutions to 6x6 -> (N, 68, 2) in eye distances."""

    def __init__(self) -> None:
        super().__init__()
        low, middle, high = WIDTHS
        self.stem = nn.Conv2d(PATCH * PATCH, low, 3, 1, 1)
        self.halve = nn.Conv2d(low, middle, 3, 2, 1)
        self.block = Block(middle)
        self.halve_again = nn.Conv2d(middle, high, 3, 2, 1)
        self.last_block = Block(high)
        self.narrow = nn.Conv2d(high, NARROW, 1)
        self.hidden = nn.Conv2d(NARROW, HIDDEN, SIDE // (4 * PATCH))  # over all of the maps
        self.top = nn.Linear(HIDDEN, 2 * LANDMARKS)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = functional.relu(self.stem(functional.pixel_unshuffle(pictures, PATCH)))
        maps = self.block(functional.relu(self.halve(maps)))
        maps = self.last_block(functional.relu(self.halve_again(maps)))
        numbers = functional.relu(self.hidden(functional.relu(self.narrow(maps)))).flatten(1)
        return self.top(numbers).view(-1, LANDMARKS, 2)


def mean_points() -> Floats:
    """Return the mean face on the canvas, (68, 2)."""
    mean = figures()["neutral"][:, :2] - np.array([0, BELOW_EYES])
    return np.asarray(EYES * mean + CANVAS / 2, np.float32)


def view(canvas: Bytes) -> Floats:
    """Return the input of the network from a canvas or the middle of one, (SIDE, SIDE)."""
    edge = (len(canvas) - READ) // 2
    middle = canvas[edge : edge + READ, edge : edge + READ]
    return even(np.asarray(cv2.resize(middle, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8))


def even(picture: Bytes) -> Floats:
    """Return a picture in the same exposure and contrast as all others."""
    mean, spread = cv2.meanStdDev(picture)
    return np.asarray((picture - np.float32(mean[0, 0])) / np.float32(spread[0, 0] + FAINT), np.float32)


class QuantizedPoints:
    """A `PointsNet` whose convolutions compute in 8-bit integers."""

    def __init__(self, net: PointsNet, ranges: quantized.Ranges) -> None:
        def layer(name: str) -> quantized.Layer:
            return quantized.Layer(getattr(net, name), None, quantized.Steps(*ranges[name]))

        self._stem, self._halve, self._halve_again = layer("stem"), layer("halve"), layer("halve_again")
        self._narrow, self._hidden = layer("narrow"), layer("hidden")
        self._block, self._last_block = (
            quantized.Block(getattr(net, name), name, ranges) for name in ("block", "last_block")
        )
        self._weight, self._bias = net.top.weight.double(), net.top.bias.double()

    def __call__(self, pictures: Tensor) -> Tensor:
        patches = functional.pixel_unshuffle(pictures, PATCH)
        maps = self._stem(self._stem.steps(quantized.channels_last(patches)), self._halve.steps)
        maps = self._block(self._halve(maps, self._block.steps), self._halve_again.steps)
        maps = self._last_block(self._halve_again(maps, self._last_block.steps), self._narrow.steps)
        numbers = self._hidden(self._narrow(maps, self._hidden.steps)).relu_().flatten(1)
        # Sums in single precision depend on the processor and on the rest of a batch, and tracking amplifies
        # their last bits. Those before are exact, and these are, once they are rounded.
        points = functional.linear(numbers.double(), self._weight, self._bias)
        return points.float().view(-1, LANDMARKS, 2)


class Predictor:
    """A network and its weights; with the ranges of its inputs, it computes in 8-bit integers."""

    def __init__(self, net: PointsNet, ranges: quantized.Ranges | None = None) -> None:
        net = net.eval().requires_grad_(False)
        for weights in net.parameters():
            if weights.dim() == 4:  # a fifth faster
                weights.data = quantized.channels_last(weights.data)
        self._net = net if ranges is None else QuantizedPoints(net, ranges)
        self._most = 1 if ranges is None else MOST  # faces at once: others would affect each other
        self._mean = mean_points()

    def __call__(self, canvas: Bytes) -> Floats:
        """Return the 68 points (68, 2) of the face on a canvas, or on the middle of one that is READ wide."""
        return self.all([canvas])[0]

    def all(self, canvases: Sequence[Bytes]) -> list[Floats]:
        """Return the points of the faces on several canvases: the same as one by one."""
        points: list[Floats] = []
        for start in range(0, len(canvases), self._most):
            part = canvases[start : start + self._most]
            pictures = torch.from_numpy(np.stack([view(canvas) for canvas in part])[:, None])
            with one_thread(), torch.inference_mode():
                offsets = self._net(quantized.channels_last(pictures)).numpy()
            for canvas, own in zip(part, offsets, strict=True):
                mean = self._mean - np.float32((CANVAS - len(canvas)) / 2)
                points.append(_parted(np.asarray(mean + np.float32(EYES) * own, np.float32)))
        return points


def _parted(points: Floats) -> Floats:
    """Return the points on a canvas with lids and lips that cross moved to meet instead."""
    crossing = np.minimum(points[LOWER, 1] - points[UPPER, 1], 0) / 2
    points[UPPER, 1] += crossing
    points[LOWER, 1] -= crossing
    return points


def load(path: Path) -> Predictor:
    """Load the network from `path`, which stores its weights in half precision."""
    net = PointsNet()
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        ranges = tensors.pop(quantized.RANGES, None)
        net.load_state_dict(tensors)
        if ranges is None or not quantized.is_available():
            return Predictor(net)
        return Predictor(net, quantized.decode(net, ranges))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ModelError(f"the predictor {path} cannot be read: {error}; install fervid again") from error
