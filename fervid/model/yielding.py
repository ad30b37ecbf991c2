"""What each stream adds to the joint sum: some yield to those that read single frames.

A frame that clearly shows an expression is right more often than the landmarks that contradict it. Where a
frame shows none, or an unclear one, the landmarks tell more. Streams over time know faces that talk, but take
an expression that appears quickly for talking. So they yield where a face moves one way: one that talks moves
to and fro.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fervid.labels import NEUTRAL
from fervid.model.softmax import softmax
from fervid.types import Array, Floats

if TYPE_CHECKING:
    from fervid.model.spec import Spec


def shares(spec: Spec, logits: Mapping[str, Floats], straightness: Floats) -> dict[str, Floats]:
    """Return what each stream adds to the sum, (N, C), from the logits of its joint top layer.

    `straightness` (N,) is how far the face gets in each window of how far it moves.
    """
    left = counted(spec, logits, straightness)
    return {name: values * left[name] if name in left else values for name, values in logits.items()}


def counted(spec: Spec, logits: Mapping[str, Floats], straightness: Floats) -> dict[str, Floats]:
    """Return what part of the logits counts of each stream that yields, (N, 1)."""
    left: dict[str, Array] = {}
    if spec.yielding:
        sure = _certainty(spec, logits)
        left = {name: 1 - share * sure for name, share in spec.yielding.items()}
    for name, share in spec.one_way.items():
        left[name] = left.get(name, 1.0) * (1 - share * straightness[:, None] ** 2)
    return {name: part.astype(np.float32) for name, part in left.items()}


def _certainty(spec: Spec, logits: Mapping[str, Floats]) -> Floats:
    """Return the score of the likeliest expression by the leading streams alone, (N, 1)."""
    scores = softmax(np.asarray(np.sum([logits[name] for name in spec.leading], axis=0, dtype=np.float64)))
    expressions = [column for column, label in enumerate(spec.labels) if label != NEUTRAL]
    return np.asarray(scores[:, expressions].max(axis=1, keepdims=True, initial=0))
