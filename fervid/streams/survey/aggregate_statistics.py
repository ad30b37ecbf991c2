"""Statistics of frames' probabilities, and a kernel machine (surveyed by Li and Deng, 2018).

Faithful: the decision-level aggregation that needs no fixed length: mean, maximum, mean of squares, and mean
after maximum suppression (of each frame only the likeliest class counts), joined to one vector, with a
support vector machine on it.

Chosen: a radial kernel, as for `aggregate_average`; the machine as in `aggregate`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fervid.streams import stream
from fervid.streams.survey.aggregate import Decisions


@stream("aggregate_statistics")
class AggregateStatistics(Decisions):
    """`still` of 8 frames -> 8 x C probabilities -> 4 x C -> radial kernel."""

    def __init__(
        self, classes: int, width: int = 32, blocks: int = 2, looks: int = 8, anchors: int = 512
    ) -> None:
        super().__init__(classes, width, blocks, looks, 4 * classes, anchors)

    def combine(self, shares: Tensor) -> Tensor:
        likeliest = shares.amax(2, keepdim=True)
        suppressed = torch.where(shares == likeliest, shares, 0.0)
        parts = (shares.mean(1), shares.amax(1), shares.square().mean(1), suppressed.mean(1))
        return torch.cat(parts, 1)
