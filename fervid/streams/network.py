"""The base of all streams: features of a clip, and a linear layer on top of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from fervid import quantized

POINTS = 68 * 2  # numbers of a frame's landmarks
# Parts with sizes that depend on the labels: their weights are not taken from a net of other labels.
OF_LABELS = ("top.", "frame_top.", "space.", "forest.leaves")


def join(faces: Tensor, points: Tensor) -> Tensor:
    """Join crops (B, L, S, S) and landmarks (B, L, 68, 2) to one tensor (B, L, S * S + 136)."""
    return torch.cat([faces.flatten(2), points.flatten(2)], dim=2)


def split(clip: Tensor) -> tuple[Tensor, Tensor]:
    """Return the crops and landmarks that `join` made this tensor of."""
    faces, points = clip[..., :-POINTS], clip[..., -POINTS:]
    side = math.isqrt(faces.shape[2])
    return faces.view(*faces.shape[:2], side, side), points.view(*points.shape[:2], POINTS // 2, 2)


def sample_frames(clip: Tensor, count: int) -> Tensor:
    """Return `count` frames of a clip (B, L, ...), spread evenly from the first to the last."""
    length = clip.shape[1]
    if length == count:
        return clip
    indices = torch.linspace(0, length - 1, count, device=clip.device).round().long()
    return clip[:, indices]


def middle_frame(clip: Tensor) -> Tensor:
    """Return the middle frame of a clip: (B, L, S, S) -> (B, 1, S, S)."""
    index = clip.shape[1] // 2
    return clip[:, index : index + 1]


def weigh_by_motion(features: Tensor, squared: Tensor, half: float) -> Tensor:
    """Return features (B, F) that count half at a mean squared motion (B,) of `half` squared, none without.

    With `half` zero they are as they were.
    """
    return features * (squared / (squared + half**2))[:, None] if half else features


def init_small(network: nn.Module) -> None:
    """Set the weights of a net of ReLUs without normalisation, where torch's default start fades."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if isinstance(network, Network):
        nn.init.normal_(network.top.weight, std=0.01)


class Network(nn.Module):
    """A stream: `features` (B, F) of its input, and `top`, which turns them into logits (B, C).

    The top is separate because joint fine-tuning trains it alone, and because center and island loss are of
    the features below it.
    """

    reads: ClassVar[str]
    # Of a clip in training; 1 for nets of single frames, 2 for pairs of a clip's peak and another frame.
    frames: ClassVar[int] = 16
    by_motion: ClassVar[bool] = False  # trained where the face changes most, not where it shows most
    allows_bfloat16: ClassVar[bool] = True  # whether it may be trained in bfloat16, if that is faster
    parent: ClassVar[str] = ""  # the stream that `inflate` takes weights from
    has_support_vectors: ClassVar[bool] = False  # whether `train/support_vectors.py` replaces the top
    any_side: ClassVar[bool] = False  # whether it also reads faces of other sizes than a crop's
    # The best training settings, at batches of 128 clips.
    optimizer: ClassVar[str] = "sgd"
    rate: ClassVar[float] = 0.1
    decay: ClassVar[float] = 5e-4
    top: nn.Linear
    trunk: Callable[[Tensor], Tensor] | None = None  # the convolutions in 8-bit integers, if possible
    class_weights: Tensor | None = None  # (C,) of `--balance` in training, for a loss of the net's own

    def features(self, clip: Tensor) -> Tensor:
        raise NotImplementedError

    def features_and_loss(self, clip: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the features of a clip in training, and the net's own addition to the loss, if any."""
        return self.features(clip), None

    def inflate(self, parent: Mapping[str, Tensor]) -> None:
        """Start from the weights of a `parent`."""
        raise NotImplementedError

    @classmethod
    def can_quantize(cls, **sizes: int) -> bool:
        """Return whether a network of these sizes has `quantize`."""
        return False

    def quantize(self, ranges: quantized.Ranges) -> None:
        """Compute in 8-bit integers from now on, except where gradients are needed."""
        raise NotImplementedError

    def placed(self, device: torch.device) -> Self:
        """Move the network to a device, with channels last, which is fastest for convolutions."""
        if any(isinstance(module, nn.Conv3d) for module in self.modules()):
            return self.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        if any(isinstance(module, nn.Conv2d) for module in self.modules()):
            return self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self.to(device)

    def forward(self, clip: Tensor) -> Tensor:
        return self.top(self.features(clip))
