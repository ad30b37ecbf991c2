"""From logits to scores that sum to 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fervid.types import Array


def softmax(logits: Array, temperature: Array | float = 1.0) -> npt.NDArray[np.float64]:
    """Return the scores of logits (..., C); logits that are not numbers give scores that are none, either."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = logits.astype(np.float64) / temperature
        powers = np.exp(values - values.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float64)
