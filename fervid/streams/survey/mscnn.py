"""MSCNN: a small net on the apex frame, trained to recognise and verify (Zhang, Huang, Du and Wang, 2017).

Faithful: 60x60 pixels of a grey 64x64; four convolutions down to 40 maps of 2x2, 80 features, about 53
thousand weights; recognition by cross-entropy, and verification of pairs on the 80 features: two of one
expression are drawn together, two of different ones are pushed apart up to a margin. Fused with `phrnn` by a
weighted sum (`phrnn+mscnn`, --fusion weighted) it is the system of the paper.

Chosen: kernels, which follow from the sizes of the maps; the middle 60 pixels, as fervid's augmentation
already shifts the crop; the weight of the verification (0.05) and its margin, on which implementations of the
paper differ; all pairs of a batch instead of random ones; local response normalisation; the initialization
and the optimiser. The apex is a frame where the face is far from its neutral in training, the middle of each
window in analysis.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network, init_small, middle_frame

EDGE = 2  # pixels of 64 that are cut off on every side
VERIFICATION = 0.05  # weight of the pairs
MARGIN = 4.0  # the distance at which two different expressions are far enough apart


def verification(features: Tensor, targets: Tensor, margin: float = MARGIN) -> Tensor:
    """Return the mean over pairs of half the squared distance, or of the lack of margin if classes differ."""
    labels = targets.argmax(1)
    first, second = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
    if not len(first):
        return features.sum() * 0
    squared = (features[first] - features[second]).float().square().sum(1)
    lack = (margin - squared.clamp_min(1e-12).sqrt()).clamp_min(0).square()
    return torch.where(labels[first] == labels[second], squared, lack).mean() / 2


@stream("mscnn")
class MSCNN(Network):
    """60x60 -> 10@28x28 -> 20@12x12 -> 40@4x4 -> 40@2x2 -> 80."""

    reads = "faces"
    frames = 1
    optimizer, rate, decay = "adamw", 1e-3, 1e-2

    def __init__(self, classes: int, width: int = 10, hidden: int = 80) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(1, width, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.LocalResponseNorm(5),
            nn.Conv2d(width, 2 * width, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.LocalResponseNorm(5),
            nn.Conv2d(2 * width, 4 * width, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.LocalResponseNorm(5),
            nn.Conv2d(4 * width, 4 * width, 3),
            nn.ReLU(),
        )
        self.hidden = nn.Linear(4 * width * 2 * 2, hidden)
        self.top = nn.Linear(hidden, classes)
        init_small(self)

    def features(self, clip: Tensor) -> Tensor:
        face = middle_frame(clip)[..., EDGE:-EDGE, EDGE:-EDGE]
        return nn.functional.relu(self.hidden(self.maps(face).flatten(1)))

    def features_and_loss(self, clip: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        features = self.features(clip)
        return features, VERIFICATION * verification(features, targets)
