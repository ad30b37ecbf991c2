"""dlib's face net over single frames (King, 2017), which can start from weights that identify people.

Faithful: the 29 convolutions with their paddings and shortcuts, a half as wide as ResNet-34's (He et al.,
2016); with --start-from facenet its weights, learned from three million pictures of 7,485 people. Ding, Zhou
and Chellappa (FaceNet2ExpNet, 2017) and Knyazev et al. (2017) start networks of expressions so.

Chosen: the crop is fervid's, enlarged to twice its size, at which the eyes are almost as far apart as in the
net's own picture; greys of mean 118 and deviation 50 in each clip; the last layer, which makes 128 numbers of
an identity, is left out; all layers are trained. There is no normalisation, because dlib's is part of the
stored weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fervid import quantized
from fervid.faces import face_net
from fervid.faces.shape import CROP
from fervid.streams import stream
from fervid.streams.network import Network, init_small, middle_frame
from fervid.streams.still import DROPOUT, EVERY

GREY, DEVIATION = 118.0, 50.0  # of the picture of a clip at unit contrast
SIDE = 2 * CROP  # pixels: a crop that is enlarged to it has the eyes almost as far apart as dlib's pictures


class WholeTrunk:
    """The net up to its last maps, in 8-bit integers, for crops of half its side."""

    def __init__(self, net: StillFaceNet, ranges: quantized.Ranges) -> None:
        self._stem = quantized.Layer(_unenlarged(net.stem), None, quantized.Steps(*ranges["stem"]))
        self._blocks = face_net.WholeBlocks(net.blocks, ranges)

    def __call__(self, crops: Tensor) -> Tensor:
        """Return the last maps for crops (N, 1, S, S)."""
        edged = nn.functional.pad(crops, (1, 0, 1, 0), mode="replicate")
        maps = self._stem(quantized.channels_last(self._stem.steps(edged)))
        return self._blocks(face_net.pooled(maps))


def _unenlarged(stem: nn.Conv2d) -> nn.Conv2d:
    """Return the convolution of crops that equals `stem` on crops enlarged to twice their size.

    Each pixel of the larger picture is a mean of two neighbours a direction, so seven of them are five pixels
    of the crop, from the one before the first on, in steps of one instead of two.
    """
    taps = stem.kernel_size[0]
    mixing = torch.zeros(taps, taps // 2 + 2)  # the share of each pixel of the crop in each of the larger
    for tap in range(taps):
        first, near = (tap // 2, 0.25) if tap % 2 == 0 else (tap // 2 + 1, 0.75)
        mixing[tap, first], mixing[tap, first + 1] = near, 1 - near
    crop_stem = nn.Conv2d(1, stem.out_channels, mixing.shape[1])
    crop_stem.weight.data = torch.einsum("wcij,ia,jb->wcab", stem.weight, mixing, mixing)
    assert stem.bias is not None and crop_stem.bias is not None
    crop_stem.bias.data = stem.bias.data
    return crop_stem


@stream("still_facenet")
class StillFaceNet(Network):
    """128x128 -> 7x7 convolution and pool -> 14 residual blocks -> mean over pixels."""

    reads = "faces"
    frames = 1
    parent = "facenet"
    optimizer, rate, decay = "adamw", 3e-4, 1e-2

    def __init__(
        self, classes: int, width: int = face_net.WIDTH, side: int = SIDE, blocks: int = len(face_net.BLOCKS)
    ) -> None:
        super().__init__()
        if not 1 <= blocks <= len(face_net.BLOCKS):
            raise ValueError(f"blocks must be 1 to {len(face_net.BLOCKS)}")
        if side < (least := face_net.least_side(blocks)):
            raise ValueError(f"side must be at least {least}: smaller pictures vanish in the last block")
        self.side = side
        self.stem, self.blocks = face_net.stem(width), face_net.blocks(width, blocks)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(width * face_net.BLOCKS[blocks - 1][0], classes)
        init_small(self)
        for block in self.blocks:  # a new block is almost its shortcut alone
            assert isinstance(block, face_net.Block)
            block.second.weight.data.mul_(0.1)

    def inflate(self, parent: Mapping[str, Tensor]) -> None:
        """Start from the weights of the face net, whose first layer reads colours."""
        weights, own = face_net.for_grey(parent, GREY, DEVIATION), self.state_dict()
        self.load_state_dict(own | {name: value for name, value in weights.items() if name in own})

    def features(self, clip: Tensor) -> Tensor:
        if clip.shape[1] > EVERY:
            clip = middle_frame(clip).flip(3)  # a mirrored one, as `still` reads others, most as they are
        return self.dropout(self.frame_features(clip).mean(1))

    def frame_features(self, clip: Tensor) -> Tensor:
        """Return the features of every frame: (B, L, S, S) -> (B, L, F)."""
        frames = clip.flatten(0, 1)[:, None]  # (B * L, 1, S, S)
        if self.trunk is not None and not torch.is_grad_enabled():
            maps = self.trunk(frames)
        else:
            maps = self._maps(frames)
        return maps.mean((2, 3)).view(*clip.shape[:2], -1)

    def _maps(self, frames: Tensor) -> Tensor:
        if frames.shape[-1] != self.side:
            size = (self.side, self.side)
            frames = nn.functional.interpolate(frames, size, mode="bilinear", align_corners=False)
        return self.blocks(face_net.pooled(self.stem(frames)))

    @classmethod
    def can_quantize(cls, **sizes: int) -> bool:
        return sizes.get("side", SIDE) == SIDE  # for others, crops would be enlarged by uneven steps

    def quantize(self, ranges: quantized.Ranges) -> None:
        self.trunk = WholeTrunk(self, ranges)
