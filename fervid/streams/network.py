"""What every stream is: features of a clip, and one linear layer on top of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

POINTS = 68 * 2  # numbers that a frame's landmarks are
# The parts of any net whose sizes go with the labels: nets of other labels have nothing to give to them.
OF_LABELS = ("top.", "frame_top.", "space.", "forest.leaves")


def together(faces: Tensor, points: Tensor) -> Tensor:
    """Crops (B, L, S, S) and landmarks (B, L, 68, 2) as one tensor (B, L, S * S + 136)."""
    return torch.cat([faces.flatten(2), points.flatten(2)], dim=2)


def apart(clip: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `together`."""
    faces, points = clip[..., :-POINTS], clip[..., -POINTS:]
    side = math.isqrt(faces.shape[2])
    return faces.view(*faces.shape[:2], side, side), points.view(*points.shape[:2], POINTS // 2, 2)


def chosen(clip: Tensor, count: int) -> Tensor:
    """So many frames of a clip (B, L, ...), spread evenly from its first to its last."""
    length = clip.shape[1]
    if length == count:
        return clip
    places = torch.linspace(0, length - 1, count, device=clip.device).round().long()
    return clip[:, places]


def middle(clip: Tensor) -> Tensor:
    """The middle frame of a clip: (B, L, S, S) -> (B, 1, S, S)."""
    place = clip.shape[1] // 2
    return clip[:, place : place + 1]


def begin_small(network: nn.Module) -> None:
    """Weights for nets of ReLUs without normalisation, where torch's own start would fade."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if isinstance(network, Network):
        nn.init.normal_(network.top.weight, std=0.01)


class Network(nn.Module):
    """A stream: `features` (B, F) of what it reads, and `top`, which turns them into logits (B, C).

    The top stands alone because joint fine-tuning trains it, and nothing else; and because center and island
    loss look at the features below it.
    """

    reads: ClassVar[str]
    # Of a clip in training; 1 for nets that look at single frames, 2 for pairs of a clip's peak and another.
    frames: ClassVar[int] = 16
    by_motion: ClassVar[bool] = False  # taught where the face changes most, not where most expression is
    coarse_numbers: ClassVar[bool] = True  # whether it may be learnt in bfloat16, where that is quicker
    parent: ClassVar[str] = ""  # the stream from whose weights `inflate` begins
    settles: ClassVar[bool] = False  # whether more is fitted once gradients are done (`train/settling.py`)
    any_side: ClassVar[bool] = False  # whether it reads faces of other sizes than a crop's, too
    # How it learns best, at batches of 128 clips.
    optimizer: ClassVar[str] = "sgd"
    rate: ClassVar[float] = 0.1
    decay: ClassVar[float] = 5e-4
    top: nn.Linear

    def features(self, clip: Tensor) -> Tensor:
        raise NotImplementedError

    def lesson(self, clip: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """The features of a clip that is learnt, and what this net itself adds to the loss, if anything."""
        return self.features(clip), None

    def inflate(self, parent: Mapping[str, Tensor]) -> None:
        """Start from the weights of a `parent`."""
        raise NotImplementedError

    def placed(self, device: torch.device) -> Self:
        """The network where it computes, with channels last, which convolutions like best."""
        if any(isinstance(module, nn.Conv3d) for module in self.modules()):
            return self.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        if any(isinstance(module, nn.Conv2d) for module in self.modules()):
            return self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self.to(device)

    def forward(self, clip: Tensor) -> Tensor:
        return self.top(self.features(clip))
