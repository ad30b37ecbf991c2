"""A window as the Gaussian of its frames' features, and a log-Euclidean machine (Liu et al., ICMI 2014).

Faithful: a Gaussian N(m, S) is embedded as the positive matrix |S|^(-1/(d+1)) [S + m m', m; m', 1]; its
logarithm's upper triangle is read by a support vector machine.

Chosen: 64 main components of the features; epsilon is 0.01 for features of mean variance 1; the machine as
in `aggregate`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fervid.streams import stream
from fervid.streams.survey.aggregate import Sets, covariance, logarithm, upper


def embedded(points: Tensor) -> Tensor:
    """Return the logarithm of the matrix of the Gaussian of points (B, L, D): (B, D + 1, D + 1)."""
    mean = torch.cat([points.double().mean(1), points.new_ones(len(points), 1)], 1)
    whole = torch.nn.functional.pad(covariance(points), (0, 1, 0, 1)) + mean[:, :, None] * mean[:, None]
    logs = logarithm(whole)
    # The whole has the covariance's determinant: its logarithm times 1/(d+1) is the mean of the diagonal.
    level = logs.diagonal(dim1=1, dim2=2).mean(1)
    return logs - level[:, None, None] * torch.eye(logs.shape[1], dtype=logs.dtype, device=logs.device)


@stream("aggregate_gaussian")
class AggregateGaussian(Sets):
    """`still` of 8 frames -> mean and covariance of 64 -> logarithm -> linear."""

    def __init__(
        self, classes: int, width: int = 32, blocks: int = 2, looks: int = 8, components: int = 64
    ) -> None:
        super().__init__(classes, width, blocks, looks, components, (components + 1) * (components + 2) // 2)

    def combine(self, points: Tensor) -> Tensor:
        return upper(embedded(points))
