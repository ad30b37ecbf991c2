"""The answer of a committee: networks that were trained alike from different seeds, and answer together.

The simple average and the majority are two of the rules that Kim, Roh, Dong and Lee (2016, Hierarchical
committee of deep convolutional neural networks) compare. Their members differ in architecture and input, and
their hierarchy weighs members by validation accuracy; members here differ only in the seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fervid.model.softmax import softmax
from fervid.types import Floats

if TYPE_CHECKING:
    from fervid.model.spec import Spec

VOTES = ("mean", "majority")
MARK = "#"  # between the name of a stream and the number of its member: "still#2"
LEAST = 1e-9  # probability, so that logarithms are finite


def member_answers(spec: Spec, logits: Mapping[str, Floats]) -> Floats:
    """Return the fused logits of each member of a committee, (M, N, C), from those of the streams, (N, C)."""
    members: dict[str, list[Floats]] = {}
    for stream in spec.streams:
        weight = 1.0 if spec.fusion == "joint" else stream.weight
        values = np.asarray(np.float32(weight) * logits[stream.name], np.float32)
        members.setdefault(stream.name.partition(MARK)[2], []).append(values)
    return np.stack([np.sum(values, axis=0, dtype=np.float32) for values in members.values()])


def vote(members: Floats, rule: str) -> Floats:
    """Return the logits (N, C) of a committee from those of its members (M, N, C).

    They are the logarithms of the members' mean probabilities, or of the shares of their votes; the mean
    counts as one more vote, so that it decides a tie.
    """
    shares = softmax(members)
    mean = shares.mean(0)
    if rule == "majority":
        votes = (np.arange(shares.shape[2]) == shares.argmax(2)[..., None]).sum(0)
        mean = (votes + mean) / (len(members) + 1)
    return np.asarray(np.log(mean + LEAST), np.float32)
