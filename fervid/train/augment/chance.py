"""Random numbers by hashing integers: a clip's numbers depend only on its seed and on their index."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from fervid.types import Array, Floats, Ints

BANK = 1 << 18  # standard normal numbers that all noise is taken from
FAR = 0.618034  # share of the bank from one frame's noise to the next: up to 30 frames share no number


def mix(*numbers: int | Ints) -> Ints:
    """Hash integers to one, element by element: for example a run's seed, an epoch and a sample."""
    state = np.zeros(1, np.uint64)
    with np.errstate(over="ignore"):  # arithmetic is modulo 2**64
        for number in numbers:
            # Steele, Lea and Flood (2014), SplitMix64.
            state = state + np.asarray(number, np.int64).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return state.view(np.int64)


def uniform(seeds: Ints, count: int) -> Floats:
    """Return numbers in [0, 1), `count` for each seed: (B, count)."""
    bits = mix(seeds[:, None], np.arange(count)).view(np.uint64) >> np.uint64(40)
    return bits.astype(np.float32) / np.float32(1 << 24)


def normal(start: Tensor, size: int) -> Tensor:
    """Return `size` standard normal numbers for each of the draws `start` in [0, 1): (..., size)."""
    bank = _bank(start.device)
    return bank.unfold(0, size, 1)[(start * (BANK - size)).long()]


def grain(like: Tensor, start: Tensor) -> Tensor:
    """Return standard normal numbers for each pixel of clips (n, L, S, S), from a draw (n,) per clip."""
    steps = torch.arange(like.shape[1], device=start.device) * FAR
    return normal(torch.frac(start[:, None] + steps), like.shape[2] * like.shape[3]).view(like.shape)


@cache
def _bank(device: torch.device) -> Tensor:
    """Draw the bank, once: drawing noise for every picture would cost more than all other changes."""
    bits = mix(np.arange(BANK)).view(np.uint64) >> np.uint64(12)
    even = torch.from_numpy((bits.astype(np.float64) + 0.5) / (1 << 52))
    return (torch.special.erfinv(2 * even - 1) * 2**0.5).float().to(device)


def sent(values: Array, device: torch.device) -> Tensor:
    """Return numbers as a tensor on a device."""
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(device)
