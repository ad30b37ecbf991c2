"""Joint fine-tuning of streams that were trained alone (DTAGN: Jung et al., 2015).

Everything below each stream's top layer is frozen; the tops go on learning together, so that the sum of their
logits decides, and each for itself. The prediction is the softmax of the sum.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fervid.train.losses import cross_entropy
from fervid.train.recipe import Recipe


def joint_loss(
    logits: list[Tensor],
    targets: Tensor,
    own: float = Recipe.own_loss,
    together: float = Recipe.sum_loss,
    weights: Tensor | None = None,
) -> Tensor:
    """Each stream's cross-entropy, and that of the sum of their logits."""
    alone = torch.stack([cross_entropy(one, targets, weights) for one in logits]).sum()
    return own * alone + together * cross_entropy(torch.stack(logits).sum(0), targets, weights)
