"""MobileNet over single 48x48 frames, as many emotion classifiers on FER2013 use it, for comparison.

Those classifiers train it with Adam (Kingma and Ba, 2015), at a constant 1e-3: here --optimizer adam, with
fervid's schedule. The default is SGD.
"""

from __future__ import annotations

from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network
from fervid.streams.still import EVERY

SIDE = 48
DROPOUT = 0.001  # as published
# Width, in units of the first layer's 32, and stride of each separable convolution.
LAYERS = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1))


def separable(before: int, after: int, stride: int) -> list[nn.Module]:
    """Return the layers of a separable convolution: 3x3 on each channel, then 1x1 across them."""
    return [
        nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False),
        nn.BatchNorm2d(before),
        nn.ReLU(),
        nn.Conv2d(before, after, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    ]


@stream("still_mobilenet")
class StillMobileNet(Network):
    """MobileNet v1 at full width, 3.2 million weights; a clip's features are the mean over its frames."""

    reads = "faces"
    frames = 1

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        before = width
        for times, stride in LAYERS:
            layers += separable(before, times * width, stride)
            before = times * width
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(before, classes)

    def features(self, clip: Tensor) -> Tensor:
        chosen = clip[:, (EVERY // 2) :: EVERY] if clip.shape[1] > EVERY else clip
        small = nn.functional.interpolate(chosen, (SIDE, SIDE), mode="area")
        maps = self.layers(small.flatten(0, 1)[:, None])
        features = maps.mean((2, 3)).unflatten(0, chosen.shape[:2])  # (B, L, F)
        return self.dropout(features.mean(1))
