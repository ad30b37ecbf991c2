"""Statistics of frames' probabilities, and a kernel machine (surveyed by Li and Deng, 2018).

Faithful: the decision-level aggregation that needs no fixed length: mean, maximum, mean of squares, and mean
after maximum suppression (of each frame only the likeliest class counts), joined to one vector, with a
support vector machine on it.

Chosen: a radial kernel, as for `aggregate_average`; the machine as `aggregate` has it.
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

    def gathered_of(self, said: Tensor) -> Tensor:
        likeliest = said.amax(2, keepdim=True)
        suppressed = torch.where(said == likeliest, said, 0.0)
        parts = (said.mean(1), said.amax(1), said.square().mean(1), suppressed.mean(1))
        return torch.cat(parts, 1)
