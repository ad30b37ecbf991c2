"""What training minimises: cross-entropy with soft labels, and losses that pull a class together.

Where these need a single label, a soft label counts as its largest share.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy (B, C) against distributions (B, C); `weights` (C,) balance the classes.

    A sample weighs what its labels weigh, and the mean is by weight, as for hard labels.
    """
    each = -(targets * nn.functional.log_softmax(logits.float(), dim=1))  # (B, C)
    if weights is None:
        return each.sum(1).mean()
    return (each * weights).sum() / (targets * weights).sum().clamp_min(1e-9)


def balance(counts: Tensor, strength: float) -> Tensor:
    """Return weights (C,) of classes with these counts: 0 changes nothing, 1 gives all classes one weight.

    Their mean over the samples is 1; a class without samples has weight 0.
    """
    counts = counts.float()
    weights = torch.where(counts > 0, counts.clamp_min(1e-9) ** -strength, 0.0)
    return weights * counts.sum() / (weights * counts).sum()


class CenterLoss(nn.Module):
    """Half the squared distance of features to their class's centre (Wen et al., 2016).

    The centres follow by the rule of the paper, `rate` of the way to the mean of the batch, and not by
    gradients.
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


NEIGHBOURS = 20  # of a sample's own class: it is pulled to their mean
THRESHOLD, MARGIN = (
    1.0,
    0.5,
)  # squared distance of unit features at which a cluster ends, and the gap around it
TRIPLET_MARGIN = 0.2


def locality_preserving(features: Tensor, targets: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """Return half the squared distance to the mean of the nearest of the same class (Li et al., 2017).

    A mean over the samples that have company. The neighbours are constants, as in the paper's gradient.
    """
    features, label = features.float(), targets.argmax(1)
    fixed = features.detach()
    same = label[:, None] == label
    same.fill_diagonal_(False)
    away = torch.cdist(fixed, fixed).masked_fill(~same, torch.inf)
    near, indices = away.topk(min(neighbours, len(away)), largest=False)  # (B, k)
    counted = near.isfinite().float()[..., None]
    count = counted.sum(1)  # (B, 1)
    mean = (fixed[indices] * counted).sum(1) / count.clamp_min(1)
    each = (features - mean).square().sum(1) / 2 * (count[:, 0] > 0)
    return each.sum() / (count > 0).sum().clamp_min(1)


def tuplet_clusters(
    features: Tensor, targets: Tensor, people: Tensor, threshold: float = THRESHOLD, margin: float = MARGIN
) -> Tensor:
    """Return the (N+M)-tuplet clusters loss (Liu, Vijaya Kumar, You and Jia, 2017), a mean over classes.

    The features of a class, at unit length, are pulled to within a threshold of their centre, and those of
    other classes pushed out of it, both by a margin; what lies well does not count. Of the others those of
    the same people are taken, so that it is not the person that is learnt; where a batch has none, all are.
    The paper learns the distance; this uses the squared distance.
    """
    unit, label = nn.functional.normalize(features.float(), dim=1), targets.argmax(1)
    losses = [unit.sum() * 0]
    for own in torch.unique(label):
        inside = label == own
        if inside.sum() < 2:
            continue
        akin = ~inside & torch.isin(people, people[inside])
        outside = akin if akin.any() else ~inside
        away = (unit - unit[inside].mean(0)).square().sum(1)
        lacking = torch.cat([away[inside] - threshold + margin, threshold + margin - away[outside]])
        lacking = lacking.clamp_min(0)
        losses.append(lacking.sum() / (lacking > 0).sum().clamp_min(1))
    return torch.stack(losses).sum() / max(1, len(losses) - 1)


def exponential_triplets(features: Tensor, targets: Tensor, margin: float = TRIPLET_MARGIN) -> Tensor:
    """Return the triplet loss of a batch; harder triplets weigh exponentially more (after Guo et al., 2016).

    The same class should be nearer than another, by a margin, in squared distances of unit features. What a
    triplet lacks of that, h, costs exp(h) - 1, so that its gradient weighs exp(h); a mean over those that
    lack any. The authors' own form could not be read; this one keeps what others report of it.
    """
    unit, label = nn.functional.normalize(features.float(), dim=1), targets.argmax(1)
    away = 2 - 2 * unit @ unit.T  # (B, B)
    total, count = unit.sum() * 0, 0
    for own in torch.unique(label):
        inside = torch.nonzero(label == own).flatten()
        within, beyond = away[inside][:, inside], away[inside][:, label != own]  # (P, P), (P, M)
        lacking = (margin + within[:, :, None] - beyond[:, None]).clamp_min(0)  # (P, P, M)
        lacking = lacking * ~torch.eye(len(inside), dtype=torch.bool, device=away.device)[..., None]
        total = total + lacking.expm1().sum()
        count += int((lacking > 0).sum())
    return total / max(1, count)
