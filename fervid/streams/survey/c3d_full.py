"""C3D in the sizes of Tran et al. (2015): eight 3x3x3 convolutions, two layers of 4096.

About 78 million weights, made for a million videos: for comparison, and for those who have the data. The
crops are enlarged to the 112 pixels that its last layers expect, and read as one channel instead of three.
"""

from __future__ import annotations

from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network

DROPOUT = 0.5


def convolved(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv3d(before, after, 3, padding=1), nn.ReLU()]


@stream("c3d_full")
class C3DFull(Network):
    """Convolutions of 1, 2, 4, 4, 8, 8, 8, 8 times `width`, with a pool after the 1st, 2nd, 4th, 6th, 8th."""

    reads = "faces"
    rate = 3e-3  # without normalisation, training diverges at a higher rate

    def __init__(self, classes: int, width: int = 64, hidden: int = 4096, side: int = 112) -> None:
        super().__init__()
        w = width
        self.convolutions = nn.Sequential(
            *convolved(1, w),
            nn.MaxPool3d((1, 2, 2)),
            *convolved(w, 2 * w),
            nn.MaxPool3d(2),
            *convolved(2 * w, 4 * w),
            *convolved(4 * w, 4 * w),
            nn.MaxPool3d(2),
            *convolved(4 * w, 8 * w),
            *convolved(8 * w, 8 * w),
            nn.MaxPool3d(2),
            *convolved(8 * w, 8 * w),
            *convolved(8 * w, 8 * w),
            nn.MaxPool3d(2, padding=(0, 1, 1)),
        )
        self.side = side
        left = side // 16 // 2 + 1  # after four pools that halve, and one with a border
        self.sixth = nn.Linear(8 * w * left * left, hidden)
        self.seventh = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(hidden, classes)
        for module in self.modules():  # without normalisation, torch's default start fades over eight layers
            if isinstance(module, nn.Conv3d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.top.weight, std=0.01)

    def features(self, clip: Tensor) -> Tensor:
        size = (self.side, self.side)
        large = nn.functional.interpolate(
            clip, size, mode="bilinear", align_corners=False
        )  # (B, L, 112, 112)
        maps = self.convolutions(large[:, None]).flatten(1)  # (B, 8W * 1 * 4 * 4)
        sixth = self.dropout(nn.functional.relu(self.sixth(maps)))
        return self.dropout(nn.functional.relu(self.seventh(sixth)))
