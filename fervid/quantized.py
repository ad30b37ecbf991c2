"""Convolutions of trained networks in 8-bit integers, which take a third to two fifths of the time.

The inputs of a layer become whole numbers from 0 to 255, in equal steps over the range that they had for some
pictures; its weights become whole numbers from -63 to 63, in steps of their own for each output. Sums between
the layers, means and the last layers stay in single precision.

All processors get the same results, bit by bit: the sums of products are exact. Weights have one bit less
than they could, so that processors that add pairs of products in 16 bits never overflow. The steps are short
numbers, and those of inputs powers of two, so that nothing is rounded when sums become single precision.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 255  # steps of a layer's inputs
MOST_WEIGHT = 63
CUT = 0.2  # powers of two by which a layer's steps may be too small for its range: the rest is cut off
SIGNIFICANT = 16  # the steps of weights have four significant bits
COVERED = 0.9  # of the batches of a measurement: the share with extremes inside the ranges
KEPT = 16  # sizes of inputs for which a layer keeps its weights packed
RANGES = "ranges"  # the name of the tensor, among a network's weights, that has the ranges of its inputs

Range = tuple[float, float]
Ranges = Mapping[str, Range]  # of each convolution's inputs, by its name in the network
Padded = Callable[[Tensor, int], Tensor]  # maps with the padding that a kernel of some steps of time needs
Convolution = nn.Conv2d | nn.Conv3d


class Residual(Protocol):
    """A network with a trunk that can be quantized."""

    stem: Any
    stem_norm: Any
    blocks: Any


def is_available() -> bool:
    """Return whether this machine computes in 8-bit integers; elsewhere networks stay as they are."""
    has_library = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return has_library and platform.machine().lower() in ("x86_64", "amd64")


def convolutions(network: nn.Module) -> dict[str, Convolution]:
    """Return the convolutions of a network by their names."""
    return {name: part for name, part in network.named_modules() if isinstance(part, nn.Conv2d | nn.Conv3d)}


def encode(network: nn.Module, ranges: Ranges) -> Tensor:
    """Return the ranges as one tensor (N, 2), in the order of the network's convolutions."""
    return torch.tensor([ranges[name] for name in convolutions(network)])


def decode(network: nn.Module, encoded: Tensor) -> dict[str, Range]:
    """Return the ranges that `encode` made this tensor of; raise ValueError if it is another network's."""
    names = list(convolutions(network))
    if encoded.shape != (len(names), 2) or not encoded.isfinite().all():
        raise ValueError("the ranges are not those of the network")
    return {name: (low, high) for name, (low, high) in zip(names, encoded.tolist(), strict=True)}


