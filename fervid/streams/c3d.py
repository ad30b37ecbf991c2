"""A compact residual C3D with two channels: the pictures of a clip, and the motion in them.

The second channel is each frame minus the mean of the clip. It is zero for a face that does not move, so what
the net learns from it is motion alone, and not how the face looks at rest.

Kernels of four steps halve time without a preference for either end: with three, the first frame would count
more than the last.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fervid import quantized
from fervid.streams import stream
from fervid.streams.network import Network, weigh_by_motion

STAGES = 4
DROPOUT = 0.4
MOTION = 4.0  # expressions change a pixel by about a quarter of the picture's contrast


def padded(maps: Tensor, depth: int) -> Tensor:
    """Return maps that begin a step earlier and end a step later, if a kernel of this depth reads several.

    The first and the last step are repeated: on a face that does not move, every step stays the same.
    """
    return torch.cat([maps[:, :, :1], maps, maps[:, :, -1:]], dim=2) if depth > 2 else maps


def convolved(layer: nn.Conv3d, maps: Tensor) -> Tensor:
    """Apply a layer to padded maps."""
    return layer(padded(maps, layer.kernel_size[0]))


class Block(nn.Module):
    """Two convolutions with a shortcut, over `first` and then `time` steps, and 3x3 pixels."""

    def __init__(self, before: int, after: int, stride: int, time: int, first: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(before, after, (first, 3, 3), stride, (0, 1, 1), bias=False)
        self.first_norm = nn.BatchNorm3d(after)
        self.second = nn.Conv3d(after, after, (time, 3, 3), 1, (0, 1, 1), bias=False)
        self.second_norm = nn.BatchNorm3d(after)
        self.shortcut: nn.Module = nn.Identity()
        if before != after or stride != 1:
            self.shortcut = nn.Sequential(
                nn.AvgPool3d(stride, stride), nn.Conv3d(before, after, 1, bias=False), nn.BatchNorm3d(after)
            )
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, maps: Tensor) -> Tensor:
        inner = nn.functional.relu(self.first_norm(convolved(self.first, maps)))
        return nn.functional.relu(self.second_norm(convolved(self.second, inner)) + self.shortcut(maps))


@stream("c3d")
class C3D(Network):
    """16x64x64 -> stem 8x32x32 -> four residual stages, down to 1x4x4 -> mean.

    Kernels of the stem and of the two stages in the middle cover three steps of time or more. Those of the
    first stage cover one: three would triple its cost, and the stages after it detect motion just as well
    (Xie, Sun, Huang, Tu and Murphy, 2018). In the last stage a single step is left.
    """

    reads = "faces"
    any_side = True
    parent = "still"

    def __init__(self, classes: int, width: int = 32, blocks: int = 2, motion: int = 0) -> None:
        """Build the net. Features of a face that moves by `motion` count half, and none if it does not move.

        `motion` is the root mean square over a window, in thousandths of a picture's contrast. A single
        picture is left to the frame network beside it.
        """
        super().__init__()
        self.motion = motion / 1000
        self.stem = nn.Conv3d(2, width, (4, 5, 5), 2, (0, 2, 2), bias=False)
        self.stem_norm = nn.BatchNorm3d(width)
        stages: list[nn.Module] = []
        before = width
        for stage in range(STAGES):
            after = width << stage
            for block in range(blocks):
                is_last = stage == STAGES - 1
                time = 3 if stage and not is_last else 1
                is_halved = bool(stage) and not block
                halving = 2 if is_last else 4  # of the last two steps, four would read mostly padding
                stages.append(
                    Block(before, after, 2 if is_halved else 1, time, halving if is_halved else time)
                )
                before = after
        self.blocks = nn.Sequential(*stages)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(before, classes)

    def features(self, clip: Tensor) -> Tensor:
        motion = clip - clip.mean(1, keepdim=True)
        maps = torch.stack([clip, MOTION * motion], dim=1)  # (B, 2, L, S, S)
        if self.trunk is not None and not torch.is_grad_enabled():
            maps = self.trunk(maps)
        else:
            maps = self.blocks(nn.functional.relu(self.stem_norm(convolved(self.stem, maps))))
        features = self.dropout(maps.mean((2, 3, 4)))
        return weigh_by_motion(features, motion.float().square().mean((1, 2, 3)), self.motion)

    @classmethod
    def can_quantize(cls, **sizes: int) -> bool:
        return True

    def quantize(self, ranges: quantized.Ranges) -> None:
        self.trunk = quantized.Trunk(self, ranges, padded)

    def inflate(self, parent: Mapping[str, Tensor]) -> None:
        """Start from the weights of a `still` of the same width and blocks, spread evenly over time.

        On a face that does not move both nets return the same; the weights for what moves stay random.
        """
        own = self.state_dict()
        for name, value in parent.items():
            if own[name].dim() == value.dim() + 1:
                kernel = own[name]
                spread = value[:, :, None].expand(-1, -1, kernel.shape[2], -1, -1) / kernel.shape[2]
                if name == "stem.weight":
                    spread = torch.cat([spread, kernel[:, 1:]], dim=1)
                own[name] = spread.clone()
            else:
                own[name] = value.clone()
        self.load_state_dict(own)
