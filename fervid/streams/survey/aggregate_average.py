"""Frames' probabilities, averaged to a fixed length, and a kernel machine (Kahou et al., ICMI 2013).

Faithful: a window's frames are cut into groups of equal length, the frame net's mean probabilities of all
groups are joined to one vector, and a support vector machine with a radial kernel reads it. If there are
fewer frames than groups, frames are repeated evenly, which is the authors' expansion.

Chosen: 4 groups of 2 frames, where the paper has 10 (--size aggregate_average.groups=10 expands to them), of
a window of 0.64 s, where the paper has the whole clip (--window clip); the machine as in `aggregate`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fervid.streams import stream
from fervid.streams.survey.aggregate import Decisions


@stream("aggregate_average")
class AggregateAverage(Decisions):
    """`still` of 8 frames -> 8 x C probabilities -> 4 x C -> radial kernel."""

    def __init__(
        self,
        classes: int,
        width: int = 32,
        blocks: int = 2,
        looks: int = 8,
        groups: int = 4,
        anchors: int = 512,
    ) -> None:
        super().__init__(classes, width, blocks, looks, groups * classes, anchors)
        self.groups = groups

    def combine(self, shares: Tensor) -> Tensor:
        count = shares.shape[1]
        if count < self.groups:
            shares = shares[:, torch.arange(self.groups, device=shares.device) * count // self.groups]
        return torch.cat([part.mean(1) for part in shares.tensor_split(self.groups, 1)], 1)
