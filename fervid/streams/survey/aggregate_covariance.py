"""A window as the covariance of its frames' features, and a log-Euclidean machine (Liu et al., ICMI 2014).

Faithful: C + epsilon I, its matrix logarithm, the upper triangle with the root of 2 off the diagonal, so
that inner products are those of the logarithms; a support vector machine with the linear kernel on them.

Chosen: 64 main components of the features; epsilon is 0.01 for features of mean variance 1; the machine as
in `aggregate`.
"""

from __future__ import annotations

from torch import Tensor

from fervid.streams import stream
from fervid.streams.survey.aggregate import Sets, covariance, logarithm, upper


@stream("aggregate_covariance")
class AggregateCovariance(Sets):
    """`still` of 8 frames -> covariance of 64 -> its logarithm -> linear."""

    by_motion = True  # a still face has no covariance

    def __init__(
        self, classes: int, width: int = 32, blocks: int = 2, looks: int = 8, components: int = 64
    ) -> None:
        super().__init__(classes, width, blocks, looks, components, components * (components + 1) // 2)

    def combine(self, points: Tensor) -> Tensor:
        return upper(logarithm(covariance(points)))
