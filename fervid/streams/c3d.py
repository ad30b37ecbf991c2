"""A compact residual C3D: 3x3x3 kernels; each stage that halves the picture halves time, down to one step.

It has the shape of `still`, with time. When it is inflated from `still`, the middle of every kernel takes the
parent's weights and the rest is zero: on a face that does not move both nets return the same, and training
learns motion from there.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network

STAGES = 4
DROPOUT = 0.4


def convolved(layer: nn.Conv3d, maps: Tensor) -> Tensor:
    """Apply the layer; pad the maps first where its kernel is longer than they are.

    Without padding, torch's bfloat16 gradient of such a layer is garbage on a CPU.
    """
    reach = layer.kernel_size[0] // 2
    if maps.shape[2] > 2 * reach:
        return layer(maps)
    padded = nn.functional.pad(maps, (0, 0, 0, 0, reach, reach))
    return nn.functional.conv3d(padded, layer.weight, None, layer.stride, (0, 1, 1))


class Block(nn.Module):
    """Two convolutions with a shortcut, each over `time` steps and 3x3 pixels."""

    def __init__(self, before: int, after: int, stride: int, time: int) -> None:
        super().__init__()
        kernel, padding = (time, 3, 3), (time // 2, 1, 1)
        # Where time is reduced to one step, the first convolution still reads more than that step.
        reading = 3 if stride == 2 else time
        self.first = nn.Conv3d(before, after, (reading, 3, 3), stride, (reading // 2, 1, 1), bias=False)
        self.first_norm = nn.BatchNorm3d(after)
        self.second = nn.Conv3d(after, after, kernel, 1, padding, bias=False)
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

    Kernels of the stem and of the two stages in the middle cover three steps of time. Those of the first
    stage cover one: three would triple its cost, and the stages after it detect motion just as well (Xie,
    Sun, Huang, Tu and Murphy, 2018). In the last stage a single step is left.
    """

    reads = "faces"
    any_side = True
    parent = "still"

    def __init__(self, classes: int, width: int = 32, blocks: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, width, (3, 5, 5), 2, (1, 2, 2), bias=False)
        self.stem_norm = nn.BatchNorm3d(width)
        stages: list[nn.Module] = []
        before = width
        for stage in range(STAGES):
            after = width << stage
            for block in range(blocks):
                time = 3 if 0 < stage < STAGES - 1 else 1
                stages.append(Block(before, after, 2 if stage and not block else 1, time))
                before = after
        self.blocks = nn.Sequential(*stages)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(before, classes)

    def features(self, clip: Tensor) -> Tensor:
        maps = self.blocks(nn.functional.relu(self.stem_norm(self.stem(clip[:, None]))))
        return self.dropout(maps.mean((2, 3, 4)))

    def inflate(self, parent: Mapping[str, Tensor]) -> None:
        """Start from the weights of a `still` of the same width and blocks."""
        own = self.state_dict()
        for name, value in parent.items():
            if own[name].dim() == value.dim() + 1:  # a kernel: the middle of three steps, or the only one
                middle = own[name].shape[2] // 2
                inflated = torch.zeros_like(own[name])
                inflated[:, :, middle] = value
                own[name] = inflated
            else:
                own[name] = value.clone()
        self.load_state_dict(own)
