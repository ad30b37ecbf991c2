"""A 3-D Inception-ResNet with landmarks on its shortcuts, and an LSTM (Hasani and Mahoor, CVPR workshops
2017).

Faithful: ten frames; a 3-D stem, one pass each through Inception-ResNet A, reduction A, B, reduction B and
C; the shortcut of each block is its input times a map of weights, which falls from one at each of 66
landmarks by a tenth for each step of Manhattan distance, within 7x7 cells of the block's own grid; the mean
over the grid goes through dropout into an LSTM of 200, and its last state is classified.

Chosen: 64 pixels in one channel instead of 299 in three, so that the grids are 16, 8 and 4 wide; 0.7 million
weights, for CPUs; outside of the 7x7 a weight is zero, and of several landmarks the greatest weight
counts; the ends of the inner lips are the two landmarks of 68 that are left out; the reductions halve height
and width and keep time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network, sample_frames, split

FRAMES = 10
SIDE = 64.0  # pixels of the crop that landmarks refer to
POINTS = [point for point in range(68) if point not in (60, 64)]
REACH = 3  # steps around a landmark in which it counts
FALL = 0.1  # of its weight, each step
DROPOUT = 0.4


def weighted(points: Tensor, side: int) -> Tensor:
    """Weigh a grid's cells by the landmarks near them: (B, L, 68, 2) -> (B, 1, L, side, side)."""
    cells = (points[:, :, POINTS] * (side / SIDE)).floor().clamp(0, side - 1)  # (B, L, 66, 2)
    grid = torch.arange(side, device=points.device)
    right = (cells[..., :1] - grid).abs()[..., None, :]  # (B, L, 66, 1, side)
    down = (cells[..., 1:] - grid).abs()[..., None]  # (B, L, 66, side, 1)
    near = (right <= REACH) & (down <= REACH)
    weights = torch.where(near, 1 - FALL * (right + down), 0.0)
    return weights.amax(2)[:, None]


def convolved(before: int, after: int, kernel: tuple[int, int, int], halves: bool = False) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    stride = (1, 2, 2) if halves else (1, 1, 1)
    return nn.Sequential(
        nn.Conv3d(before, after, kernel, stride, padding, bias=False), nn.BatchNorm3d(after), nn.ReLU()
    )


POINT, CUBE = (1, 1, 1), (3, 3, 3)


class Block(nn.Module):
    """Parallel branches, mixed to the width of the input, added to the weighted shortcut."""

    def __init__(self, width: int, ways: list[nn.Sequential], after: int) -> None:
        super().__init__()
        self.ways = nn.ModuleList(ways)
        self.mixed = nn.Conv3d(after, width, 1, bias=False)
        self.norm = nn.BatchNorm3d(width)

    def forward(self, maps: Tensor, weights: Tensor) -> Tensor:
        inner = self.norm(self.mixed(torch.cat([way(maps) for way in self.ways], 1)))
        return nn.functional.relu(maps * weights + inner)


class Reduction(nn.Module):
    """A block that halves height and width: a pool and two branches of convolutions."""

    def __init__(self, before: int, inner: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.short = convolved(before, inner, CUBE, halves=True)
        self.long = nn.Sequential(
            convolved(before, inner, POINT),
            convolved(inner, inner, CUBE),
            convolved(inner, inner, CUBE, halves=True),
        )
        self.after = before + 2 * inner

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([self.pool(maps), self.short(maps), self.long(maps)], 1)


@stream("inception3d")
class Inception3D(Network):
    """10@64x64 -> stem 16x16 -> A -> 8x8 -> B -> 4x4 -> C -> mean over pixels -> LSTM."""

    reads = "faces+points"
    optimizer, rate, decay = "adamw", 1e-3, 1e-2

    def __init__(self, classes: int, width: int = 32, hidden: int = 200) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(
            convolved(1, w, CUBE, halves=True),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            convolved(w, 2 * w, CUBE),
        )
        a = 2 * w
        self.a = Block(
            a,
            [
                convolved(a, w, POINT),
                nn.Sequential(convolved(a, w, POINT), convolved(w, w, CUBE)),
                nn.Sequential(convolved(a, w, POINT), convolved(w, w, CUBE), convolved(w, w, CUBE)),
            ],
            3 * w,
        )
        self.smaller_a = Reduction(a, w)
        b = self.smaller_a.after
        row, column = (1, 1, 7), (1, 7, 1)
        self.b = Block(
            b,
            [
                convolved(b, w, POINT),
                nn.Sequential(convolved(b, w, POINT), convolved(w, w, row), convolved(w, w, column)),
            ],
            2 * w,
        )
        self.smaller_b = Reduction(b, w)
        c = self.smaller_b.after
        row, column = (1, 1, 3), (1, 3, 1)
        self.c = Block(
            c,
            [
                convolved(c, w, POINT),
                nn.Sequential(convolved(c, w, POINT), convolved(w, w, row), convolved(w, w, column)),
            ],
            2 * w,
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.recurrent = nn.LSTM(c, hidden, batch_first=True)
        self.top = nn.Linear(hidden, classes)

    def features(self, clip: Tensor) -> Tensor:
        faces, points = split(sample_frames(clip, FRAMES))
        maps = self.stem(faces[:, None])
        maps = self.smaller_a(self.a(maps, weighted(points, maps.shape[-1])))
        maps = self.smaller_b(self.b(maps, weighted(points, maps.shape[-1])))
        maps = self.c(maps, weighted(points, maps.shape[-1]))
        pooled = maps.mean((3, 4)).transpose(1, 2)  # (B, L, F)
        states, _ = self.recurrent(self.dropout(pooled))
        return self.dropout(states[:, -1])
