"""The base of aggregating streams: a vector per window from its frames, read by a support vector machine.

The frame net is trained on single frames, with a softmax. Meanwhile the top learns a softmax over the vectors
of windows, only to select the best epoch: no gradient flows from it to the frame net. Afterwards `fit` sets
the centre, scale and anchors of the vectors from clips, and a support vector machine replaces the top
(`train/support_vectors.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fervid.streams.network import sample_frames
from fervid.streams.still import OverFrames

AT_ONCE = 256  # windows with matrices in memory at the same time
FOLLOWED = 0.1  # weight of a batch in the running statistics while the frame net is trained
TINY = 1e-6
EPSILON = 1e-2  # added to variances, as frames of a still picture have none; components' mean variance is 1
SINGULAR = 1e-6  # of the largest: smaller eigenvalues of a kernel count as zero


def rounded(values: Tensor) -> Tensor:
    """Round values as a model's file does, so that later parts are fitted to the values that will run."""
    return values.half().float()


class Scaled(nn.Module):
    """Vectors (B, D) about their mean, scaled to a root mean square length of one."""

    centre: Tensor
    spread: Tensor
    seen: Tensor  # batches

    def __init__(self, length: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(length))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    @property
    def width(self) -> int:
        """The length of the output vectors."""
        return len(self.centre)

    def forward(self, vectors: Tensor) -> Tensor:
        if self.training:
            self.seen += 1
            self._move(vectors, max(FOLLOWED, 1 / int(self.seen)))
        return (vectors - self.centre) / self.spread

    def fit(self, vectors: Tensor) -> None:
        """Set mean and scale from these vectors."""
        self._move(vectors, 1.0)

    def whitener(self) -> Tensor | None:
        """Return the matrix (width, rank) after which inner products are the kernel's; None if they are."""
        return None

    def _move(self, vectors: Tensor, share: float) -> None:
        centre = vectors.double().mean(0)
        spread = (vectors - centre).square().sum(1).mean().sqrt().clamp_min(TINY)
        self.centre.lerp_(centre.to(self.centre), share)
        self.spread.lerp_(spread.to(self.spread), share)


class Kernel(Scaled):
    """The similarity of vectors to anchors, exp(-|x - a|^2): (B, D) -> (B, anchors).

    The anchors are training windows. If all windows are anchors, a linear machine on this is the kernel
    machine itself; with fewer, it is the Nystroem approximation.
    """

    anchors: Tensor

    def __init__(self, length: int, anchors: int) -> None:
        super().__init__(length)
        self.register_buffer("anchors", torch.randn(anchors, length) / math.sqrt(length))

    @property
    def width(self) -> int:
        return len(self.anchors)

    def forward(self, vectors: Tensor) -> Tensor:
        return self._near(super().forward(vectors))

    def fit(self, vectors: Tensor) -> None:
        """Set mean and scale from these vectors, and the first of them as anchors, repeated if too few."""
        super().fit(vectors)
        count = min(len(vectors), len(self.anchors))
        scaled = super().forward(vectors[:count])
        self.anchors.copy_(rounded(scaled[torch.arange(len(self.anchors), device=scaled.device) % count]))

    def whitener(self) -> Tensor:
        values, vectors = torch.linalg.eigh(self._near(self.anchors.double()))
        kept = values > SINGULAR * values[-1]
        return vectors[:, kept] / values[kept].sqrt()

    def _near(self, scaled: Tensor) -> Tensor:
        anchors = self.anchors.to(scaled.dtype)
        inner = scaled @ anchors.T
        distance = scaled.square().sum(1, keepdim=True) + anchors.square().sum(1) - 2 * inner
        return torch.exp(-distance.clamp_min(0))


class Components(nn.Module):
    """The main components of frames' features, scaled to a mean variance of one."""

    centre: Tensor
    directions: Tensor

    def __init__(self, features: int, count: int) -> None:
        super().__init__()
        if count > features:
            raise ValueError(f"{features} features cannot give {count} components")
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("directions", torch.eye(count, features))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.centre) @ self.directions.T

    def fit(self, features: Tensor) -> None:
        """Set the components from the features of frames (N, L, F)."""
        frames = features.flatten(0, 1).double()
        centre = frames.mean(0)
        frames = frames - centre
        values, vectors = torch.linalg.eigh(frames.T @ frames / len(frames))
        count = len(self.directions)
        directions = vectors[:, -count:].T  # (count, F)
        largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        scale = values[-count:].mean().clamp_min(TINY**2).sqrt()
        self.centre.copy_(centre)
        self.directions.copy_(rounded((directions * largest.sign() / scale).float()))


