"""Agreement of a model's valence and arousal with annotated ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fervid.labels import VALENCE_AROUSAL
from fervid.metrics.counts import Doubles
from fervid.metrics.predictions import Predictions, probabilities

DIMENSIONS = ("valence", "arousal")
LEAST = 2  # samples


def affect(predictions: Predictions, annotated: Mapping[str, tuple[float, float]]) -> dict[str, Any] | None:
    """Return figures of valence and of arousal, for the annotated samples (name -> both) with a face.

    The model's values are the mean of the labels' coordinates, weighted by its scores, as in timelines. None:
    too few samples.
    """
    rows = [
        row for row, name in enumerate(predictions.names) if name in annotated and predictions.has_face[row]
    ]
    if len(rows) < LEAST:
        return None
    coordinates = np.array([VALENCE_AROUSAL[label] for label in predictions.labels])  # (C, 2)
    guesses = probabilities(predictions)[rows] @ coordinates
    truth = np.array([annotated[predictions.names[row]] for row in rows])
    figures = {
        name: {"ccc": concordance(guess, true), "rmse": float(np.sqrt(np.square(guess - true).mean()))}
        for name, guess, true in zip(DIMENSIONS, guesses.T, truth.T, strict=True)
    }
    return {"n": len(rows), **figures}


def concordance(first: Doubles, second: Doubles) -> float | None:
    """Return Lin's concordance correlation coefficient; None if both are the same constant."""
    spread = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    shared = ((first - first.mean()) * (second - second.mean())).mean()
    return float(2 * shared / spread) if spread > 0 else None
