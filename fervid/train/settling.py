"""The second step of aggregating streams: a support vector machine replaces the top layer.

The machine is one against the rest for each class, with a squared hinge, which is smooth and has one minimum;
it is fitted in full, on windows as training shows them. The strength of its regularisation is the one that
does best on the validation set, as with the epoch.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fervid.errors import InputError
from fervid.streams.network import Network
from fervid.streams.survey.aggregate import AT_ONCE, Aggregate, rounded
from fervid.train import state as states
from fervid.train.batches import Clips
from fervid.train.fitting import figures
from fervid.train.listener import Listener, Progress
from fervid.train.losses import balance
from fervid.train.machine import Machine
from fervid.train.recipe import Recipe
from fervid.types import Array, Floats, Ints

STRENGTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # of the penalty on weights: 1 / (N C), as C is usually meant
DRAWS, WINDOWS = 3, 20_000  # windows that are drawn of each clip, and at most of all
STEPS = 500  # of one fit, at most
MARGIN = 3.0  # the logit of a decision value of 1, so that a temperature near 1 calibrates it


def settle(
    network: Network,
    clips: Clips,
    validation_clips: Clips,
    recipe: Recipe,
    machine: Machine,
    checkpoint: Path,
    listener: Listener,
) -> states.State:
    """Fit the parts of a network that gradients do not train, or restore them from the checkpoint."""
    assert isinstance(network, Aggregate)  # the only kind that settles
    network.eval()
    if machine.leads and not checkpoint.is_file():
        windows = _drawn(network, clips, recipe, machine, listener)
        validation = _plain(network, validation_clips, recipe, machine)
        network.fit(windows[0])
        state = _best(network, windows, validation, validation_clips.targets, recipe)
        state.keep("network", network.state_dict())
        states.write(checkpoint, state)
    machine.wait()
    state = states.read(checkpoint) or states.State()
    try:
        network.load_state_dict(state.part("network"))
    except RuntimeError as failure:
        raise InputError(
            f"the checkpoint {checkpoint} is of other labels or sizes than this run: its data has changed; "
            "begin again with --overwrite"
        ) from failure
    return state


def _drawn(
    network: Aggregate, clips: Clips, recipe: Recipe, machine: Machine, listener: Listener
) -> tuple[Tensor, Tensor]:
    """Return windows as another epoch would show them, shuffled: features (N, L, F), and labels (N,)."""
    count = DRAWS * len(clips)
    order = np.random.default_rng([recipe.seed, recipe.epochs]).permutation(count)[:WINDOWS]
    found, labels = [], []
    with torch.no_grad():
        for start in range(0, len(order), recipe.batch):
            batch = clips.drawn(recipe.epochs, order[start : start + recipe.batch], machine.device)
            found.append(network.sampled_features(batch[network.reads]))
            labels.append(batch.targets.argmax(1))
            done = start / len(order)
            listener.tick(Progress("support vectors", 0, 0, done, math.nan, math.nan, math.nan))
    return torch.cat(found), torch.cat(labels)


def _plain(
    network: Aggregate, validation_clips: Clips, recipe: Recipe, machine: Machine
) -> tuple[Tensor, Ints]:
    """Return the validation windows, and the clip index of each."""
    found, indices = [], []
    with torch.no_grad():
        for who, batch in validation_clips.plain(recipe.batch, machine.device):
            found.append(network.sampled_features(batch[network.reads]))
            indices.append(who)
    return torch.cat(found), np.concatenate(indices)


@torch.no_grad()
def _best(
    network: Aggregate,
    windows: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Ints],
    truth: Floats,
    recipe: Recipe,
) -> states.State:
    """Put the machine that validates best into the network; of equals, that with the smallest weights."""
    each, labels = windows
    whitener, classes = network.space.whitener(), network.top.out_features
    rows, validation_rows = (_read(network, found) for found in (each, validation[0]))
    plain = rows if whitener is None else rows @ whitener
    signs = 2.0 * nn.functional.one_hot(labels, classes).double() - 1
    weights = balance(torch.bincount(labels, minlength=classes), recipe.balance).double()[labels]
    state = states.State(finished=True, history={"strength": list(STRENGTHS)})
    machine = plain.new_zeros(plain.shape[1] + 1, classes)
    for index, strength in enumerate(STRENGTHS):
        machine = fitted(plain, signs, weights, strength, machine)
        top = machine[:-1] if whitener is None else whitener @ machine[:-1]
        top, threshold = rounded((MARGIN * top).float()), (MARGIN * machine[-1]).float()
        said = (validation_rows @ top.double() + threshold).cpu().numpy()
        accuracy, recall, _ = figures(_means(said, validation[1], len(truth)), truth)
        state.history.setdefault("validation_accuracy", []).append(accuracy)
        state.history.setdefault("validation_mean_recall", []).append(recall)
        if (accuracy + recall) / 2 > state.best:
            state.best, state.best_epoch = (accuracy + recall) / 2, index
            network.top.weight.copy_(top.T)
            network.top.bias.copy_(threshold)
    return state


def _read(network: Aggregate, each: Tensor) -> Tensor:
    """Return what the top reads of many windows."""
    return torch.cat([network.read(part) for part in torch.split(each, AT_ONCE)]).double()


def _means(said: Array, indices: Ints, count: int) -> Floats:
    """Return the mean of each clip's windows; a clip without windows has nan."""
    total = np.zeros((count, said.shape[1]))
    np.add.at(total, indices, said)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.bincount(indices, minlength=count)[:, None], np.float32)


@torch.enable_grad()
def fitted(rows: Tensor, signs: Tensor, weights: Tensor, strength: float, begun: Tensor) -> Tensor:
    """Return the machines (D + 1, C) for rows (N, D) and signs (N, C); the last row has the thresholds.

    They minimise strength / 2 |w|^2 + the mean of weight * max(0, 1 - sign (x w + b))^2.
    """
    machine = begun.clone().requires_grad_()
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
