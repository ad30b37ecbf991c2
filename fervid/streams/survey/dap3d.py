"""3DCNN-DAP: a 3-D net with deformable parts of the face (Liu, Li, Shan, Wang and Chen, ACCV 2014).

Faithful: 64 kernels of 9x9x3, a pool of 2x2x1, a second layer of 9x9x3 in which each map detects one part
of one class (13 parts, k maps for each part and class); on each map of 10x10 the deformation of the part
model, learnt weights of dx, dy, dx^2 and dy^2; then one layer that is connected within each part, and one
that is fully connected.

Chosen: n is six frames of the window; k is one; the positions of the 13 parts (the paper sets them by hand,
on another crop of the face); each part's score is taken at its best position, as in the part models that it
cites, and averaged over time: with the plain sum over the map the deformation would be a constant. The
initialization and the optimiser.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network, init_small, sample_frames

FRAMES = 6
SIDE = 10  # of the maps on which parts are detected
PARTS = {  # where they usually are, in pixels of the crop
    "right brow": (19, 12),
    "left brow": (45, 12),
    "between the brows": (32, 13),
    "right eye": (19, 19),
    "left eye": (45, 19),
    "nose": (32, 32),
    "right cheek": (16, 35),
    "left cheek": (48, 35),
    "right corner of the mouth": (23, 45),
    "left corner of the mouth": (41, 45),
    "upper lip": (32, 42),
    "lower lip": (32, 49),
    "chin": (32, 58),
}
FIRST, STEP = 13.5, 4.0  # pixel of the crop that a map's first cell is centred on; pixels from cell to cell
DROPOUT = 0.3


def deformation() -> Tensor:
    """Return each cell's dx and dy from each part's position, and their squares: (13, 4, 100)."""
    cells = torch.arange(SIDE, dtype=torch.float32)
    rows = []
    for x, y in PARTS.values():
        right = ((cells - (x - FIRST) / STEP) / SIDE).expand(SIDE, SIDE)
        down = ((cells - (y - FIRST) / STEP) / SIDE)[:, None].expand(SIDE, SIDE)
        rows.append(torch.stack([right, down, right.square(), down.square()]).flatten(1))
    return torch.stack(rows)


@stream("dap3d")
class DAP3D(Network):
    """6@64x64 -> 64 x 4@28x28 -> 13ck x 2@10x10 -> best position of each part -> 13 x c."""

    reads = "faces"
    optimizer, rate, decay = "adamw", 5e-4, 1e-2
    offsets: Tensor

    def __init__(self, classes: int, width: int = 64, maps: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, width, (3, 9, 9))
        self.pool = nn.MaxPool3d((1, 2, 2))
        self.second = nn.Conv3d(width, len(PARTS) * classes * maps, (3, 9, 9))
        self.register_buffer("offsets", deformation(), persistent=False)
        # Of dx, dy, dx^2, dy^2: at first a part scores best at its own position, and less with distance.
        start = torch.tensor([0.0, 0.0, -1.0, -1.0])
        self.deformed = nn.Parameter(start.repeat(len(PARTS), classes * maps, 1))  # (13, C * k, 4)
        self.within = nn.Parameter(torch.empty(len(PARTS), classes * maps, classes))
        self.shift = nn.Parameter(torch.zeros(len(PARTS), classes))
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(len(PARTS) * classes, classes)
        init_small(self)
        nn.init.normal_(self.within, std=(2 / (classes * maps)) ** 0.5)
        nn.init.normal_(self.top.weight, std=len(PARTS) ** -0.5)

    def features(self, clip: Tensor) -> Tensor:
        maps = self.pool(nn.functional.relu(self.first(sample_frames(clip, FRAMES)[:, None])))
        scores = self.pool(self.second(maps)).unflatten(1, (len(PARTS), -1))  # (B, 13, C * k, 2, 10, 10)
        penalties = torch.einsum("pmd,pds->pms", self.deformed, self.offsets)
        best = (scores.flatten(4) + penalties[:, :, None]).amax(4).mean(3)  # (B, 13, C * k)
        parts = torch.einsum("bpm,pmc->bpc", nn.functional.relu(best), self.within) + self.shift
        return self.dropout(nn.functional.relu(parts).flatten(1))
