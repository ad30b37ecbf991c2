"""The losses of training: cross-entropy with soft labels, and losses that pull a class together.

Where a loss needs a hard label, it takes the largest share of the soft label.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy of logits (B, C) against distributions (B, C).

    `weights` (C,) balance the classes: the mean is weighted, as in torch's cross-entropy with hard labels.
    """
    losses = -(targets * nn.functional.log_softmax(logits.float(), dim=1))  # (B, C)
    if weights is None:
        return losses.sum(1).mean()
    return (losses * weights).sum() / (targets * weights).sum().clamp_min(1e-9)


def balance(counts: Tensor, strength: float) -> Tensor:
    """Return weights (C,) of classes with these counts: none at strength 0, 1 gives all the same weight.

    The mean weight over samples is 1; a class without samples has weight 0.
    """
    counts = counts.float()
    weights = torch.where(counts > 0, counts.clamp_min(1e-9) ** -strength, 0.0)
    return weights * counts.sum() / (weights * counts).sum()


class CenterLoss(nn.Module):
    """Center loss: half the squared distance of features to their class's centre (Wen et al., 2016).

    Centres are not trained by gradients: as in the paper, each moves by `rate` towards the mean of the batch.
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
    """Island loss: center loss, and the cosines of all pairs of centres (Cai et al., 2018).

    The centres are learned: they follow the samples, and move apart by the gradient of the cosines. Samples
    have the gradient of the center loss alone, which draws them along. A step apart is at most as long as
    the centre, because the gradient has no limit near 0, where the centres start.
    """

    def __init__(self, classes: int, features: int, rate: float = 0.5, spread: float = 10.0) -> None:
        super().__init__(classes, features, rate)
        self.spread = spread

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            length = self.centres.norm(dim=1, keepdim=True)  # (C, 1)
            unit = self.centres / length.clamp_min(1e-12)
            is_placed = (length > 0).float()
            pairs = is_placed * is_placed.T  # (C, C) of different classes that both have a centre
            pairs.fill_diagonal_(0)
            cosines = unit @ unit.T
            apart = ((cosines + 1) * pairs).sum()  # over ordered pairs
            downhill = -(pairs @ unit - (cosines * pairs).sum(1, keepdim=True) * unit) / length.clamp_min(
                1e-12
            )
            downhill = downhill / pairs.sum(1, keepdim=True).clamp_min(1)
            step = self.rate * self.spread * downhill
            step = step * (length / step.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1)
        loss = super().forward(features, targets)
        if self.training:
            with torch.no_grad():
                self.centres += step
        return loss + self.spread * apart


NEIGHBOURS = 20  # of the same class
# Squared distances of unit features: the radius of a cluster, and the gap around it.
THRESHOLD, MARGIN = 1.0, 0.5
TRIPLET_MARGIN = 0.2


def locality_preserving(features: Tensor, targets: Tensor, neighbours: int = NEIGHBOURS) -> Tensor:
    """Return the locality-preserving loss (Li et al., 2017).

    It is half the squared distance to the mean of the nearest samples of the same class in the batch, as a
    mean over the samples that have such neighbours. Neighbours are constants, as in the paper's gradient.
    """
    features, label = features.float(), targets.argmax(1)
    fixed = features.detach()
    same = label[:, None] == label
    same.fill_diagonal_(False)
    away = torch.cdist(fixed, fixed).masked_fill(~same, torch.inf)
    near, neighbour = away.topk(min(neighbours, len(away)), largest=False)  # (B, k)
    counted = near.isfinite().float()[..., None]
    count = counted.sum(1)  # (B, 1)
    mean = (fixed[neighbour] * counted).sum(1) / count.clamp_min(1)
    losses = (features - mean).square().sum(1) / 2 * (count[:, 0] > 0)
    return losses.sum() / (count > 0).sum().clamp_min(1)


def tuplet_clusters(
    features: Tensor, targets: Tensor, people: Tensor, threshold: float = THRESHOLD, margin: float = MARGIN
) -> Tensor:
    """Return the (N+M)-tuplet clusters loss (Liu, Vijaya Kumar, You and Jia, 2017), as a mean over classes.

    Features have unit length. Those of a class are pulled to within a threshold of their centre, and those of
    other classes pushed out of it, both by a margin; features beyond the margin add nothing. Of the other
    classes only samples of the same people count, so that the network does not learn identity; if a batch has
    none, all count. The paper learns the distance; this is the squared distance.
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
    """Return a triplet loss with an exponential weight on hard triplets (after Guo et al., 2016).

    A sample of the same class should be nearer than one of another class, by a margin, in squared distances
    of unit features. A triplet that misses this by h > 0 costs exp(h) - 1, so that its gradient has the
    weight exp(h); the loss is the mean over these. We could not read the authors' formula; this one follows
    descriptions of it.
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
