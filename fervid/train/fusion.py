"""The last stage of a run: joint fine-tuning of streams that were trained alone (DTAGN: Jung et al., 2015).

The tops of the streams are trained further, by the loss of the sum of their logits and by the loss of each;
everything below the tops is frozen. The prediction is the softmax of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from fervid.streams.network import Network
from fervid.train.batches import Batch
from fervid.train.fitting import Stage, measure
from fervid.train.frozen import Features, Frozen
from fervid.train.losses import balance, cross_entropy
from fervid.train.recipe import FINE, Recipe
from fervid.train.stages import Run
from fervid.types import Floats

RATE, DECAY = 1e-2, 1e-2
DROPOUT = 0.3  # of the frozen features: each stream fits its training clips too well to need the others

Tops = dict[str, nn.Linear]  # stream -> its top after joint fine-tuning


def joint_loss(
    logits: list[Tensor],
    targets: Tensor,
    own: float = Recipe.own_loss,
    together: float = Recipe.sum_loss,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the weighted sum of each stream's cross-entropy and that of the sum of their logits."""
    alone = torch.stack([cross_entropy(stream, targets, weights) for stream in logits]).sum()
    return own * alone + together * cross_entropy(torch.stack(logits).sum(0), targets, weights)


@torch.inference_mode()
def sum_logits(tops: Mapping[str, nn.Linear], features: Features) -> Floats:
    """Return the sum of the logits of these tops: (N, C)."""
    logits = torch.stack([tops[name](rows) for name, rows in features.items() if name in tops])
    return np.asarray(logits.sum(0).cpu().numpy(), np.float32)


def train(
    run: Run, networks: Mapping[str, Network], weights: Mapping[str, float], validation: Features
) -> Tops:
    """Return the tops after joint fine-tuning on frozen features, which starts from the weighted sum.

    The fixed tops stay the streams' own: the others learn what these miss.
    """
    fixed = run.recipe.fixed_tops
    shares = {name: 1.0 if name in fixed else weight for name, weight in weights.items()}
    tops = {name: _initial_top(run, network, name, shares[name]) for name, network in networks.items()}
    learned = {name: top for name, top in tops.items() if name not in fixed}
    label_weights = balance(run.counts, run.recipe.balance).to(run.machine.device)

    def loss(batch: Batch) -> tuple[Tensor, Tensor]:
        features = {
            name: rows if name in fixed else nn.functional.dropout(rows, DROPOUT)
            for name, rows in batch.features.items()
        }
        logits = [top(features[name]) for name, top in tops.items()]
        recipe = run.recipe
        loss = joint_loss(logits, batch.targets, recipe.own_loss, recipe.sum_loss, label_weights)
        return loss, torch.stack(logits).sum(0)

    stage = Stage(
        name="joint",
        epochs=run.recipe.joint_epochs,
        rate=RATE * run.recipe.rate * (FINE if run.recipe.finetune else 1.0),
        decay=DECAY,
        optimizer="adamw",
        learner=nn.ModuleDict(learned),
        loss=loss,
        validate=lambda: measure(sum_logits(tops, validation), run.truth),
    )
    clips = run.whole_clips(networks, run.train, run.targets)
    run.fit(stage, Frozen(clips, run.features(networks, clips, "clips", exact=False)))
    return tops


def _initial_top(run: Run, network: Network, name: str, weight: float) -> nn.Linear:
    """Return a top to start from: of the model that is fine-tuned, or the stream's own times its weight."""
    top = nn.Linear(network.top.in_features, len(run.labels))
    joint = run.bases[0].joint.get(name) if run.recipe.finetune else None
    share = 1.0 if joint is not None else weight
    values = (joint or network.top).state_dict()
    top.load_state_dict({key: share * value for key, value in values.items()})
    return top.to(run.machine.device)
