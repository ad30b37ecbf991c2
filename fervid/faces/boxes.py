"""Boxes of faces: their overlap, and one-to-one matching."""

from __future__ import annotations

from itertools import permutations
from math import perm

import numpy as np

from fervid.types import Floats

SAME = 0.3  # the least overlap (intersection over union) of two boxes of one face
FEW = 1000  # up to this number of assignments, all are tried


def overlap(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union of boxes: (M, 4), (N, 4) -> (M, N)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = np.prod(first[:, 2:], axis=-1)[:, None] + np.prod(second[:, 2:], axis=-1)[None]
    return (common / np.maximum(areas - common, 1e-9)).astype(np.float32)


def match(first: Floats, second: Floats) -> list[tuple[int, int]]:
    """Return the pairs of boxes with the greatest total overlap, each of at least SAME."""
    return match_by(overlap(first, second), SAME)


def match_by(similarity: Floats, least: float) -> list[tuple[int, int]]:
    """Return the one-to-one pairs with the greatest total similarity, without those below `least`."""
    if 0 in similarity.shape:
        return []
    useful = np.where(similarity >= least, similarity, 0)  # a bad pair must not displace a good one
    small, large = sorted(useful.shape)
    pairs = _few(useful) if perm(large, small) <= FEW else _many(useful)
    return [(a, b) for a, b in pairs if similarity[a, b] >= least]


def _few(useful: Floats) -> list[tuple[int, int]]:
    """Try every assignment: most runs then need no import of scipy.optimize, which takes 0.5 s and 35 MB."""
    if useful.shape[0] > useful.shape[1]:
        return sorted((a, b) for b, a in _few(useful.T))
    choices = permutations(range(useful.shape[1]), useful.shape[0])
    best = max(choices, key=lambda choice: sum(float(useful[a, b]) for a, b in enumerate(choice)))
    return list(enumerate(best))


def _many(useful: Floats) -> list[tuple[int, int]]:
    from scipy.optimize import linear_sum_assignment

    return [(int(a), int(b)) for a, b in zip(*linear_sum_assignment(-useful), strict=True)]
