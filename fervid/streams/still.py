"""A residual network over single frames; a clip's features are the mean over its frames.

`c3d` starts from its weights, and it is the baseline for streams over time.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fervid import quantized
from fervid.streams import stream
from fervid.streams.network import Network

STAGES = 4  # each but the first halves the picture and doubles the width
EVERY = 4  # a long clip is read every 4 frames: neighbouring frames look alike
DROPOUT = 0.4


def sampled(clip: Tensor) -> Tensor:
    """Return the frames to read: of a long clip every 8th, every other of these mirrored.

    A mirrored face shows the same expression, and the mean of two views is more accurate than that of two
    neighbouring frames.
    """
    if clip.shape[1] <= EVERY:
        return clip
    frames = clip[:, EVERY :: 2 * EVERY].clone()
    frames[:, 1::2] = frames[:, 1::2].flip(3)
    return frames


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        # Where the picture halves, the shortcut averages it: a strided 1x1 would drop three pixels of four.
        self.shortcut: nn.Module = nn.Identity()
        if before != after or stride != 1:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, stride), nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after)
            )
        nn.init.zeros_(self.second_norm.weight)  # a new block is its shortcut alone

    def forward(self, maps: Tensor) -> Tensor:
        inner = nn.functional.relu(self.first_norm(self.first(maps)))
        return nn.functional.relu(self.second_norm(self.second(inner)) + self.shortcut(maps))


@stream("still")
class Still(Network):
    """64x64 -> 32x32 stem -> four residual stages of doubling width -> mean over pixels and frames."""

    reads = "faces"
    frames = 1
    any_side = True

    def __init__(self, classes: int, width: int = 32, blocks: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 5, 2, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        stages: list[nn.Module] = []
        before = width
        for stage in range(STAGES):
            after = width << stage
            for block in range(blocks):
                stages.append(Block(before, after, 2 if stage and not block else 1))
                before = after
        self.blocks = nn.Sequential(*stages)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(before, classes)

    def features(self, clip: Tensor) -> Tensor:
        return self.dropout(self.frame_features(sampled(clip)).mean(1))

    def frame_features(self, clip: Tensor) -> Tensor:
        """Return the features of every frame: (B, L, S, S) -> (B, L, F)."""
        frames = clip.flatten(0, 1)[:, None]  # (B * L, 1, S, S)
        if self.trunk is not None and not torch.is_grad_enabled():
            maps = self.trunk(frames)
        else:
            maps = self.blocks(nn.functional.relu(self.stem_norm(self.stem(frames))))
        return maps.mean((2, 3)).view(*clip.shape[:2], -1)

    @classmethod
    def can_quantize(cls, **sizes: int) -> bool:
        return True

    def quantize(self, ranges: quantized.Ranges) -> None:
        self.trunk = quantized.Trunk(self, ranges)


class OverFrames(Still):
    """A net that reads the frame features of a `still` in order, and can start from its weights."""

    frames = 16
    parent = "still"

    def inflate(self, parent: Mapping[str, Tensor]) -> None:
        """Start from the weights of a `still` of the same width and blocks, without its top."""
        weights = {name: value for name, value in parent.items() if not name.startswith("top.")}
        self.load_state_dict(self.state_dict() | weights)
