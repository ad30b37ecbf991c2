"""What training minimises: cross-entropy with soft labels, and the losses that draw a class together."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy (B, C) against distributions (B, C), as a mean; `weights` (C,) balance the classes.

    A sample weighs what its labels weigh, and the mean is by weight, as for hard labels.
    """
    each = -(targets * nn.functional.log_softmax(logits.float(), dim=1))  # (B, C)
    if weights is None:
        return each.sum(1).mean()
    return (each * weights).sum() / (targets * weights).sum().clamp_min(1e-9)


def balance(counts: Tensor, strength: float) -> Tensor:
    """Weights (C,) of classes with these counts: 0 leaves them alone, 1 makes every class weigh the same.

    Their mean over the samples is one; a class without samples weighs nothing.
    """
    counts = counts.float()
    weights = torch.where(counts > 0, counts.clamp_min(1e-9) ** -strength, 0.0)
    return weights * counts.sum() / (weights * counts).sum()


class CenterLoss(nn.Module):
    """Half the squared distance of features to their class's centre (Wen et al., 2016).

    The centres follow by the rule of the paper, `rate` of the way to the mean of the batch, and not by
    gradients. A soft label counts by its largest share.
    """

    centres: Tensor

    def __init__(self, classes: int, features: int, rate: float = 0.5) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("centres", torch.zeros(classes, features))

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        label = targets.argmax(1)
        away = features.float() - self.centres[label]  # (B, F)
        loss = away.square().sum(1).mean() / 2
        if self.training:
            with torch.no_grad():
                shift = torch.zeros_like(self.centres).index_add_(0, label, away)
                count = torch.bincount(label, minlength=len(self.centres))[:, None]
                self.centres += self.rate * shift / (1 + count)
        return loss


class IslandLoss(CenterLoss):
    """Center loss, and the cosine of every two centres, so that classes part (Cai et al., 2018).

    The paper's centres learn by gradients too; here the pull between centres reaches the features through
    the batch's own means, which are what the centres follow.
    """

    def __init__(self, classes: int, features: int, rate: float = 0.5, spread: float = 10.0) -> None:
        super().__init__(classes, features, rate)
        self.spread = spread

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        loss = super().forward(features, targets)
        label = targets.argmax(1)
        count = torch.bincount(label, minlength=len(self.centres))
        here = torch.nonzero(count).flatten()
        sums = torch.zeros_like(self.centres).index_add(0, label, features.float())
        means = nn.functional.normalize(sums[here] / count[here, None], dim=1)  # (K, F)
        cosines = means @ means.T
        apart = (cosines + 1).sum() - (cosines.diagonal() + 1).sum()  # over ordered pairs of classes
        return loss + self.spread * apart
