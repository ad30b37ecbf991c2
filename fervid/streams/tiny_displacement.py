"""A tiny network over landmark trajectories, for the untrained model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network


@stream("tiny_displacement")
class TinyDisplacement(Network):
    """Mean displacement and mean velocity of every landmark, one hidden layer."""

    reads = "displacement"
    optimizer, rate, decay = "adamw", 2e-3, 1e-2

    def __init__(self, classes: int, width: int = 8) -> None:
        super().__init__()
        self.hidden = nn.Linear(68 * 2 * 2, width)
        self.top = nn.Linear(width, classes)

    def features(self, clip: Tensor) -> Tensor:
        velocity = clip.diff(dim=1).mean(1)  # (B, 68, 2)
        both = torch.cat([clip.mean(1), velocity], dim=1).flatten(1)  # (B, 272)
        return torch.tanh(self.hidden(both))  # (B, W)
