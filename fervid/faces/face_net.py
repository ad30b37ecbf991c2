"""dlib's face net (King, 2017), which tells people apart: 29 convolutions in residual blocks.

`descriptor.py` describes faces with it, and the stream `still_facenet` starts from its weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from fervid import quantized

COLOUR = (122.782, 117.001, 104.298)  # what dlib subtracts from red, green and blue
RANGE = 256.0  # by which it divides
WIDTH = 32  # of the first layers
# Of each residual block, the width in units of the first, and whether it halves the picture.
BLOCKS = (
    *((1, False),) * 3,
    *((2, True), *((2, False),) * 3),
    *((4, True), *((4, False),) * 2),
    *((8, True), *((8, False),) * 2),
    (8, True),
)


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut, which is filled with zeros where sizes differ."""

    def __init__(self, before: int, after: int, is_halved: bool) -> None:
        super().__init__()
        stride, padding = (2, 0) if is_halved else (1, 1)
        self.first = nn.Conv2d(before, after, 3, stride, padding)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        self.is_halved = is_halved

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.second(nn.functional.relu(self.first(maps)))
        return nn.functional.relu(_sum(_halved(maps) if self.is_halved else maps, inner))


class WholeBlock(quantized.Block):
    """A `Block` that halves the picture, in 8-bit integers."""

    def __call__(self, maps: Tensor, after: quantized.Steps | None) -> Tensor:
        inner = self._second(self._first(maps, self._second.steps))
        output = _sum(_halved(maps.float()).mul_(self.steps.size), inner).relu_()
        return output if after is None else after(quantized.channels_last(output))


class WholeBlocks:
    """Blocks in 8-bit integers."""

    def __init__(self, blocks: Iterable[nn.Module], ranges: quantized.Ranges) -> None:
        self._blocks = [
            (WholeBlock if block.is_halved else quantized.Block)(block, f"blocks.{index}", ranges)
            for index, block in enumerate(blocks)
        ]
        self._after = [*(block.steps for block in self._blocks[1:]), None]

    def __call__(self, maps: Tensor) -> Tensor:
        """Return the last maps for the pooled ones of the stem, both in single precision."""
        maps = self._blocks[0].steps(maps)
        for block, after in zip(self._blocks, self._after, strict=True):
            maps = block(maps, after)
        return maps


def stem(width: int = WIDTH) -> nn.Conv2d:
    return nn.Conv2d(1, width, 7, 2)


def blocks(width: int = WIDTH, count: int = len(BLOCKS)) -> nn.Sequential:
    """Return the first blocks, with random weights."""
    widths = [width, *(times * width for times, _ in BLOCKS[:count])]
    kinds = (is_halved for _, is_halved in BLOCKS[:count])
    return nn.Sequential(*map(Block, widths, widths[1:], kinds))


def pooled(maps: Tensor) -> Tensor:
    """Return the maps that the first block reads, from those of the stem."""
    return nn.functional.max_pool2d(nn.functional.relu(maps), 3, 2)


def least_side(count: int = len(BLOCKS)) -> int:
    """Return the side, in pixels, of the smallest picture of which something is left after the blocks."""
    side = 1
    for _, is_halved in reversed(BLOCKS[:count]):
        side = max(3, 2 * side) if is_halved else side
    return 2 * (2 * side + 1) + 5


def for_grey(weights: Mapping[str, Tensor], grey: float, unit: float) -> dict[str, Tensor]:
    """Return the weights of `stem` and `blocks` for pictures of one colour, from those of the file.

    A pixel of the picture is a level of `grey` plus `unit` times its value.
    """
    kernel, bias = weights["first.weight"], weights["first.bias"]  # (W, 3, K, K), (W,)
    offset = (grey - torch.tensor(COLOUR)) / RANGE
    first = {
        "stem.weight": kernel.sum(1, keepdim=True) * unit / RANGE,
        "stem.bias": bias + (kernel.sum((2, 3)) * offset).sum(1),
    }
    return first | {f"blocks.{name}": value for name, value in weights.items() if name[0].isdigit()}


def _halved(maps: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(maps, 2, 2)


def _sum(first: Tensor, second: Tensor) -> Tensor:
    """Add maps; dlib lets them differ in size, and fills with zeros."""
    size = [max(a, b) for a, b in zip(first.shape[1:], second.shape[1:], strict=True)]
    return _filled(first, size) + _filled(second, size)


def _filled(maps: Tensor, size: Sequence[int]) -> Tensor:
    missing = [want - have for want, have in zip(size, maps.shape[1:], strict=True)]
    return nn.functional.pad(maps, (0, missing[2], 0, missing[1], 0, missing[0])) if any(missing) else maps
