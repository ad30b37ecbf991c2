"""Segments of viewers who react alike: clusters of curves, after the audience's common part is removed.

What all viewers have in common, each as strongly as they show it, is taken away first. Otherwise those who
react most would form a segment. A clustering counts if viewers who are shifted in time, who share nothing,
rarely form one that is as clear.
"""

from __future__ import annotations

import numpy as np

from fervid.audience.agreement import unit
from fervid.types import Array

MOST = 6  # segments
LEAST_SHARE = 0.05  # of the viewers in a segment; smaller ones belong to none
LEAST_VIEWERS = 2
SHIFTS = 99  # of the test
CHANCE = 0.05  # the most chance of a clustering
CLEAR = 0.05  # its least width


def residual(values: Array) -> Array:
    """Return each row (V, T) minus its least-squares fit by the mean of the other rows."""
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    others = known.sum(0) - known
    both = known & (others > 0)
    rest = np.where(both, (filled.sum(0) - filled) / np.maximum(others, 1), np.nan)
    own = np.where(both, values, np.nan)
    slope = (centred_rows(own) * centred_rows(rest)).sum(1) / np.maximum(
        np.square(centred_rows(rest)).sum(1), 1e-12
    )
    result: Array = own - slope[:, None] * rest
    return result


def centred_rows(values: Array) -> Array:
    """Return each row (V, T) centred, and 0 where it is missing."""
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    mean = filled.sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    centred: Array = np.where(known, filled - mean, 0.0)
    return centred


def similarity(units: Array) -> Array:
    """Return the correlation (V, V) of viewers, the mean over curves (K, V, T) of length 1 that vary."""
    is_active = (units != 0).any(2)  # (K, V)
    total = (units @ units.transpose(0, 2, 1)).sum(0)
    weight = np.einsum("kv,kw->vw", is_active.astype(float), is_active.astype(float))
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)


def segments(values: Array, generator: np.random.Generator) -> list[int | None]:
    """Return the segment of each viewer (V, T, K), from 1 by size; None for those outside of all segments."""
    viewers, length, curves = values.shape
    if viewers < 2 * LEAST_VIEWERS:
        return [1] * viewers
    units = np.stack([unit(residual(values[:, :, curve])) for curve in range(curves)])
    width, chosen = best(similarity(units))
    if width >= CLEAR:
        twice, reached = np.concatenate([units, units], axis=2), 0
        for _ in range(SHIFTS):
            shifts: Array = np.asarray(generator.integers(length, size=viewers))
            parts = [twice[:, row, shift : shift + length] for row, shift in enumerate(shifts.tolist())]
            reached += best(similarity(np.stack(parts, axis=1)))[0] >= width
        if (1 + reached) / (1 + SHIFTS) > CHANCE:
            chosen = []
    chosen = chosen if width >= CLEAR and chosen else [set(range(viewers))]
    result: list[int | None] = [None] * viewers
    for number, cluster in enumerate(sorted(chosen, key=lambda cluster: (-len(cluster), min(cluster))), 1):
        for viewer in cluster:
            result[viewer] = number
    return result


def best(close: Array) -> tuple[float, list[set[int]]]:
    """Return the clearest clustering of viewers by their correlation (V, V), and its width."""
    distance = 1 - close
    np.fill_diagonal(distance, 0.0)
    viewers, width, chosen = len(distance), 0.0, list[set[int]]()
    for clusters in levels(distance, MOST + viewers // 4):
        large = [cluster for cluster in clusters if len(cluster) >= max(LEAST_VIEWERS, LEAST_SHARE * viewers)]
        inside = sum(map(len, large))
        if 2 <= len(large) <= MOST and inside >= viewers / 2:
            own = silhouette(distance, large) * inside / viewers
            if own > width:
                width, chosen = own, large
    return width, chosen


def levels(distance: Array, most: int) -> list[list[set[int]]]:
    """Return the clusters of average linkage, from `most` clusters down to two."""
    clusters = [{index} for index in range(len(distance))]
    between, size = distance.copy(), np.ones(len(distance))
    np.fill_diagonal(between, np.inf)
    groups: list[list[set[int]]] = []
    while len(clusters) > 2:
        first, second = sorted(int(index) for index in np.unravel_index(between.argmin(), between.shape))
        merged = between[first] * size[first] + between[second] * size[second]
        between[first] = between[:, first] = merged / (size[first] + size[second])
        between[first, first] = np.inf
        between = np.delete(np.delete(between, second, 0), second, 1)
        size[first] += size[second]
        size = np.delete(size, second)
        clusters[first] |= clusters.pop(second)
        if len(clusters) <= most:
            groups.append([set(cluster) for cluster in clusters])
    return groups


def silhouette(distance: Array, clusters: list[set[int]]) -> float:
    """Return the mean silhouette width (Rousseeuw 1987) of the clustered viewers."""
    rows = np.concatenate([sorted(cluster) for cluster in clusters])
    own = np.repeat(np.arange(len(clusters)), [len(cluster) for cluster in clusters])
    members = (own[:, None] == np.arange(len(clusters))).astype(float)  # (V, G)
    totals = distance[np.ix_(rows, rows)] @ members
    sizes = members.sum(0)
    index = np.arange(len(rows))
    inside = totals[index, own] / (sizes[own] - 1)
    means = totals / sizes
    means[index, own] = np.inf
    outside = means.min(1)
    return float(np.mean((outside - inside) / np.maximum(np.maximum(inside, outside), 1e-9)))
