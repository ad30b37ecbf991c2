"""A window as the subspace that its frames span, and a projection kernel (Liu et al., ICMI 2014).

Faithful: a subspace is the first eigenvectors U of X'X, X the frames' features; the projection kernel of two
subspaces is the Frobenius product of U U' and V V'. It is the inner product of U U' and V V' as vectors, so a
linear support vector machine on these has that kernel.

Chosen: 3 directions; 64 main components of the features, about the mean of all training frames; a direction
of little variance (a still picture has one direction only) fades out, as it would be random otherwise; the
machine as in `aggregate`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fervid.streams import stream
from fervid.streams.survey.aggregate import EPSILON, Sets, upper


@stream("aggregate_subspace")
class AggregateSubspace(Sets):
    """`still` of 8 frames -> 3 directions of 64 -> linear."""

    def __init__(
        self,
        classes: int,
        width: int = 32,
        blocks: int = 2,
        looks: int = 8,
        components: int = 64,
        directions: int = 3,
    ) -> None:
        super().__init__(classes, width, blocks, looks, components, components * (components + 1) // 2)
        if directions > components:
            raise ValueError(f"{components} components cannot give {directions} directions")
        self.directions = directions

    def combine(self, points: Tensor) -> Tensor:
        exact = points.double()
        values, vectors = torch.linalg.eigh(exact.mT @ exact / points.shape[1])  # ascending
        values, vectors = values[:, -self.directions :].clamp_min(0), vectors[:, :, -self.directions :]
        weights = values / (values + EPSILON)
        return upper((vectors * weights[:, None]) @ vectors.mT)
