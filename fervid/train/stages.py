"""What the stages of a run share: its two sets of data, its machine, its folder and its listener."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fervid.augment.settings import AUGMENTATIONS
from fervid.errors import InputError
from fervid.footage import Footage
from fervid.model import Model
from fervid.streams.network import Network
from fervid.train.batches import Clips, target_shares
from fervid.train.fitting import Draws, Stage, fit
from fervid.train.folders import STATE
from fervid.train.frozen import Features, features
from fervid.train.listener import Listener
from fervid.train.machine import Machine
from fervid.train.material import Material
from fervid.train.recipe import Recipe
from fervid.train.state import History
from fervid.types import Array, Floats


@dataclass(frozen=True, eq=False)
class Run:
    """A training run in progress."""

    recipe: Recipe
    folder: Path
    machine: Machine
    listener: Listener
    bases: Sequence[Model]  # to start from
    labels: tuple[str, ...]
    train: Footage  # training set
    validation: Footage  # validation set
    targets: Floats  # (N, C) of the training set
    truth: Floats  # (M, C) of the validation set
    counts: Tensor  # (C,) training samples per label
    histories: dict[str, History] = field(default_factory=dict)  # of the stages that are done

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        material: Material,
        strips: Footage,
        folder: Path,
        machine: Machine,
        listener: Listener,
        bases: Sequence[Model],
    ) -> Run:
        """Divide the strips of a run's samples into the two sets; warn about those left out."""
        for remark in material.remarks:
            listener.warn(remark)
        is_learnt = np.arange(len(strips)) < len(material.train)
        train = _with_faces(strips, is_learnt, "training", listener)
        validation = _with_faces(strips, ~is_learnt, "validation", listener)
        labels = material.labels
        counts = target_shares(train.samples, labels, 0.0, 0.0).sum(0)
        missing = ", ".join(label for label, count in zip(labels, counts, strict=True) if not count)
        if missing and not recipe.finetune:
            raise InputError(f"no sample of {missing} shows a face: there is nothing to learn it from")
        if missing:
            listener.warn(f"there is no sample of {missing}: the model may unlearn it")
        targets = target_shares(train.samples, labels, recipe.soft_labels, recipe.smoothing)
        truth, tensor = target_shares(validation.samples, labels, 0.0, 0.0), torch.from_numpy(counts)
        return cls(
            recipe, folder, machine, listener, bases, labels, train, validation, targets, truth, tensor
        )

    def clips(self, network: Network, coarse: int = 0) -> Clips:
        """Return the training clips of a stream; the first `coarse` epochs show them small."""
        settings = AUGMENTATIONS[self.recipe.augmentation]
        return Clips(
            self.train,
            self.targets,
            (network.reads,),
            replace(settings, illumination="kuo") if self.recipe.variants else settings,
            self.recipe.illumination,
            network.frames,
            self.recipe.seed,
            self.recipe.epoch_clips,
            coarse,
            self.recipe.moving,
            network.by_motion,
        )

    def validation_clips(self, network: Network) -> Clips:
        """Return the validation clips of a stream."""
        light = self.recipe.illumination
        return Clips(self.validation, self.truth, (network.reads,), illumination=light, length=network.frames)

    def whole(self, networks: Mapping[str, Network], strips: Footage, targets: Floats) -> Clips:
        """Return whole clips, for trained streams."""
        return Clips(
            strips,
            targets,
            sorted({network.reads for network in networks.values()}),
            illumination=self.recipe.illumination,
            seed=self.recipe.seed,
            size=self.recipe.epoch_clips,
            moving=self.recipe.moving,
        )

    def seen(self, networks: Mapping[str, Network], clips: Clips, name: str, exact: bool) -> Features:
        """Return the features of trained streams for whole clips."""
        path = self.checkpoint(f"{name}.features")
        return features(networks, clips, self.recipe.batch, self.machine, path, self.listener, exact)

    def fit(self, stage: Stage, lessons: Draws) -> None:
        """Train a stage, and round its weights as the model's file will have them."""
        path = self.checkpoint(stage.name)
        state = fit(stage, lessons, self.recipe, self.machine, path, self.listener)
        self.histories[stage.name] = state.history
        accuracy = state.history["validation_accuracy"][state.best_epoch]
        self.listener.note(
            f"{stage.name}: best after epoch {state.best_epoch + 1}, validation accuracy {accuracy:.4f}"
        )
        round_weights(stage.learner)

    def checkpoint(self, name: str) -> Path:
        """Return the checkpoint of a stage."""
        return self.folder / STATE / f"{name}.safetensors"


def _with_faces(strips: Footage, part: Array, name: str, listener: Listener) -> Footage:
    """Return the samples of a set that show a face."""
    count, chosen = int(part.sum()), strips.take(np.flatnonzero(strips.has_strip & part))
    if len(chosen) < count:
        listener.warn(f"{count - len(chosen)} of {count} {name} samples show no face, and are left out")
    if not len(chosen):
        raise InputError(f"no {name} sample shows a face: check the data with `fervid datasets check`")
    return chosen


@torch.no_grad()
def round_weights(network: nn.Module) -> None:
    """Round to half precision, as weights are stored, so that the calibrated model is the one that runs."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.copy_(parameter.half().float())
