"""A tiny network over face crops in space and time, for the untrained model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network


@stream("tiny_faces")
class TinyFaces(Network):
    """Pooled crops, one 3-D convolution, a linear layer."""

    reads = "faces"

    def __init__(self, classes: int, width: int = 4) -> None:
        super().__init__()
        self.pool = nn.AvgPool3d((4, 8, 8))
        self.convolution = nn.Conv3d(1, width, 3, padding=1)
        self.top = nn.Linear(width * 16, classes)

    def features(self, clip: Tensor) -> Tensor:
        maps = torch.relu(self.convolution(self.pool(clip[:, None])))  # (B, W, 4, 8, 8)
        return nn.functional.avg_pool3d(maps, (1, 4, 4)).flatten(1)  # (B, W * 4 * 2 * 2)
