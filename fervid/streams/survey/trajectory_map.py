"""A network on a map of landmark trajectories (Yan et al., ICMI 2016).

Faithful: the landmarks of a sequence are laid out as one picture, points by frames, and a convolutional
network reads it as it would read a photograph.

Chosen: we had only the survey's account of it, so all sizes are ours. x and y are two channels; the points
are in the order of iBUG-68, in which neighbours on the face are mostly neighbours in the picture; in each
frame and along each axis they are relative to the nose and divided by the standard deviation, as in DTGN;
16 frames, of the whole clip (--window clip) or of 0.64 s, where the survey names 30.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network

NOSE = 33
DROPOUT = 0.3


def mapped(points: Tensor) -> Tensor:
    """Return the map of landmarks (B, L, 68, 2): (B, 2, 68, L)."""
    away = points - points[:, :, NOSE : NOSE + 1]
    spread = away.std(2, correction=0, keepdim=True).clamp_min(1e-3)
    return (away / spread).permute(0, 3, 2, 1)


@stream("trajectory_map")
class TrajectoryMap(Network):
    """2x68xL -> three 3x3 convolutions with pools -> means over 4 groups of points and 2 of frames."""

    reads = "points"
    optimizer, rate, decay = "adamw", 1e-3, 1e-2

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 2
        for after in (width, 2 * width, 4 * width):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            before = after
        self.maps = nn.Sequential(*layers)
        self.parts = nn.AdaptiveAvgPool2d((4, 2))  # of points, in their order, and halves of the time
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(8 * before, classes)

    def features(self, clip: Tensor) -> Tensor:
        return self.dropout(torch.flatten(self.parts(self.maps(mapped(clip))), 1))