@contextmanager
def measured(network: nn.Module) -> Iterator[dict[str, Range]]:
    """Find the ranges of the convolutions' inputs while the network reads batches inside the block.

    A range covers the extremes of nine batches in ten. To cover all, the steps would be larger, and scores
    would differ by half as much again.
    """
    ranges: dict[str, Range] = {}
    seen: dict[str, list[Range]] = {}

    def recorder(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen.setdefault(name, []).append((float(inputs[0].min()), float(inputs[0].max())))

        return record

    hooks = [part.register_forward_pre_hook(recorder(name)) for name, part in convolutions(network).items()]
    try:
        yield ranges
    finally:
        for hook in hooks:
            hook.remove()
        for name, extremes in seen.items():
            low, high = np.array(extremes).T
            ranges[name] = float(np.quantile(low, 1 - COVERED)), float(np.quantile(high, COVERED))


def whole_weights(network: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the whole numbers of the blocks' convolutions, and the steps that make their weights of them.

    The stem is small, and `still_facenet` computes with another one that is made of it.
    """
    parts, found = dict(network.named_modules()), {}
    for name, convolution in convolutions(network).items():
        if name == "stem":
            continue
        container, _, place = name.rpartition(".")
        norm = parts.get(f"{container}.{int(place) + 1}" if place.isdigit() else f"{name}_norm")
        scale = _scale(norm) if isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d) else torch.ones(1)
        scale = torch.where(scale == 0, 1, scale)  # what it is multiplied by later makes zeros of it anyway
        weight = convolution.weight.detach()
        whole, sizes = _whole(weight * _first(scale, weight))
        found[name] = whole, sizes / scale
    return found


def unpadded(maps: Tensor, depth: int) -> Tensor:
    """Return the maps as they are: pictures have no time."""
    return maps


class Steps:
    """The steps of a layer's inputs: `size` times whole numbers, of which `zero` means zero."""

    def __init__(self, low: float, high: float) -> None:
        low, high = min(low, 0.0), max(high, 1e-6)
        self.size = 2.0 ** math.ceil(math.log2((high - low) / LEVELS) - CUT)
        self.zero = round(-low / self.size)
        self._offset = torch.tensor(self.zero + 0.5)  # the half rounds

    def __call__(self, values: Tensor) -> Tensor:
        """Return the nearest whole numbers."""
        scaled = torch.add(self._offset, values, alpha=1 / self.size).clamp_(0, LEVELS)
        return scaled.to(torch.int16).to(torch.uint8)  # in one step it would take five times as long


class Layer:
    """A convolution, and the batch normalization after it if there is one, of whole numbers in `steps`."""

    def __init__(self, convolution: Convolution, norm: nn.Module | None, steps: Steps) -> None:
        weight, bias = _folded(convolution, norm)
        self.steps, self.depth = steps, convolution.kernel_size[0]
        whole, self._sizes = _whole(weight)
        self._weight = channels_last(whole)
        product = self._sizes * steps.size
        self._bias = (bias / product).round() * product
        self._zeros = torch.zeros(len(bias), dtype=torch.int64)
        self._shape = (
            *(list(convolution.stride), list(convolution.padding), list(convolution.dilation)),
            convolution.groups,
        )
        self._packed: dict[torch.Size, Tensor] = {}

    def _inputs(self, values: Tensor) -> tuple[Any, ...]:
        packed = self._packed.get(values.shape)
        if packed is None:  # for another size or number they would be packed again at every call
            if len(self._packed) >= KEPT:  # pictures may be of thousands of sizes
                self._packed.pop(next(iter(self._packed)))
            packed = torch.ops.onednn.qconv_prepack(
                self._weight, self._sizes, self.steps.size, self.steps.zero, *self._shape, list(values.shape)
            )
            self._packed[values.shape] = packed
        return values, self.steps.size, self.steps.zero, packed, self._sizes, self._zeros

    def __call__(self, values: Tensor, after: Steps | None = None) -> Tensor:
        """Return the output; with `after`, in the steps of the next layer, and without negative values."""
        result = (1.0, 0, torch.float32) if after is None else (after.size, after.zero, torch.uint8)
        output: Tensor = torch.ops.onednn.qconv_pointwise(
            *self._inputs(values), self._bias, *self._shape, *result, "none", [], ""
        )
        return output

    def add(self, values: Tensor, maps: Tensor, steps: Steps, after: Steps) -> Tensor:
        """Add the output to `maps`, which are in `steps`; return the sum in the steps of the next layer.

        It overwrites `maps`, and is for pictures, not clips.
        """
        output: Tensor = torch.ops.onednn.qconv2d_pointwise.binary(
            *(*self._inputs(values), maps, self._bias, *self._shape, after.size, after.zero, torch.uint8),
            *(steps.size, steps.zero, "sum", 1.0, "relu", [], ""),
        )
        return output


class Block:
    """Two convolutions with a shortcut, as blocks of the networks have them: made of one of those."""

    def __init__(self, block: Any, name: str, ranges: Ranges, padded: Padded = unpadded) -> None:
        self.steps, inner = Steps(*ranges[f"{name}.first"]), Steps(*ranges[f"{name}.second"])
        self._first = Layer(block.first, getattr(block, "first_norm", None), self.steps)
        self._second = Layer(block.second, getattr(block, "second_norm", None), inner)
        self._padded = padded
        self._shortcut: tuple[nn.Module, Layer] | None = None
        if isinstance(shortcut := getattr(block, "shortcut", None), nn.Sequential):
            pool, convolution, norm = shortcut
            assert isinstance(convolution, nn.Conv2d | nn.Conv3d)
            self._shortcut = pool, Layer(convolution, norm, Steps(*ranges[f"{name}.shortcut.1"]))

    def __call__(self, maps: Tensor, after: Steps | None) -> Tensor:
        """Return the block's output, in the steps of the next layer if there is one; may overwrite `maps`."""
        inner = self._first(self._padded(maps, self._first.depth), self._second.steps)
        inner = self._padded(inner, self._second.depth)
        if self._shortcut is None and after is not None and maps.dim() == 4:
            return self._second.add(inner, maps, self.steps, after)
        if self._shortcut is None:
            output = torch.add(self._second(inner), maps, alpha=self.steps.size)
        else:
            pool, layer = self._shortcut
            pooled = channels_last(pool(maps.float())).mul_(self.steps.size)
            output = self._second(inner).add_(layer(layer.steps(pooled)))
        return output.relu_() if after is None else after(output)


class Trunk:
    """A network's stem and blocks."""

    def __init__(self, network: Residual, ranges: Ranges, padded: Padded = unpadded) -> None:
        self._padded = padded
        self._stem = Layer(network.stem, network.stem_norm, Steps(*ranges["stem"]))
        self._blocks = [
            Block(block, f"blocks.{index}", ranges, padded) for index, block in enumerate(network.blocks)
        ]
        self._after = [*(block.steps for block in self._blocks[1:]), None]

    def __call__(self, pictures: Tensor) -> Tensor:
        steps = channels_last(self._stem.steps(pictures))
        maps = self._stem(self._padded(steps, self._stem.depth), self._blocks[0].steps)
        for block, after in zip(self._blocks, self._after, strict=True):
            maps = block(maps, after)
        return maps


def channels_last(values: Tensor) -> Tensor:
    """Return pictures or clips in the order that is fastest for convolutions."""
    order = torch.channels_last if values.dim() == 4 else torch.channels_last_3d
    return values.contiguous(memory_format=order)


def _whole(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return a weight as whole numbers, and their size for each output."""
    sizes = _short(weight.flatten(1).abs().amax(1).clamp_min(1e-12) / MOST_WEIGHT)
    return (weight / _first(sizes, weight)).round().to(torch.int8), sizes


def _short(sizes: Tensor) -> Tensor:
    """Return the next larger sizes that have few significant bits."""
    fraction, exponent = torch.frexp(sizes)
    return torch.ldexp((fraction * SIGNIFICANT).ceil() / SIGNIFICANT, exponent)


def _first(values: Tensor, weight: Tensor) -> Tensor:
    """Return one value for each output of a layer, in a shape that multiplies its weight."""
    return values.view(-1, *[1] * (weight.dim() - 1))


def _folded(convolution: Convolution, norm: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of a convolution and the batch normalization after it."""
    weight = convolution.weight.detach()
    bias = torch.zeros(len(weight)) if convolution.bias is None else convolution.bias.detach()
    if norm is None:
        return weight, bias
    assert isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d) and norm.running_mean is not None
    scale = _scale(norm)
    return weight * _first(scale, weight), norm.bias.detach() + (bias - norm.running_mean) * scale


def _scale(norm: nn.BatchNorm2d | nn.BatchNorm3d) -> Tensor:
    """Return what batch normalization multiplies each output by."""
    assert norm.running_var is not None
    return norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
