"""What aggregating streams share: frames as vectors, one vector for a window, a support vector machine on it.

Nothing between the frames and the machine learns by gradients. While the frame net does, by the softmax of
its frames, the top learns a softmax over the windows' vectors, from which no gradient returns: it tells good
rounds from bad ones. Then `fit` sets the vectors' space from clips, and a support vector machine takes the
top's place (`train/settling.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fervid.streams.network import chosen
from fervid.streams.still import OverFrames

AT_ONCE = 256  # windows whose matrices stand in memory together
FOLLOWED = 0.1  # of a batch, in the running figures while the frame net learns
TINY = 1e-6
EPSILON = 1e-2  # added to variances: of still pictures, frames have none. Components vary by 1 in the mean
SINGULAR = 1e-6  # of the largest, below which an eigenvalue of a kernel counts as none


def rounded(values: Tensor) -> Tensor:
    """As the file of a model keeps them, so that what comes after is fitted to what will run."""
    return values.half().float()


class Scaled(nn.Module):
    """Vectors (B, D) about their mean, at a root mean square length of one: their angles stay."""

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
        """How many numbers come out."""
        return len(self.centre)

    def forward(self, vectors: Tensor) -> Tensor:
        if self.training:
            self.seen += 1
            self._move(vectors, max(FOLLOWED, 1 / int(self.seen)))
        return (vectors - self.centre) / self.spread

    def fit(self, vectors: Tensor) -> None:
        """Take the mean and the length of these."""
        self._move(vectors, 1.0)

    def whitener(self) -> Tensor | None:
        """What makes plain inner products of what comes out (width, rank); None where it is so already."""
        return None

    def _move(self, vectors: Tensor, share: float) -> None:
        centre = vectors.double().mean(0)
        spread = (vectors - centre).square().sum(1).mean().sqrt().clamp_min(TINY)
        self.centre.lerp_(centre.to(self.centre), share)
        self.spread.lerp_(spread.to(self.spread), share)


class Kernel(Scaled):
    """How near vectors are to anchors, exp(-|x - a|^2): (B, D) -> (B, anchors).

    The anchors are windows of the training. With as many as there are windows, a linear machine on this is
    the kernel machine itself; with fewer, the nearest to it that they can express (Nystroem).
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
        """Take the mean and the length of these, and the first of them as anchors, again if too few."""
        super().fit(vectors)
        count = min(len(vectors), len(self.anchors))
        placed = super().forward(vectors[:count])
        self.anchors.copy_(rounded(placed[torch.arange(len(self.anchors), device=placed.device) % count]))

    def whitener(self) -> Tensor:
        values, vectors = torch.linalg.eigh(self._near(self.anchors.double()))
        kept = values > SINGULAR * values[-1]
        return vectors[:, kept] / values[kept].sqrt()

    def _near(self, placed: Tensor) -> Tensor:
        anchors = self.anchors.to(placed.dtype)
        inner = placed @ anchors.T
        apart = placed.square().sum(1, keepdim=True) + anchors.square().sum(1) - 2 * inner
        return torch.exp(-apart.clamp_min(0))


class Components(nn.Module):
    """Features of frames along the directions in which they differ most, at a mean variance of one."""

    centre: Tensor
    directions: Tensor

    def __init__(self, features: int, count: int) -> None:
        super().__init__()
        if count > features:
            raise ValueError(f"{features} features have no {count} components")
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("directions", torch.eye(count, features))

    def forward(self, each: Tensor) -> Tensor:
        return (each - self.centre) @ self.directions.T

    def fit(self, each: Tensor) -> None:
        """Take those of these frames (N, L, F)."""
        frames = each.flatten(0, 1).double()
        centre = frames.mean(0)
        frames = frames - centre
        values, vectors = torch.linalg.eigh(frames.T @ frames / len(frames))
        count = len(self.directions)
        directions = vectors[:, -count:].T  # (count, F)
        largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        scale = values[-count:].mean().clamp_min(TINY**2).sqrt()
        self.centre.copy_(centre)
        self.directions.copy_(rounded((directions * largest.sign() / scale).float()))


