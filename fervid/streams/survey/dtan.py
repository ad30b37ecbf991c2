"""DTAN: the appearance net of DTAGN (Jung, Lee, Yim, Park and Kim, ICCV 2015).

Faithful: three grey frames of 64x64 pixels; filters that are not shared along time, with their responses
summed; two convolutions of 64 maps, two layers of 500; 5,768.7 thousand weights at seven labels, which with
DTGN's are the 5,950 thousand of the paper.

Chosen: the sequence is the whole clip (--window clip) or 0.64 s; its first, middle and last frame are read,
as the paper does not name the three; local response normalisation after each convolution, with its usual
constants; dropout of a half; the initialization and the optimiser. The augmentation is fervid's.
"""

from __future__ import annotations

from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network, init_small, sample_frames

FRAMES = 3
DROPOUT = 0.5


@stream("dtan")
class DTAN(Network):
    """3@64x64 -> 64@60x60 -> 64@30x30 -> 64@26x26 -> 64@13x13 -> 500 -> 500."""

    reads = "faces"
    optimizer, rate, decay = "adamw", 1e-3, 1e-2

    def __init__(self, classes: int, width: int = 64, hidden: int = 500) -> None:
        super().__init__()
        # A filter for each frame and the sum of their responses: a convolution of three channels.
        self.first = nn.Conv2d(FRAMES, width, 5)
        self.second = nn.Conv2d(width, width, 5)
        self.pool = nn.MaxPool2d(2)
        self.norm = nn.LocalResponseNorm(5)
        self.third = nn.Linear(width * 13 * 13, hidden)
        self.fourth = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(hidden, classes)
        init_small(self)

    def features(self, clip: Tensor) -> Tensor:
        maps = self.pool(self.norm(nn.functional.relu(self.first(sample_frames(clip, FRAMES)))))
        maps = self.pool(self.norm(nn.functional.relu(self.second(maps))))
        third = self.dropout(nn.functional.relu(self.third(maps.flatten(1))))
        return self.dropout(nn.functional.relu(self.fourth(third)))
