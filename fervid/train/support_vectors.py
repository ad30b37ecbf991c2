"""The second step of aggregating streams: a support vector machine replaces the top.

The machine is one-against-the-rest with a squared hinge loss, which is smooth and has one minimum. It is
fitted on windows drawn as in training. The penalty is the one with the best validation, like the epoch.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fervid.streams.network import Network
from fervid.streams.survey.aggregate import AT_ONCE, Aggregate, rounded
from fervid.train import state as states
from fervid.train.batches import Clips
from fervid.train.fitting import measure
from fervid.train.listener import Listener, Progress
from fervid.train.losses import balance
from fervid.train.machine import Machine
from fervid.train.recipe import Recipe
from fervid.types import Array, Floats, Ints

STRENGTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # of the penalty on weights: 1 / (N C), with the usual C
DRAWS, WINDOWS = 3, 20_000  # windows drawn of each clip, and the most of all clips
STEPS = 500  # the most of one fit
MARGIN = 3.0  # the logit of a decision of 1, so that the calibrated temperature is near 1


def fit_support_vectors(
    network: Network,
    clips: Clips,
    validation: Clips,
    recipe: Recipe,
    machine: Machine,
    checkpoint: Path,
    listener: Listener,
) -> states.State:
    """Fit the machine of a network, or load it from the checkpoint."""
    assert isinstance(network, Aggregate)  # the only streams with support vectors
    network.eval()
    if machine.is_main and not checkpoint.is_file():
        windows = _draw(network, clips, recipe, machine, listener)
        validation_windows = _plain(network, validation, recipe, machine)
        network.fit(windows[0])
        state = _fit_best(network, windows, validation_windows, validation.targets, recipe)
        state.keep("network", network.state_dict())
        states.write(checkpoint, state)
    machine.wait()
    state = states.read(checkpoint) or states.State()
    with states.explained(checkpoint):
        network.load_state_dict(state.part("network"))
    return state


def _draw(
    network: Aggregate, clips: Clips, recipe: Recipe, machine: Machine, listener: Listener
) -> tuple[Tensor, Tensor]:
    """Draw shuffled windows, as one more epoch would: return features (N, L, F) and labels (N,)."""
    count = DRAWS * len(clips)
    order = np.random.default_rng([recipe.seed, recipe.epochs]).permutation(count)[:WINDOWS]
    features, labels = [], []
    with torch.no_grad():
        for start in range(0, len(order), recipe.batch):
            batch = clips.drawn(recipe.epochs, order[start : start + recipe.batch], machine.device)
            features.append(network.sampled_features(batch[network.reads]))
            labels.append(batch.targets.argmax(1))
            done = start / len(order)
            listener.tick(Progress("support vectors", 0, 0, done, math.nan, math.nan, math.nan))
    return torch.cat(features), torch.cat(labels)


def _plain(network: Aggregate, validation: Clips, recipe: Recipe, machine: Machine) -> tuple[Tensor, Ints]:
    """Return the features of the validation windows, and the clip's index of each."""
    features, owners = [], []
    with torch.no_grad():
        for indices, batch in validation.plain(recipe.batch, machine.device):
            features.append(network.sampled_features(batch[network.reads]))
            owners.append(indices)
    return torch.cat(features), np.concatenate(owners)


@torch.no_grad()
def _fit_best(
    network: Aggregate,
    windows: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Ints],
    truth: Floats,
    recipe: Recipe,
) -> states.State:
    """Set the machine with the best validation as the top; of equals, that with the strongest penalty."""
    features, labels = windows
    whitener, classes = network.space.whitener(), network.top.out_features
    rows, validation_rows = (_read(network, values) for values in (features, validation[0]))
    plain = rows if whitener is None else rows @ whitener
    signs = 2.0 * nn.functional.one_hot(labels, classes).double() - 1
    weights = balance(torch.bincount(labels, minlength=classes), recipe.balance).double()[labels]
    state = states.State(finished=True, history={"strength": list(STRENGTHS)})
    machine = plain.new_zeros(plain.shape[1] + 1, classes)
    for index, strength in enumerate(STRENGTHS):
        machine = fit_machine(plain, signs, weights, strength, machine)
        top = machine[:-1] if whitener is None else whitener @ machine[:-1]
        top, threshold = rounded((MARGIN * top).float()), (MARGIN * machine[-1]).float()
        logits = (validation_rows @ top.double() + threshold).cpu().numpy()
        accuracy, recall, _ = measure(_means(logits, validation[1], len(truth)), truth)
        state.history.setdefault("validation_accuracy", []).append(accuracy)
        state.history.setdefault("validation_mean_recall", []).append(recall)
        if (accuracy + recall) / 2 > state.best:
            state.best, state.best_epoch = (accuracy + recall) / 2, index
            network.top.weight.copy_(top.T)
            network.top.bias.copy_(threshold)
    return state


def _read(network: Aggregate, features: Tensor) -> Tensor:
    """Return the input of the top for many windows."""
    return torch.cat([network.read(part) for part in torch.split(features, AT_ONCE)]).double()


def _means(logits: Array, owners: Ints, count: int) -> Floats:
    """Return the mean logits of each clip's windows; nan for a clip without a window."""
    total = np.zeros((count, logits.shape[1]))
    np.add.at(total, owners, logits)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.bincount(owners, minlength=count)[:, None], np.float32)


@torch.enable_grad()
def fit_machine(rows: Tensor, signs: Tensor, weights: Tensor, strength: float, start: Tensor) -> Tensor:
    """Return the machines (D + 1, C) of rows (N, D) and signs (N, C), with thresholds in the last row.

    They minimise strength / 2 |w|^2 + the mean of weight * max(0, 1 - sign (x w + b))^2.
    """
    machine = start.clone().requires_grad_()
    search = torch.optim.LBFGS(
        [machine],
        max_iter=STEPS,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def cost() -> Tensor:
        search.zero_grad()
        missed = (1 - signs * (rows @ machine[:-1] + machine[-1])).clamp_min(0)
        loss = strength / 2 * machine[:-1].square().sum() + (weights @ missed.square()).sum() / len(rows)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    search.step(cost)  # type: ignore[no-untyped-call]
    return machine.detach()
