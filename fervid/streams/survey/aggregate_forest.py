"""Moments of frames' features, and a neural decision forest (Kontschieder et al., ICCV 2015).

Faithful: trees with inner nodes that send a share of a sample left and the rest right, each share the sigmoid
of a linear function of the features; leaves that store a distribution over the classes; the forest is the
mean of its trees. Frame net and trees are trained together, by gradients.

Chosen: on the moments of `aggregate_moments`; 10 trees of depth 5; leaves are trained by gradients as well,
as a softmax, where the paper alternates with an update in closed form; the top reads the logarithm of the
forest's probabilities, begins as the identity and calibrates them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import sample_frames
from fervid.streams.still import OverFrames
from fervid.streams.survey.aggregate_moments import moments

LEAST = 1e-6  # smallest probability that a logarithm is taken of


class Forest(nn.Module):
    """Features (B, F) -> log of the trees' mean probabilities (B, C)."""

    def __init__(self, features: int, classes: int, trees: int, depth: int) -> None:
        super().__init__()
        self.trees, self.depth = trees, depth
        self.nodes = nn.Linear(features, trees * (2**depth - 1))
        self.leaves = nn.Parameter(torch.randn(trees, 2**depth, classes))

    def forward(self, features: Tensor) -> Tensor:
        reached = self.reached(features)
        probabilities = torch.einsum("btl,tlc->bc", reached, self.leaves.softmax(2)) / self.trees
        return probabilities.clamp_min(LEAST).log()

    def reached(self, features: Tensor) -> Tensor:
        """Return the share of a sample that comes to each leaf: (B, trees, leaves)."""
        left = self.nodes(features).sigmoid().unflatten(1, (self.trees, -1))
        shares = left.new_ones(*left.shape[:2], 1)
        for level in range(self.depth):
            here = left[:, :, 2**level - 1 : 2 ** (level + 1) - 1]
            shares = torch.stack([shares * here, shares * (1 - here)], 3).flatten(2)
        return shares


@stream("aggregate_forest")
class AggregateForest(OverFrames):
    """`still` of 8 frames -> 4 x F -> 10 trees."""

    optimizer, rate, decay = "adamw", 1e-3, 1e-2

    def __init__(
        self, classes: int, width: int = 32, blocks: int = 2, looks: int = 8, trees: int = 10, depth: int = 5
    ) -> None:
        super().__init__(classes, width, blocks)
        self.looks = looks
        self.forest = Forest(4 * self.top.in_features, classes, trees, depth)
        self.top = nn.Linear(classes, classes)
        nn.init.eye_(self.top.weight)
        nn.init.zeros_(self.top.bias)

    def features(self, clip: Tensor) -> Tensor:
        features = self.frame_features(sample_frames(clip, self.looks))
        with torch.autocast(features.device.type, enabled=False):
            joined = moments(features.float())
            logs = self.forest(self.dropout(nn.functional.layer_norm(joined, joined.shape[1:])))
            return logs - logs.mean(1, keepdim=True)
