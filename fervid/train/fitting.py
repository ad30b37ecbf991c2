"""One stage of training: epochs over a training set, validation, and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from fervid.errors import ModelError
from fervid.streams.network import Network
from fervid.train import state as states
from fervid.train.annotators import Annotators
from fervid.train.batches import Batch, Clips
from fervid.train.listener import Listener, Progress
from fervid.train.losses import (
    CenterLoss,
    IslandLoss,
    balance,
    cross_entropy,
    exponential_triplets,
    locality_preserving,
    tuplet_clusters,
)
from fervid.train.machine import Machine
from fervid.train.recipe import Recipe
from fervid.types import Floats, Ints

WARM_UP = 0.1  # the learning rate rises over this share of the steps, then falls along a cosine
LONGEST_GRADIENT = 5.0
MOMENTUM = 0.9
ACCURACY = "accuracy"  # the measure of stages that learn labels
USUAL_BATCH = 128  # clips: the streams' learning rates are for this batch


@dataclass
class Stage:
    """A module to train, its loss and its validation."""

    name: str
    epochs: int
    rate: float
    decay: float
    optimizer: str  # "sgd", "adam" or "adamw"
    learner: nn.Module  # its parameters are trained and averaged
    loss: Callable[[Batch], tuple[Tensor, Tensor | None]]  # the loss, and the logits (B, C), if there are any
    validate: Callable[[], tuple[float, float, float]]  # accuracy, mean recall and loss
    measure: str = ACCURACY  # what validation returns first


class TrainingSet(Protocol):
    """The training set of a stage, drawn in batches that depend on the seed and the step alone."""

    def steps(self, batch: int) -> int: ...

    def epoch(self, number: int, batch: int, part: int = 0, parts: int = 1) -> Iterator[tuple[int, Ints]]: ...

    def drawn(self, number: int, draws: Ints, device: torch.device) -> Batch: ...


def fit(
    stage: Stage, clips: TrainingSet, recipe: Recipe, machine: Machine, checkpoint: Path, listener: Listener
) -> states.State:
    """Train from the checkpoint, if there is one, and load the best averaged weights into the learner."""
    learner = stage.learner
    optimizer = _optimizer(stage)
    average = {name: value.detach().clone() for name, value in _floats(learner).items()}
    state = _resume(checkpoint, learner, average, optimizer)
    machine.wait()  # until all have read it, before the main process writes another
    steps = clips.steps(recipe.batch)
    written = time.monotonic()

    def save() -> None:
        if machine.is_main:
            state.keep("learner", learner.state_dict())
            state.keep("average", average)
            state.keep("optimizer", _tensors(optimizer))
            states.write(checkpoint, state)

    while not state.finished:
        learner.train()
        for step, draws in clips.epoch(state.epoch, recipe.batch, machine.part, machine.parts):
            if step < state.step:
                continue
            now = state.epoch * steps + step
            for group in optimizer.param_groups:
                group["lr"] = stage.rate * _schedule(now / (stage.epochs * steps))
            torch.manual_seed(hash((recipe.seed, stage.epochs, now, machine.part)) % (1 << 31))
            batch = clips.drawn(state.epoch, draws, machine.device)
            sums = _step(stage, batch, optimizer, machine, state.epoch)
            _follow(average, learner, recipe.average, now)
            state.sums = [before + more for before, more in zip(state.sums, sums, strict=True)]
            state.step = step + 1
            listener.tick(_progress(stage, state, steps))
            if time.monotonic() - written > states.BETWEEN_CHECKPOINTS:
                save()
                written = time.monotonic()
        _end_epoch(stage, state, average, learner, machine, recipe.patience)
        listener.tick(_progress(stage, state, steps))
        save()
        written = time.monotonic()
    best = state.part("best")
    learner.load_state_dict(learner.state_dict() | {k: v.to(machine.device) for k, v in best.items()})
    learner.eval()
    return state


def _resume(
    checkpoint: Path, learner: nn.Module, average: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> states.State:
    """Return the state of the stage and load its weights; a new state if there is no checkpoint."""
    state = states.read(checkpoint) or states.State()
    if state.tensors:
        with states.explained(checkpoint):
            learner.load_state_dict(state.part("learner"))
            for name, value in state.part("average").items():
                average[name].copy_(value)
            _restore(optimizer, state.part("optimizer"))
    return state


def _step(
    stage: Stage, batch: Batch, optimizer: torch.optim.Optimizer, machine: Machine, epoch: int
) -> tuple[float, float, float]:
    """Train on one batch; return its summed loss, its correct predictions, and its clips."""
    loss, logits = stage.loss(batch)
    if not torch.isfinite(loss.detach()):
        raise ModelError(
            f"the loss of {stage.name} is not a number in epoch {epoch + 1}: start again with a lower --rate"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    machine.average_gradients(stage.learner)
    nn.utils.clip_grad_norm_(stage.learner.parameters(), LONGEST_GRADIENT)
    optimizer.step()
    count = len(batch.targets)
    right = math.nan if logits is None else float((logits.argmax(1) == batch.targets.argmax(1)).sum())
    return float(loss.detach()) * count, right, float(count)


def _end_epoch(
    stage: Stage,
    state: states.State,
    average: dict[str, Tensor],
    learner: nn.Module,
    machine: Machine,
    patience: int,
) -> None:
    """Validate the averaged weights after an epoch, and keep them if they are the best so far."""
    machine.average_buffers(learner)
    own = {name: value.detach().clone() for name, value in _floats(learner).items()}
    learner.load_state_dict(learner.state_dict() | average)
    learner.eval()
    with torch.inference_mode():
        accuracy, recall, loss = machine.broadcast(stage.validate())
    sums = machine.total(state.sums)
    for name, value in (
        ("loss", sums[0] / sums[2]),
        ("accuracy", sums[1] / sums[2]),
        ("validation_loss", loss),
        ("validation_accuracy", accuracy),
        ("validation_mean_recall", recall),
    ):
        state.history.setdefault(name, []).append(value)
    score = (accuracy + recall) / 2  # so that neither common nor rare classes decide alone
    if score > state.best:
        state.gained = state.epoch
    if math.isnan(score) or score >= state.best:
        state.best, state.best_epoch = -1.0 if math.isnan(score) else score, state.epoch
        state.keep("best", average)
    learner.load_state_dict(learner.state_dict() | own)
    state.epoch, state.step, state.sums = state.epoch + 1, 0, [0.0, 0.0, 0.0]
    is_late = patience and state.epoch - 1 - state.gained >= patience
    state.finished = bool(is_late) or state.epoch >= stage.epochs


def _schedule(done: float) -> float:
    """Return the learning rate, as a share of its peak, after a share of the steps."""
    if done < WARM_UP:
        return max(done / WARM_UP, 0.01)
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _optimizer(stage: Stage) -> torch.optim.Optimizer:
    """Make the optimizer, with weight decay on kernels and matrices, not on norms and biases."""
    wide = [p for p in stage.learner.parameters() if p.requires_grad and p.dim() > 1]
    thin = [p for p in stage.learner.parameters() if p.requires_grad and p.dim() <= 1]
    groups = [{"params": wide, "weight_decay": stage.decay}, {"params": thin, "weight_decay": 0.0}]
    if stage.optimizer == "sgd":
        return torch.optim.SGD(groups, stage.rate, MOMENTUM, nesterov=True)
    kind = torch.optim.Adam if stage.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, stage.rate)


def _tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state of an optimizer, by parameter and name."""
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, memory in optimizer.state_dict()["state"].items()
        for name, value in memory.items()
        if value is not None
    }


