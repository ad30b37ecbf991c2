"""What the stages of a run share: its data in two parts, its machine, its folder, and who hears of it."""

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
from fervid.train.batches import Clips, targets
from fervid.train.fitting import Lessons, Stage, fit
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
    """A run under way."""

    recipe: Recipe
    folder: Path
    machine: Machine
    listener: Listener
    bases: Sequence[Model]  # to start from
    labels: tuple[str, ...]
    train: Footage  # what is learnt from
    judges: Footage  # what is judged by
    taught: Floats  # (N, C) of what is learnt from
    truth: Floats  # (M, C) of what is judged by
    counts: Tensor  # (C,) samples that are learnt from
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
        """Divide the strips of a run's samples; warn of what is left out, and refuse what cannot do."""
        for remark in material.remarks:
            listener.warn(remark)
        is_learnt = np.arange(len(strips)) < len(material.train)
        train = _with_faces(strips, is_learnt, "training", listener)
        judges = _with_faces(strips, ~is_learnt, "validation", listener)
        labels = material.labels
        counts = targets(train.samples, labels, 0.0, 0.0).sum(0)
        missing = ", ".join(label for label, count in zip(labels, counts, strict=True) if not count)
        if missing and not recipe.finetune:
            raise InputError(f"no sample of {missing} shows a face: there is nothing to learn it from")
        if missing:
            listener.warn(f"there is no sample of {missing}: the model may unlearn it")
        taught = targets(train.samples, labels, recipe.soft_labels, recipe.smoothing)
        truth, tensor = targets(judges.samples, labels, 0.0, 0.0), torch.from_numpy(counts)
        return cls(recipe, folder, machine, listener, bases, labels, train, judges, taught, truth, tensor)

    def clips(self, network: Network, coarse: int = 0) -> Clips:
        """Return what a stream learns from; the first `coarse` epochs show it small."""
        settings = AUGMENTATIONS[self.recipe.augmentation]
        return Clips(
            self.train,
            self.taught,
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

    def examination(self, network: Network) -> Clips:
        """Return what a stream is judged by."""
        light = self.recipe.illumination
        return Clips(self.judges, self.truth, (network.reads,), illumination=light, length=network.frames)

    def whole(self, networks: Mapping[str, Network], strips: Footage, taught: Floats) -> Clips:
        """Return clips for trained streams, which look at all of each."""
        return Clips(
            strips,
            taught,
            sorted({network.reads for network in networks.values()}),
            illumination=self.recipe.illumination,
            seed=self.recipe.seed,
            size=self.recipe.epoch_clips,
            moving=self.recipe.moving,
        )

    def seen(self, networks: Mapping[str, Network], clips: Clips, name: str, judged: bool) -> Features:
        """Return what trained streams see in clips."""
        path = self.checkpoint(f"{name}.features")
        return features(networks, clips, self.recipe.batch, self.machine, path, self.listener, judged)

    def fit(self, stage: Stage, lessons: Lessons) -> None:
        """Train one stage; its weights are then as the model's file will hold them."""
        path = self.checkpoint(stage.name)
        state = fit(stage, lessons, self.recipe, self.machine, path, self.listener)
        self.histories[stage.name] = state.history
        accuracy = state.history["validation_accuracy"][state.best_epoch]
        self.listener.note(
            f"{stage.name}: best after epoch {state.best_epoch + 1}, validation accuracy {accuracy:.4f}"
        )
        round_weights(stage.learner)

    def checkpoint(self, name: str) -> Path:
        """Where a stage keeps how far it has come."""
        return self.folder / STATE / f"{name}.safetensors"


def _with_faces(strips: Footage, part: Array, name: str, listener: Listener) -> Footage:
    """Return the samples of one part that show a face."""
    count, chosen = int(part.sum()), strips.take(np.flatnonzero(strips.has_strip & part))
    if len(chosen) < count:
        listener.warn(f"{count - len(chosen)} of {count} {name} samples show no face, and are left out")
    if not len(chosen):
        raise InputError(f"no {name} sample shows a face: check the data with `fervid datasets check`")
    return chosen


@torch.no_grad()
def round_weights(network: nn.Module) -> None:
    """Round to half precision, in which weights are stored: what is calibrated is what will run."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.copy_(parameter.half().float())
