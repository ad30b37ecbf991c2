"""The last stage of a run: joint fine-tuning of streams that were trained alone (DTAGN: Jung et al., 2015).

Everything below each stream's top layer is frozen; the tops go on learning together, so that the sum of their
logits decides, and each for itself. The prediction is the softmax of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from fervid.streams.network import Network
from fervid.train.batches import Batch
from fervid.train.fitting import Stage, figures
from fervid.train.frozen import Features, Frozen
from fervid.train.losses import balance, cross_entropy
from fervid.train.recipe import FINE, Recipe
from fervid.train.stages import Run
from fervid.types import Floats

RATE, DECAY = 1e-2, 1e-2
DROPOUT = 0.3  # of the frozen features: on clips they were trained on, streams would not need each other

Tops = dict[str, nn.Linear]  # stream -> its top after joint fine-tuning


def joint_loss(
    logits: list[Tensor],
    targets: Tensor,
    own: float = Recipe.own_loss,
    together: float = Recipe.sum_loss,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the sum of each stream's cross-entropy and that of their summed logits."""
    alone = torch.stack([cross_entropy(own_logits, targets, weights) for own_logits in logits]).sum()
    return own * alone + together * cross_entropy(torch.stack(logits).sum(0), targets, weights)


@torch.inference_mode()
def summed(tops: Mapping[str, nn.Linear], seen: Features) -> Floats:
    """Return the sum of the logits of these tops: (N, C)."""
    logits = torch.stack([tops[name](rows) for name, rows in seen.items() if name in tops])
    return np.asarray(logits.sum(0).cpu().numpy(), np.float32)


def learn(
    run: Run, networks: Mapping[str, Network], weights: Mapping[str, float], validation: Features
) -> Tops:
    """Return the tops after joint fine-tuning, on frozen features; they begin as the weighted sum."""
    tops = {name: _begun(run, network, name, weights[name]) for name, network in networks.items()}
    of_labels = balance(run.counts, run.recipe.balance).to(run.machine.device)

    def loss(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = [top(nn.functional.dropout(batch.features[name], DROPOUT)) for name, top in tops.items()]
        recipe = run.recipe
        loss = joint_loss(logits, batch.targets, recipe.own_loss, recipe.sum_loss, of_labels)
        return loss, torch.stack(logits).sum(0)

    stage = Stage(
        name="joint",
        epochs=run.recipe.joint_epochs,
        rate=RATE * run.recipe.rate * (FINE if run.recipe.finetune else 1.0),
        decay=DECAY,
        optimizer="adamw",
        learner=nn.ModuleDict(tops),
        loss=loss,
        validate=lambda: figures(summed(tops, validation), run.truth),
    )
    whole = run.whole(networks, run.train, run.targets)
    run.fit(stage, Frozen(whole, run.seen(networks, whole, "clips", exact=False)))
    return tops


def _begun(run: Run, network: Network, name: str, weight: float) -> nn.Linear:
    """Return the top to begin with: the fine-tuned model's, or the stream's own times its weight."""
    top = nn.Linear(network.top.in_features, len(run.labels))
    joint = run.bases[0].joint.get(name) if run.recipe.finetune else None
    share = 1.0 if joint is not None else weight
    begun = (joint or network.top).state_dict()
    top.load_state_dict({key: share * value for key, value in begun.items()})
    return top.to(run.machine.device)