def _restore(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    memory: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        memory.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": memory, "param_groups": optimizer.state_dict()["param_groups"]})


def _floats(network: nn.Module) -> dict[str, Tensor]:
    """Return weights and running statistics, which can be averaged, unlike counters."""
    return {name: value for name, value in network.state_dict().items() if value.is_floating_point()}


@torch.no_grad()
def _follow(average: dict[str, Tensor], network: nn.Module, kept: float, step: int) -> None:
    """Update the averaged weights; the decay is smaller in the first steps, so that early weights fade."""
    kept = min(kept, (1 + step) / (10 + step))
    for name, value in _floats(network).items():
        average[name].lerp_(value, 1 - kept)


def _progress(stage: Stage, state: states.State, steps: int) -> Progress:
    count = state.sums[2] or math.nan
    validation = state.history.get("validation_accuracy", [])
    return Progress(
        stage=stage.name,
        epoch=min(state.epoch + 1, stage.epochs),
        epochs=stage.epochs,
        done=1.0 if state.finished else (state.epoch + state.step / steps) / stage.epochs,
        loss=state.sums[0] / count,
        accuracy=state.sums[1] / count,
        validation=validation[-1] if validation else math.nan,
        measure=stage.measure,
    )


class StreamLoss(nn.Module):
    """A stream and its training loss: cross-entropy, the stream's own loss, and those of the recipe."""

    def __init__(self, network: Network, classes: int, counts: Tensor, recipe: Recipe) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        self.register_buffer("weights", balance(counts, recipe.balance), persistent=False)
        width = network.top.in_features
        self.annotators = Annotators(classes) if recipe.latent else None
        self.center = CenterLoss(classes, width) if recipe.center_loss else None
        self.island = IslandLoss(classes, width) if recipe.island_loss else None

    def forward(self, batch: Batch, machine: Machine) -> tuple[Tensor, Tensor]:
        clip, targets = batch[self.network.reads], batch.targets
        if self.recipe.mixup:
            clip, targets = _mix_up(clip, targets, self.recipe.mixup)
        weights = self.weights
        assert isinstance(weights, Tensor)
        self.network.class_weights = weights
        with machine.autocast(self.network):
            features, own = self.network.features_and_loss(clip, targets)
            logits = self.network.top(features)
        if self.annotators is None:
            loss = cross_entropy(logits, targets, weights)
        else:
            assert batch.annotations is not None
            loss = self.annotators(logits, batch.annotations, weights)
        if own is not None:
            loss = loss + own
        if self.center is not None:
            loss = loss + self.recipe.center_loss * self.center(features, targets)
        if self.island is not None:
            loss = loss + self.recipe.island_loss * self.island(features, targets)
        if self.recipe.locality_loss:
            loss = loss + self.recipe.locality_loss * locality_preserving(features, targets)
        if self.recipe.tuplet_loss:
            loss = loss + self.recipe.tuplet_loss * tuplet_clusters(features, targets, batch.people)
        if self.recipe.triplet_loss:
            loss = loss + self.recipe.triplet_loss * exponential_triplets(features, targets)
        return loss, logits


def _mix_up(clip: Tensor, targets: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Blend every clip and its target with another, at random from torch's generator, seeded each step."""
    share = torch.distributions.Beta(strength, strength).sample((len(clip),)).to(clip.device)
    share = torch.maximum(share, 1 - share)  # the clip itself has the larger share
    other = torch.randperm(len(clip)).to(clip.device)
    wide = share.view(-1, *[1] * (clip.dim() - 1))
    share = share[:, None]
    return wide * clip + (1 - wide) * clip[other], share * targets + (1 - share) * targets[other]


def mean_logits(heads: Callable[[Batch], Tensor], clips: Clips, batch: int, machine: Machine) -> Floats:
    """Return the mean logits of every clip's windows: (N, C); nan for a clip without a window."""
    total: Floats | None = None
    count = np.zeros(len(clips), np.int64)
    with torch.inference_mode():
        for indices, ready in clips.plain(batch, machine.device):
            logits = heads(ready).float().cpu().numpy()
            if total is None:
                total = np.zeros((len(clips), logits.shape[1]), np.float32)
            np.add.at(total, indices, logits)
            np.add.at(count, indices, 1)
    assert total is not None, "the validation set is empty"
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count[:, None], np.float32)


def measure(logits: Floats, targets: Floats) -> tuple[float, float, float]:
    """Return accuracy, mean recall over the classes that occur, and loss; the label is the largest share."""
    truth: Ints = targets.argmax(1)
    right = logits.argmax(1) == truth
    recalls = [right[truth == label].mean() for label in np.unique(truth)]
    shifted = logits - logits.max(1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return float(right.mean()), float(np.mean(recalls)), float(-(targets * log_probability).sum(1).mean())
