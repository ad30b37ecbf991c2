"""Calibration on a validation set after training: the temperature, and the weights of the streams."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fervid.errors import InputError
from fervid.metrics.counts import Doubles
from fervid.metrics.predictions import log_softmax
from fervid.types import Array, Ints

TEMPERATURES = (0.05, 20.0)  # the range of the search
HALVINGS = 30  # of that range in log T: to 1e-8
STEPS = {1: 1, 2: 100, 3: 20}  # of the grid of weights, by the number of streams
SHARES = np.linspace(0, 1, 21)  # of one stream against all others, for more than three streams
SWEEPS = 20  # most sweeps of that search; it usually ends after a few


def fit_temperature(logits: Array, truth: Array) -> float:
    """Return the temperature of greatest likelihood of logits (N, C); truth (N,) indices, or (N, C) shares.

    The likelihood has one peak in T: its slope gives the side, and the range is halved in log T.
    """
    if len(logits) == 0:
        raise InputError("no sample of the validation set shows a face: give data with faces for calibration")
    logits = logits.astype(np.float64)
    shares = truth if truth.ndim == 2 else np.eye(logits.shape[1])[truth]
    target = (shares * logits).sum()
    low, high = np.log(TEMPERATURES)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        mean = (
            shares.sum(axis=1, keepdims=True) * np.exp(log_softmax(logits / np.exp(middle))) * logits
        ).sum()
        low, high = (low, middle) if mean < target else (middle, high)
    return float(np.exp((low + high) / 2))


def fit_weights(streams: Mapping[str, Array], truth: Ints) -> dict[str, float]:
    """Return weights of raw logits (N, C) with the most right predictions, and of these the likeliest.

    Each stream is first divided by its own temperature, so that they are on one scale. Up to three streams
    are searched on a grid; with more, the share of one stream after the other, until nothing improves.
    """
    if not streams:
        raise ValueError("there is no stream to weigh")
    own = {name: fit_temperature(logits, truth) for name, logits in streams.items()}
    # (S, N, C)
    scaled = np.stack([logits.astype(np.float64) / own[name] for name, logits in streams.items()])

    def count(weights: Doubles) -> int:
        return int((np.tensordot(weights, scaled, 1).argmax(axis=1) == truth).sum())

    def likelihood(weights: Doubles) -> float:
        total = np.tensordot(weights, scaled, 1)
        scores = log_softmax(total / fit_temperature(total, truth))
        return float(scores[np.arange(len(truth)), truth].sum())

    def best(candidates: Sequence[Doubles]) -> Doubles:
        right = [count(weights) for weights in candidates]
        equal = [weights for weights, n in zip(candidates, right, strict=True) if n == max(right)]
        return max(equal, key=likelihood) if len(equal) > 1 else equal[0]

    chosen = best(_simplex(len(scaled))) if len(scaled) in STEPS else _search(len(scaled), best)
    return {name: float(weight / own[name]) for name, weight in zip(streams, chosen, strict=True)}


def _simplex(count: int) -> list[Doubles]:
    """Return every split of 1 among `count` in equal steps."""
    steps = STEPS[count]
    shares = itertools.product(range(steps + 1), repeat=count)
    return [np.array(share) / steps for share in shares if sum(share) == steps]


def _search(count: int, best: Callable[[Sequence[Doubles]], Doubles]) -> Doubles:
    """Search from equal weights, one stream's share at a time, until a sweep changes nothing."""
    weights: Doubles = np.full(count, 1 / count)
    for _ in range(SWEEPS):
        before = weights
        for alone in np.eye(count):
            rest = weights * (1 - alone)
            rest = rest / rest.sum() if rest.sum() else (1 - alone) / (count - 1)
            weights = best([weights, *(share * alone + (1 - share) * rest for share in SHARES)])
        if np.array_equal(weights, before):
            break
    return weights
