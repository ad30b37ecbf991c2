"""YuNet (Wu, Peng and Yu, 2023) on torch, in 8-bit integers: it takes three fifths of the time of OpenCV's.

Its file has the weights of OpenCV's: benchmarks/convert_yunet.py makes it from them.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from fervid.process import one_thread
from fervid.types import Bytes, Floats

STEM = 16  # channels
WIDTHS = (16, 16, 32, 32, 64, 64, 64, 64, 64, 64, 64)  # channels after each unit of the backbone
HALVED = (0, 4, 6, 8)  # units after which the maps are halved
LEVELS = (6, 8, 10)  # units whose maps are searched for faces
STRIDES = (8, 16, 32)  # pixels: the side of a cell of each level
STEP = STRIDES[-1]  # pixels: pictures are padded to multiples
# The numbers of a cell: the scores of a face and of any object, middle and size of the box, five points.
SCORES, BOX, POINTS = slice(0, 2), slice(2, 6), slice(6, 16)
NUMBERS = 16
LEAST_LOGIT = -80.0  # so that its exponential is a number of single precision


class Unit(nn.Module):
    """A 1x1 convolution, and a 3x3 convolution of each channel alone, with nothing between them."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(before, after, 1)
        self.depth = nn.Conv2d(after, after, 3, 1, 1, groups=after)

    def forward(self, maps: Tensor) -> Tensor:
        output: Tensor = self.depth(self.point(maps))
        return output


class YuNet(nn.Module):
    """(N, 1, H, W), 0 to 255 -> the numbers of the cells of each level, (N, 16, H / stride, W / stride)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, STEM, 3, 2, 1)
        self.units = nn.ModuleList(map(Unit, (STEM, *WIDTHS), WIDTHS))
        self.necks = nn.ModuleList(Unit(WIDTHS[-1], WIDTHS[-1]) for _ in LEVELS)
        self.heads = nn.ModuleList(Unit(WIDTHS[-1], NUMBERS) for _ in LEVELS)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        maps, levels = functional.relu(self.stem(pictures)), []
        for index, unit in enumerate(self.units):
            maps = functional.relu(unit(maps))
            levels += [maps] if index in LEVELS else []
            maps = _halved(maps) if index in HALVED else maps
        outputs, coarser = [], None
        for neck, head, own in reversed([*zip(self.necks, self.heads, levels, strict=True)]):
            coarser = functional.relu(neck(own if coarser is None else _added(own, coarser)))
            outputs.append(head(coarser))
        return outputs[::-1]


def _halved(maps: Tensor) -> Tensor:
    """Return the largest of every 2x2 numbers; torch's own pooling takes no whole ones."""
    rows = torch.maximum(maps[:, :, ::2], maps[:, :, 1::2])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def _added(fine: Tensor, coarse: Tensor) -> Tensor:
    """Add maps to others of twice their size."""
    count, width, rows, columns = coarse.shape
    cells = fine.view(count, width, rows, 2, columns, 2)
    return (cells + coarse[:, :, :, None, :, None]).view(fine.shape)


class _QuantizedUnit:
    """A `Unit` that computes in 8-bit integers."""

    def __init__(self, unit: Unit, name: str, ranges: quantized.Ranges) -> None:
        self.steps, self._between = (
            quantized.Steps(*ranges[f"{name}.{part}"]) for part in ("point", "depth")
        )
        self._point = quantized.Layer(unit.point, None, self.steps)
        self._depth = quantized.Layer(unit.depth, None, self._between)

    def __call__(self, maps: Tensor, after: quantized.Steps | None) -> Tensor:
        """Return the output; with `after`, in the steps of the next unit, and without negative values."""
        return self._depth(self._point(maps, self._between), after)


