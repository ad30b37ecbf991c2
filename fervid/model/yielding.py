"""What each stream adds to the joint sum: some yield where single frames are sure of an expression.

A frame that clearly shows an expression is right more often than the landmarks that contradict it. Where a
frame shows none, or an unclear one, the landmarks tell more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fervid.labels import NEUTRAL
from fervid.model.softmax import softmax
from fervid.types import Floats

if TYPE_CHECKING:
    from fervid.model.spec import Spec


def shares(spec: Spec, logits: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return what each stream adds to the sum, (N, C), from the logits of its joint top layer."""
    left = counted(spec, logits)
    return {name: values * left[name] if name in left else values for name, values in logits.items()}


def counted(spec: Spec, logits: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return what part of the logits counts of each stream that yields, (N, 1)."""
    if not spec.yielding:
        return {}
    sure = _certainty(spec, logits)
    return {name: (1 - share * sure).astype(np.float32) for name, share in spec.yielding.items()}


def _certainty(spec: Spec, logits: Mapping[str, Floats]) -> Floats:
    """Return the score of the likeliest expression by the leading streams alone, (N, 1)."""
    scores = softmax(np.asarray(np.sum([logits[name] for name in spec.leading], axis=0, dtype=np.float64)))
    expressions = [column for column, label in enumerate(spec.labels) if label != NEUTRAL]
    return np.asarray(scores[:, expressions].max(axis=1, keepdims=True, initial=0))
