"""The data, machine, folder and listener that the stages of a run share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fervid import metrics
from fervid.errors import InputError
from fervid.model import Model
from fervid.streams.network import Network
from fervid.train.annotators import annotations_of
from fervid.train.augment.settings import AUGMENTATIONS
from fervid.train.batches import Clips, make_targets
from fervid.train.fitting import ACCURACY, Stage, TrainingSet, fit
from fervid.train.folders import STATE
from fervid.train.footage import Footage
from fervid.train.frozen import Features, compute_features
from fervid.train.listener import Listener
from fervid.train.machine import Machine
from fervid.train.material import Material
from fervid.train.recipe import Recipe
from fervid.train.state import History
from fervid.types import Array, Floats

DOUBT = 50  # samples that outweigh the temperature of the model before


@dataclass(frozen=True, eq=False)
class Run:
    """A running training run."""

    recipe: Recipe
    folder: Path
    machine: Machine
    listener: Listener
    bases: Sequence[Model]  # to start from
    labels: tuple[str, ...]
    train: Footage
    validation: Footage
    targets: Floats  # (N, C) of the training set
    truth: Floats  # (M, C) of the validation set
    counts: Tensor  # (C,) training samples
    annotations: Floats | None = None  # (N, A, C) of the training set, if the truth is latent
    histories: dict[str, History] = field(default_factory=dict)  # of finished stages
    # Stream -> annotator -> its transition matrix (C, C), if the truth is latent.
    annotators: dict[str, dict[str, Array]] = field(default_factory=dict)

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
        """Split the strips into training and validation; warn of samples left out, and check the rest."""
        for remark in material.remarks:
            listener.warn(remark)
        is_training = np.arange(len(strips)) < len(material.train)
        train = _with_faces(strips, is_training, "training", listener)
        validation = _with_faces(strips, ~is_training, "validation", listener)
        labels = material.labels
        counts = make_targets(train.samples, labels, 0.0, 0.0).sum(0)
        missing = ", ".join(label for label, count in zip(labels, counts, strict=True) if not count)
        if missing and not recipe.finetune:
            raise InputError(
                f"no training sample of {missing} shows a face: add data, or leave the label out of --labels"
            )
        if missing:
            listener.warn(f"there is no training sample of {missing}: the model may unlearn it")
        wanted = make_targets(train.samples, labels, recipe.soft_labels, recipe.smoothing)
        return cls(
            recipe,
            folder,
            machine,
            listener,
            bases,
            labels,
            train,
            validation,
            wanted,
            truth=make_targets(validation.samples, labels, 0.0, 0.0),
            counts=torch.from_numpy(counts),
            annotations=annotations_of(train.samples, labels) if recipe.latent else None,
        )

    def training_clips(self, network: Network, coarse: int = 0) -> Clips:
        """Return the training set of a stream; the first `coarse` epochs show faces smaller."""
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
            self.recipe.window == "clip",
            self.annotations,
        )

    def validation_clips(self, network: Network) -> Clips:
        """Return the validation set of a stream."""
        return Clips(
            self.validation,
            self.truth,
            (network.reads,),
            illumination=self.recipe.illumination,
            length=network.frames,
            whole=self.recipe.window == "clip",
        )

    def whole_clips(self, networks: Mapping[str, Network], strips: Footage, targets: Floats) -> Clips:
        """Return clips for trained streams, which read all windows of each."""
        return Clips(
            strips,
            targets,
            sorted({network.reads for network in networks.values()}),
            illumination=self.recipe.illumination,
            seed=self.recipe.seed,
            size=self.recipe.epoch_clips,
            moving=self.recipe.moving,
            whole=self.recipe.window == "clip",
        )

    def features(self, networks: Mapping[str, Network], clips: Clips, name: str, exact: bool) -> Features:
        """Return the features of trained streams for clips."""
        path, batch = self.checkpoint(f"{name}.features"), self.recipe.batch
        return compute_features(networks, clips, batch, self.machine, path, self.listener, exact)

    def fit(self, stage: Stage, clips: TrainingSet) -> None:
        """Train one stage, and round its weights as the model's file stores them."""
        path = self.checkpoint(stage.name)
        state = fit(stage, clips, self.recipe, self.machine, path, self.listener)
        if stage.measure == ACCURACY:  # the reports are of accuracy
            self.histories[stage.name] = state.history
        value = state.history["validation_accuracy"][state.best_epoch]
        self.listener.note(
            f"{stage.name}: best after epoch {state.best_epoch + 1}, validation {stage.measure} {value:.4f}"
        )
        round_weights(stage.learner)

    def temperature(self, fused: Floats) -> float:
        """Return the divisor of the fused logits, nearer to the previous one if validation is small."""
        before = self.bases[0].spec.temperature if self.recipe.finetune else 1.0
        fitted = metrics.fit_temperature(fused, self.truth.argmax(1))
        trust = len(self.validation) / (len(self.validation) + DOUBT)
        return float(fitted**trust * before ** (1 - trust))

    def checkpoint(self, name: str) -> Path:
        """Return the path of a stage's checkpoint."""
        return self.folder / STATE / f"{name}.safetensors"


def _with_faces(strips: Footage, part: Array, name: str, listener: Listener) -> Footage:
    """Return the samples of one part that show a face."""
    count, chosen = int(part.sum()), strips.take(np.flatnonzero(strips.has_strip & part))
    if len(chosen) < count:
        listener.warn(f"{count - len(chosen)} of {count} {name} samples show no face and are left out")
    if not len(chosen):
        raise InputError(f"no {name} sample shows a face: check the data with `fervid datasets check`")
    return chosen


@torch.no_grad()
def round_weights(network: nn.Module) -> None:
    """Round weights to half precision, as they are stored, so that calibration is of the stored model."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.copy_(parameter.half().float())
