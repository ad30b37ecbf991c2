"""Mean, variance, minimum and maximum of frames' features, and a linear machine (Bargal et al., EmotiW 2016).

Faithful: the four statistics of the frame net's last features over the frames, joined; signed square root;
unit length; a linear support vector machine.

Chosen: one frame net, `still`, where the paper joins several; the machine as in `aggregate`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.still import STAGES
from fervid.streams.survey.aggregate import Aggregate

FLAT = 1e-4  # below this the signed square root is a straight line: its slope at zero would be infinite


def moments(features: Tensor) -> Tensor:
    """Return frames' features (B, L, F) as vectors (B, 4 F) of unit length."""
    parts = (features.mean(1), features.var(1, correction=0), features.amin(1), features.amax(1))
    joined = torch.cat(parts, 1)
    return nn.functional.normalize(joined / (joined.abs() + FLAT).sqrt(), dim=1)


@stream("aggregate_moments")
class AggregateMoments(Aggregate):
    """`still` of 8 frames -> 4 x F -> linear."""

    def __init__(self, classes: int, width: int = 32, blocks: int = 2, looks: int = 8) -> None:
        super().__init__(classes, width, blocks, looks, 4 * (width << (STAGES - 1)))

    def gather(self, features: Tensor) -> Tensor:
        return moments(features)
