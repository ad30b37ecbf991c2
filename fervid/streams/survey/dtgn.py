"""DTGN: the geometry net of DTAGN (Jung, Lee, Yim, Park and Kim, ICCV 2015).

Faithful: 49 inner landmarks of 12 frames as one vector of 1176; in each frame and along each axis, relative
to the nose and divided by the standard deviation of the 49 coordinates; layers of 100 and 600; 177.6 thousand
weights in the hidden layers.

Chosen: the sequence is the whole clip (--window clip) or 0.64 s, evenly sampled; dropout; the initialization
and the optimiser. The nose is the point between the nostrils. The noise that the paper adds to the landmarks
is part of fervid's augmentation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network, init_small, sample_frames

FRAMES = 12
# The inner points of iBUG-68 without the two inner corners of the mouth, which IntraFace does not have.
INNER = [point for point in range(17, 68) if point not in (60, 64)]
NOSE = 33
DROPOUT = 0.3


@stream("dtgn")
class DTGN(Network):
    """12 x 49 x 2 -> 100 -> 600."""

    reads = "points"
    optimizer, rate, decay = "adamw", 1e-3, 1e-2

    def __init__(self, classes: int, first: int = 100, second: int = 600) -> None:
        super().__init__()
        self.first = nn.Linear(FRAMES * len(INNER) * 2, first)
        self.second = nn.Linear(first, second)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(second, classes)
        init_small(self)

    def features(self, clip: Tensor) -> Tensor:
        points = sample_frames(clip, FRAMES)
        inner = points[:, :, INNER] - points[:, :, NOSE : NOSE + 1]  # (B, 12, 49, 2)
        spread = inner.std(2, correction=0, keepdim=True).clamp_min(1e-3)
        first = self.dropout(nn.functional.relu(self.first(torch.flatten(inner / spread, 1))))
        return self.dropout(nn.functional.relu(self.second(first)))
