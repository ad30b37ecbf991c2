"""One answer for a clip from those of its windows.

A labelled clip often begins and ends with a face at rest, and those windows are not what the label is about.
So windows that show an expression count more, and where none does, all count nearly the same. A low power of
the score keeps a few windows from speaking for a whole clip: people who talk look surprised for moments. But
where a face moves one way, an expression appears, and the power may be higher.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fervid.labels import NEUTRAL
from fervid.model.softmax import softmax
from fervid.types import Floats, Ints

POWER = 0.2  # of the score that a window gives to expressions
ONE_WAY = 1.0  # more, times the fourth power of the straightness
LEAST = 1e-6  # that score, so that some window always counts


def pooled(
    logits: Floats,
    straightness: Floats,
    owners: Ints,
    count: int,
    labels: Sequence[str],
    temperature: float = 1.0,
) -> Floats:
    """Return the logits of `count` clips, (count, C), from those of windows (M, C) and the clip of each (M,).

    `straightness` (M,) is that of each window's movement. A clip without a window has nan.
    """
    weights = _weights(logits, straightness, labels, temperature)
    total, sums = np.zeros((count, logits.shape[1])), np.zeros(count)
    np.add.at(total, owners, weights[:, None] * logits)
    np.add.at(sums, owners, weights)
    with np.errstate(invalid="ignore"):  # logits that are not numbers are found later
        return (total / np.where(sums > 0, sums, np.nan)[:, None]).astype(np.float32)


def _weights(logits: Floats, straightness: Floats, labels: Sequence[str], temperature: float) -> Floats:
    """Return how much each window counts, (M,); all the same if neutral is not among the labels."""
    if NEUTRAL not in labels:
        return np.ones(len(logits), np.float32)
    scores = softmax(logits, temperature)
    expressions = np.delete(scores, labels.index(NEUTRAL), axis=1).sum(axis=1)
    powers = POWER + ONE_WAY * straightness**4
    return np.asarray(np.maximum(expressions, LEAST) ** powers, np.float32)