class QuantizedYuNet:
    """A `YuNet` that computes in 8-bit integers."""

    def __init__(self, net: YuNet, ranges: quantized.Ranges) -> None:
        def units(name: str) -> list[_QuantizedUnit]:
            parts = enumerate(getattr(net, name))
            return [_QuantizedUnit(unit, f"{name}.{index}", ranges) for index, unit in parts]

        self._stem = quantized.Layer(net.stem, None, quantized.Steps(0, quantized.LEVELS))
        self._units, self._necks, self._heads = units("units"), units("necks"), units("heads")
        self._after = [*(unit.steps for unit in self._units[1:]), self._necks[-1].steps]

    def __call__(self, pictures: Tensor) -> list[Tensor]:
        maps, levels = self._stem(pictures, self._units[0].steps), list[tuple[Tensor, quantized.Steps]]()
        for index, (unit, after) in enumerate(zip(self._units, self._after, strict=True)):
            maps = unit(maps, after)
            levels += [(maps, after)] if index in LEVELS else []
            maps = _halved(maps) if index in HALVED else maps
        outputs = list[Tensor]()
        coarser: Tensor | None = None
        for neck, head, (own, steps) in reversed([*zip(self._necks, self._heads, levels, strict=True)]):
            if coarser is not None:  # products of whole numbers with powers of two, and their sums, are exact
                own = neck.steps(_added(own.float().mul_(steps.size), coarser))
            whole = neck(own, head.steps)
            outputs.append(head(whole, None))
            coarser = whole.float().mul_(head.steps.size)
        return outputs[::-1]


@dataclass(frozen=True, eq=False)
class YuNetDetector:
    """A network that detects upright faces in luma, and its thresholds."""

    net: QuantizedYuNet
    least: float  # the least score of a face, 0 to 1
    most_overlap: float  # the most intersection over union of two faces
    most: int  # candidates before overlapping ones are merged

    def __call__(self, luma: Bytes) -> tuple[Floats, Floats]:
        """Return the scores (N,) and points (N, 5, 2) of the faces, the highest score first."""
        down, across = (-side % STEP for side in luma.shape)
        picture = torch.from_numpy(np.pad(luma, ((0, down), (0, across))))[None, None]
        with one_thread(), torch.inference_mode():
            levels = self.net(picture)
        found = [
            _faces(level[0].numpy(), stride, self.least)
            for level, stride in zip(levels, STRIDES, strict=True)
        ]
        scores, boxes, points = (np.concatenate(parts) for parts in zip(*found, strict=True))
        chosen = cv2.dnn.NMSBoxes(
            boxes.tolist(), scores.tolist(), self.least, self.most_overlap, top_k=self.most
        )
        rows = np.array(chosen, np.int64)
        return scores[rows], points[rows]


def _faces(cells: Floats, stride: int, least: float) -> tuple[Floats, Floats, Floats]:
    """Return the scores (N,), boxes (N, 4) and points (N, 5, 2) of a level's cells that show a face."""
    chances = 1 / (1 + np.exp(-cells[SCORES].clip(LEAST_LOGIT)))
    scores = np.sqrt(chances[0] * chances[1])
    rows, columns = np.nonzero(scores >= least)
    corners = np.column_stack([columns, rows]).astype(np.float32)
    numbers = cells[:, rows, columns].T
    middle, size = corners + numbers[:, BOX][:, :2], np.exp(numbers[:, BOX][:, 2:])
    boxes = np.hstack([middle - size / 2, size])
    points = corners[:, None] + numbers[:, POINTS].reshape(-1, 5, 2)
    return scores[rows, columns], np.float32(stride) * boxes, np.float32(stride) * points


def load(path: Path, least: float, most_overlap: float, most: int) -> YuNetDetector:
    """Load the network from `path`, which stores its weights in half precision."""
    net = YuNet().eval().requires_grad_(False)
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        ranges = quantized.decode(net, tensors.pop(quantized.RANGES))
        net.load_state_dict(tensors)
        return YuNetDetector(QuantizedYuNet(net, ranges), least, most_overlap, most)
    except (OSError, LookupError, RuntimeError, ValueError, SafetensorError) as error:
        raise ModelError(f"the detector {path} cannot be read: {error}; install fervid again") from error
