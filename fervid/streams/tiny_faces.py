"""The smallest network that still reads a clip of faces in space and time: for the untrained model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.streams import stream


@stream("tiny_faces")
class TinyFaces(nn.Module):
    """Pooled crops, one 3-D convolution, a linear layer."""

    reads = "faces"

    def __init__(self, classes: int, width: int = 4) -> None:
        super().__init__()
        self.pool = nn.AvgPool3d((4, 8, 8))
        self.convolution = nn.Conv3d(1, width, 3, padding=1)
        self.top = nn.Linear(width * 16, classes)

    def forward(self, faces: Tensor) -> Tensor:
        maps = torch.relu(self.convolution(self.pool(faces[:, None])))  # (B, W, 4, 8, 8)
        maps = nn.functional.avg_pool3d(maps, (1, 4, 4))  # (B, W, 4, 2, 2)
        return self.top(maps.flatten(1))  # (B, C)
