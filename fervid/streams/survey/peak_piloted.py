"""PPDN: the peak of an expression guides its weaker frames (Zhao et al., ECCV 2016).

Faithful: GoogLeNet's nine modules in their proportions; training uses pairs of one person's peak and another
frame of the same expression, J = CE(peak) + CE(other) + lambda |f(peak) - f(other)|^2; peak gradient
suppression: in the last term f(peak) is a constant, so that weak frames are drawn to strong ones and never
the reverse.

Chosen: for 64 pixels the stem halves twice and not four times; half of GoogLeNet's width; batch normalisation
and no auxiliary tops, as there are not half a million faces to pretrain on; f is the pooled features, the
term a mean of their squares, lambda is 0.5 (the paper gives neither). The peak is the frame of a clip that is
farthest from the person's neutral (of a neutral clip, the nearest); the other frame is drawn among those at
least a third of the way there. Analysis has no peak: a window is the mean over every fourth frame.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network
from fervid.streams.still import EVERY

STEM = 64  # GoogLeNet's width; the numbers below are for it
# Maps of 1x1; before and after 3x3; before and after 5x5; after the pool. Between the stages is a pool.
STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
DROPOUT = 0.4
PILOT = 0.5  # weight of the term that draws other frames to the peak


def convolved(before: int, after: int, side: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, side, stride, side // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )


class Inception(nn.Module):
    """Four parallel branches."""

    def __init__(self, before: int, maps: tuple[int, ...]) -> None:
        super().__init__()
        one, three_before, three, five_before, five, pooled = maps
        self.one = convolved(before, one, 1)
        self.three = nn.Sequential(convolved(before, three_before, 1), convolved(three_before, three, 3))
        self.five = nn.Sequential(convolved(before, five_before, 1), convolved(five_before, five, 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), convolved(before, pooled, 1))
        self.after = one + three + five + pooled

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([self.one(maps), self.three(maps), self.five(maps), self.pooled(maps)], 1)


def scaled(maps: tuple[int, ...], width: int) -> tuple[int, ...]:
    """Return a module's maps in a net with a stem of `width` maps."""
    return tuple(max(1, count * width // STEM) for count in maps)


@stream("peak_piloted")
class PeakPiloted(Network):
    """64x64 -> stem 16x16 -> two modules -> 8x8 -> five -> 4x4 -> two -> mean over pixels and frames."""

    reads = "faces"
    frames = 2
    allows_bfloat16 = False  # bfloat16 puts a new net's gradients off by 2/3 over 21 layers, 1/3 over 9
    pilots: ClassVar[tuple[int, ...]] = (3,)  # stages after which the peak pilots; 3: the features

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            convolved(1, width, 7, 2),
            nn.MaxPool2d(3, 2, 1),
            convolved(width, width, 1),
            convolved(width, 3 * width, 3),
        )
        before = 3 * width
        self.stages = nn.ModuleList()
        for stage in STAGES:
            modules = nn.Sequential()
            for maps in stage:
                module = Inception(before, scaled(maps, width))
                modules.append(module)
                before = module.after
            self.stages.append(modules)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(before, classes)

    def features(self, clip: Tensor) -> Tensor:
        if clip.shape[1] == 2:  # a pair: its peak counts
            return self.dropout(self.levels(clip[:, 0])[-1])
        frames = clip[:, (EVERY // 2) :: EVERY] if clip.shape[1] > EVERY else clip
        features = self.levels(frames.flatten(0, 1))[-1]
        return self.dropout(features.view(*frames.shape[:2], -1).mean(1))

    def features_and_loss(self, clip: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        if clip.shape[1] != 2:
            return self.features(clip), None
        pairs = [level.chunk(2) for level in self.levels(torch.cat([clip[:, 0], clip[:, 1]]))]
        peak, other = pairs[-1]
        logits = self.top(self.dropout(other))
        own = nn.functional.cross_entropy(logits.float(), targets, self.class_weights)
        for stage in self.pilots:
            strong, weak = pairs[stage]
            own = own + PILOT / len(self.pilots) * nn.functional.mse_loss(weak, strong.detach())
        return self.dropout(peak), own

    def levels(self, frames: Tensor) -> list[Tensor]:
        """Return each stage's maps of frames (B, S, S), and last their features (B, F)."""
        maps = [self.stem(frames[:, None])]
        for number, stage in enumerate(self.stages):
            before = nn.functional.max_pool2d(maps[-1], 3, 2, 1) if number else maps[-1]
            maps.append(stage(before))
        return [*maps[1:], maps[-1].mean((2, 3))]
