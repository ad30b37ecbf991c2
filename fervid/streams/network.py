"""What every stream is: features of a clip, and one linear layer on top of them."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """A stream: `features` (B, F) of what it reads, and `top`, which turns them into logits (B, C).

    The top stands alone because joint fine-tuning trains it, and nothing else; and because center and island
    loss look at the features below it.
    """

    reads: ClassVar[str]
    frames: ClassVar[int] = 16  # of a clip in training; 1 for nets that look at single frames
    any_side: ClassVar[bool] = False  # whether it reads faces of other sizes than a crop's, too
    # How it learns best, at batches of 128 clips.
    optimizer: ClassVar[str] = "sgd"
    rate: ClassVar[float] = 0.1
    decay: ClassVar[float] = 5e-4
    top: nn.Linear

    def features(self, clip: Tensor) -> Tensor:
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
