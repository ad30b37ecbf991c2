"""What every stream is: features of a clip, and one linear layer on top of them."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn


class Network(nn.Module):
    """A stream: `features` (B, F) of what it reads, and `top`, which turns them into logits (B, C).

    The top stands alone because joint fine-tuning trains it, and nothing else; and because center and island
    loss look at the features below it.
    """

    reads: ClassVar[str]
    frames: ClassVar[int] = 16  # of a clip in training; 1 for nets that look at single frames
    # How it learns best, at batches of 128 clips.
    optimizer: ClassVar[str] = "sgd"
    rate: ClassVar[float] = 0.1
    decay: ClassVar[float] = 5e-4
    top: nn.Linear

    def features(self, clip: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, clip: Tensor) -> Tensor:
        return self.top(self.features(clip))
