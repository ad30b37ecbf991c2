"""dlib's face net over single frames (King, 2017), which can start from weights that identify people.

Faithful: the 29 convolutions with their paddings and shortcuts, a half as wide as ResNet-34's (He et al.,
2016); with --start-from facenet its weights, learned from three million pictures of 7,485 people. Ding, Zhou
and Chellappa (FaceNet2ExpNet, 2017) and Knyazev et al. (2017) start networks of expressions so.

Chosen: the crop is fervid's, with the eyes as far apart as in the net's own picture; greys of mean 118 and
deviation 50 in each clip; the last layer, which makes 128 numbers of an identity, is left out; all layers are
trained. There is no normalisation, because dlib's is part of the stored weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network, init_small
from fervid.streams.still import DROPOUT, sampled

COLOUR = (122.782, 117.001, 104.298)  # what dlib subtracts from red, green and blue
GREY, DEVIATION = 118.0, 50.0  # of the picture of a clip at unit contrast
RANGE = 256.0  # by which dlib divides
# Of each residual block, the width in units of the first, and whether it halves the picture.
BLOCKS = (
    *((1, False),) * 3,
    *((2, True), *((2, False),) * 3),
    *((4, True), *((4, False),) * 2),
    *((8, True), *((8, False),) * 2),
    (8, True),
)
LEAST = 103  # pixels: smaller pictures vanish in the last block


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut, which is filled with zeros where sizes differ."""

    def __init__(self, before: int, after: int, is_halved: bool) -> None:
        super().__init__()
        stride, padding = (2, 0) if is_halved else (1, 1)
        self.first = nn.Conv2d(before, after, 3, stride, padding)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        self.is_halved = is_halved

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.second(nn.functional.relu(self.first(maps)))
        if self.is_halved:
            maps = nn.functional.avg_pool2d(maps, 2, 2)
        size = [max(a, b) for a, b in zip(maps.shape[1:], inner.shape[1:], strict=True)]
        return nn.functional.relu(_filled(maps, size) + _filled(inner, size))


def _filled(maps: Tensor, size: list[int]) -> Tensor:
    missing = [want - have for want, have in zip(size, maps.shape[1:], strict=True)]
    return nn.functional.pad(maps, (0, missing[2], 0, missing[1], 0, missing[0]))


@stream("still_facenet")
class StillFaceNet(Network):
    """136x136 -> 7x7 convolution and pool -> 14 residual blocks -> mean over pixels and frames."""

    reads = "faces"
    frames = 1
    parent = "facenet"
    optimizer, rate, decay = "adamw", 3e-4, 1e-2

    def __init__(self, classes: int, width: int = 32, side: int = 136) -> None:
        super().__init__()
        if side < LEAST:
            raise ValueError(f"side must be at least {LEAST}")
        self.side = side
        self.stem = nn.Conv2d(1, width, 7, 2)
        blocks, before = [], width
        for times, is_halved in BLOCKS:
            blocks.append(Block(before, times * width, is_halved))
            before = times * width
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(before, classes)
        init_small(self)
        for block in blocks:  # a new block is almost its shortcut alone
            block.second.weight.data.mul_(0.1)

    def inflate(self, parent: Mapping[str, Tensor]) -> None:
        """Start from the weights of the face net, whose first layer reads colours."""
        kernel, bias = parent["first.weight"], parent["first.bias"]  # (W, 3, K, K), (W,)
        offset = (GREY - torch.tensor(COLOUR)) / RANGE
        weights = {
            "stem.weight": kernel.sum(1, keepdim=True) * DEVIATION / RANGE,
            "stem.bias": bias + (kernel.sum((2, 3)) * offset).sum(1),
        }
        weights |= {f"blocks.{name}": value for name, value in parent.items() if name[0].isdigit()}
        self.load_state_dict(self.state_dict() | weights)

    def features(self, clip: Tensor) -> Tensor:
        return self.dropout(self.frame_features(sampled(clip)).mean(1))

    def frame_features(self, clip: Tensor) -> Tensor:
        """Return the features of every frame: (B, L, S, S) -> (B, L, F)."""
        frames = clip.flatten(0, 1)[:, None]  # (B * L, 1, S, S)
        if frames.shape[-1] != self.side:
            size = (self.side, self.side)
            frames = nn.functional.interpolate(frames, size, mode="bilinear", align_corners=False)
        maps = nn.functional.max_pool2d(nn.functional.relu(self.stem(frames)), 3, 2)
        return self.blocks(maps).mean((2, 3)).unflatten(0, clip.shape[:2])
