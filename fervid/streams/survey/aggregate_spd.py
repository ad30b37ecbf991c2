"""A window as the covariance of its frames' features, and a Gaussian kernel between such matrices.

Faithful: the log-Euclidean Gaussian kernel exp(-gamma |log A - log B|^2) on symmetric positive matrices
(Jayasumana et al., CVPR 2013; Liu et al., ICMI 2014, on frames' covariances), which is positive for every
gamma; a support vector machine.

Chosen: as for `aggregate_covariance`; gamma is one over the mean squared distance of the logarithms from
their mean; 512 training windows are the anchors.
"""

from __future__ import annotations

from torch import Tensor

from fervid.streams import stream
from fervid.streams.survey.aggregate import Sets, covariance, logarithm, upper


@stream("aggregate_spd")
class AggregateSPD(Sets):
    """`still` of 8 frames -> covariance of 64 -> its distance from those of 512 windows."""

    by_motion = True  # a still face has no covariance

    def __init__(
        self,
        classes: int,
        width: int = 32,
        blocks: int = 2,
        looks: int = 8,
        components: int = 64,
        anchors: int = 512,
    ) -> None:
        length = components * (components + 1) // 2
        super().__init__(classes, width, blocks, looks, components, length, anchors)

    def combine(self, points: Tensor) -> Tensor:
        return upper(logarithm(covariance(points)))
