"""Weights in a file as the whole numbers that networks compute with: half as many bytes as half precision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fervid.types import Array, Floats

# A tensor of this suffix has two numbers for each output: the step of its whole numbers, and the largest
# weight. Weights become the same whole numbers again only if the largest is exactly what it was.
STEPS = ".steps"


def pack(tensors: Mapping[str, Array], whole: Mapping[str, tuple[Array, Floats]]) -> dict[str, Array]:
    """Return the tensors, with these whole numbers of 8 bits and their steps instead of the weights."""
    packed = dict(tensors)
    for name, (numbers, steps) in whole.items():
        weights = tensors[name].astype(np.float32)
        largest = np.abs(weights.reshape(len(weights), -1)).max(1)
        packed[name] = numbers.astype(np.int8)
        packed[name + STEPS] = np.stack([steps, largest], 1).astype(np.float32)
    return packed


def unpack(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Return the tensors without whole numbers; raise ValueError if the steps do not fit."""
    unpacked = {name: value for name, value in tensors.items() if not name.endswith(STEPS)}
    for name in (full.removesuffix(STEPS) for full in tensors.keys() - unpacked.keys()):
        numbers, columns = tensors.get(name, np.empty(0)), tensors[name + STEPS]
        if numbers.dtype != np.int8 or numbers.ndim < 2 or columns.shape != (*numbers.shape[:1], 2):
            raise ValueError("the steps are not those of the weights")
        rows = numbers.reshape(len(numbers), -1).astype(np.float32)
        steps, largest = columns[:, :1], columns[:, 1:]
        is_largest = np.abs(rows) == np.abs(rows).max(1, keepdims=True)
        weights = np.where(is_largest, np.sign(rows * steps) * largest, rows * steps)
        unpacked[name] = weights.reshape(numbers.shape).astype(np.float32)
    return unpacked