def covariance(features: Tensor) -> Tensor:
    """Return the covariance (B, D, D) of frames (B, L, D), plus EPSILON on the diagonal for the logarithm."""
    centred = (features - features.mean(1, keepdim=True)).double()
    matrix = centred.mT @ centred / features.shape[1]
    return matrix + EPSILON * torch.eye(features.shape[2], dtype=matrix.dtype, device=matrix.device)


def logarithm(matrices: Tensor) -> Tensor:
    """Return the logarithm of symmetric positive matrices (B, D, D)."""
    values, vectors = torch.linalg.eigh(matrices)
    return (vectors * values.log()[:, None]) @ vectors.mT


def upper(matrices: Tensor) -> Tensor:
    """Return symmetric matrices (B, D, D) as vectors (B, D (D + 1) / 2) with the same inner products."""
    side = matrices.shape[1]
    rows, columns = torch.triu_indices(side, side, device=matrices.device)
    weights = torch.where(rows == columns, 1.0, math.sqrt(2))
    return (matrices[:, rows, columns] * weights).float()


class Aggregate(OverFrames):
    """`still` of a few frames of a window -> one vector -> a support vector machine.

    A subclass defines how frames become a vector (`gather`) and its length.
    """

    optimizer, rate, decay = "adamw", 1e-3, 1e-2
    has_support_vectors = True

    def __init__(
        self, classes: int, width: int, blocks: int, looks: int, length: int, anchors: int = 0
    ) -> None:
        super().__init__(classes, width, blocks)
        self.looks = looks
        self.frame_top = self.top  # the softmax of frames
        self.space = Kernel(length, anchors) if anchors else Scaled(length)
        self.top = nn.Linear(self.space.width, classes)

    def gather(self, features: Tensor) -> Tensor:
        """Combine frames' features (B, L, F) to a vector per window (B, length)."""
        raise NotImplementedError

    def features(self, clip: Tensor) -> Tensor:
        return self.read(self.sampled_features(clip))

    def features_and_loss(self, clip: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        features = self.sampled_features(clip)
        logits = self.frame_top(self.dropout(features))  # (B, L, C)
        repeated = targets[:, None].expand_as(logits)
        flat = logits.flatten(0, 1).float()
        own = nn.functional.cross_entropy(flat, repeated.flatten(0, 1), self.class_weights)
        return self.read(features), own

    def inflate(self, parent: Mapping[str, Tensor]) -> None:
        """Start from the weights of a `still` of the same width and blocks; its top becomes `frame_top`."""
        named = {
            f"frame_{name}" if name.startswith("top.") else name: value for name, value in parent.items()
        }
        self.load_state_dict(self.state_dict() | named)

    def sampled_features(self, clip: Tensor) -> Tensor:
        """Return the features of `looks` frames of each clip: (B, looks, F)."""
        return self.frame_features(sample_frames(clip, self.looks))

    @torch.no_grad()
    def read(self, features: Tensor) -> Tensor:
        """Return the top's input from frames' features."""
        with torch.autocast(features.device.type, enabled=False):
            return self.space(self.gather(features.float()))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Set the space from the features of windows (N, looks, F) in random order."""
        self.space.fit(torch.cat([self.gather(part) for part in torch.split(features, AT_ONCE)]))


class Decisions(Aggregate):
    """An aggregate of frames' probabilities."""

    def gather(self, features: Tensor) -> Tensor:
        return self.combine(torch.softmax(self.frame_top(features), 2))

    def combine(self, shares: Tensor) -> Tensor:
        """Combine probabilities (B, L, C) to a vector per window."""
        raise NotImplementedError


class Sets(Aggregate):
    """An aggregate of the main components of frames' features: a window is a set of points."""

    def __init__(
        self,
        classes: int,
        width: int,
        blocks: int,
        looks: int,
        components: int,
        length: int,
        anchors: int = 0,
    ) -> None:
        super().__init__(classes, width, blocks, looks, length, anchors)
        self.components = Components(self.frame_top.in_features, components)

    def gather(self, features: Tensor) -> Tensor:
        return self.combine(self.components(features))

    def combine(self, points: Tensor) -> Tensor:
        """Combine points (B, L, D) to a vector per window."""
        raise NotImplementedError

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        self.components.fit(features)
        super().fit(features)