def covariance(each: Tensor) -> Tensor:
    """Of frames (B, L, D), with EPSILON on the diagonal, so that it has a logarithm: (B, D, D)."""
    away = (each - each.mean(1, keepdim=True)).double()
    own = away.mT @ away / each.shape[1]
    return own + EPSILON * torch.eye(each.shape[2], dtype=own.dtype, device=own.device)


def logarithm(matrices: Tensor) -> Tensor:
    """Of symmetric positive matrices (B, D, D)."""
    values, vectors = torch.linalg.eigh(matrices)
    return (vectors * values.log()[:, None]) @ vectors.mT


def upper(matrices: Tensor) -> Tensor:
    """Symmetric matrices (B, D, D) as vectors (B, D (D + 1) / 2) with the same inner products."""
    side = matrices.shape[1]
    rows, columns = torch.triu_indices(side, side, device=matrices.device)
    twice = torch.where(rows == columns, 1.0, math.sqrt(2))
    return (matrices[:, rows, columns] * twice).float()


class Aggregate(OverFrames):
    """`still` of a few frames of a window -> one vector -> a support vector machine.

    A kind says how frames become a vector (`gathered`) and how long that is.
    """

    optimizer, rate, decay = "adamw", 1e-3, 1e-2
    settles = True

    def __init__(
        self, classes: int, width: int, blocks: int, looks: int, length: int, anchors: int = 0
    ) -> None:
        super().__init__(classes, width, blocks)
        self.looks = looks
        self.frame_top = self.top  # the softmax of frames
        self.space = Kernel(length, anchors) if anchors else Scaled(length)
        self.top = nn.Linear(self.space.width, classes)

    def gathered(self, each: Tensor) -> Tensor:
        """Frames' features (B, L, F) as one vector for each window (B, length)."""
        raise NotImplementedError

    def features(self, clip: Tensor) -> Tensor:
        return self.read(self.looked_at(clip))

    def lesson(self, clip: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        each = self.looked_at(clip)
        said = self.frame_top(self.dropout(each))  # (B, L, C)
        taught = targets[:, None].expand_as(said)
        own = nn.functional.cross_entropy(said.flatten(0, 1).float(), taught.flatten(0, 1))
        return self.read(each), own

    def inflate(self, parent: Mapping[str, Tensor]) -> None:
        """Start from the weights of a `still` of the same width and blocks; its top is that of the frames."""
        named = {
            f"frame_{name}" if name.startswith("top.") else name: value for name, value in parent.items()
        }
        self.load_state_dict(self.state_dict() | named)

    def looked_at(self, clip: Tensor) -> Tensor:
        """The features of the frames that are looked at: (B, looks, F)."""
        return self.each(chosen(clip, self.looks))

    @torch.no_grad()
    def read(self, each: Tensor) -> Tensor:
        """What the top reads of frames' features."""
        with torch.autocast(each.device.type, enabled=False):
            return self.space(self.gathered(each.float()))

    @torch.no_grad()
    def fit(self, each: Tensor) -> None:
        """Set the space from the features of windows (N, looks, F), in an order of chance."""
        self.space.fit(torch.cat([self.gathered(part) for part in torch.split(each, AT_ONCE)]))


class Decisions(Aggregate):
    """Of the probabilities that frames are given."""

    def gathered(self, each: Tensor) -> Tensor:
        return self.gathered_of(torch.softmax(self.frame_top(each), 2))

    def gathered_of(self, said: Tensor) -> Tensor:
        """Probabilities (B, L, C) as one vector for each window."""
        raise NotImplementedError


class Sets(Aggregate):
    """Of the main components of frames' features: a window is a set of points."""

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

    def gathered(self, each: Tensor) -> Tensor:
        return self.gathered_of(self.components(each))

    def gathered_of(self, points: Tensor) -> Tensor:
        """Points (B, L, D) as one vector for each window."""
        raise NotImplementedError

    @torch.no_grad()
    def fit(self, each: Tensor) -> None:
        self.components.fit(each)
        super().fit(each)
