"""A whole training run: data, each stream alone, their fusion, calibration, and the model with its papers.

Every stage keeps its state in the run folder, so that `resume` goes on from wherever the run was stopped, to
the very weights that it would have had.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fervid import augment, footage, metrics, model, streams
from fervid.errors import InputError, UsageError
from fervid.execute import Executor
from fervid.footage import Footage
from fervid.model import JOINT, Model, Spec, StreamSpec
from fervid.streams.network import Network
from fervid.train import papers, starting
from fervid.train.batches import Batch, Clips, targets
from fervid.train.fitting import USUAL_BATCH, Lesson, Lessons, Stage, answers, fit, judged
from fervid.train.folders import STATE, check_material
from fervid.train.frozen import Features, Frozen, features
from fervid.train.fusion import joint_loss
from fervid.train.listener import SILENT, Listener
from fervid.train.losses import balance
from fervid.train.machine import Machine
from fervid.train.material import Material, gather
from fervid.train.recipe import FINE, Recipe
from fervid.train.settling import settle
from fervid.train.state import History
from fervid.types import Array, Floats

DOUBT = 50  # samples that the temperature from before is worth
JOINT_RATE, JOINT_DECAY = 1e-2, 1e-2
JOINT_DROPOUT = 0.3  # of the frozen features: the streams know their clips too well to need each other


def check(recipe: Recipe, material: Material, device: str) -> None:
    """Refuse, before anything is written or deleted, what could never become a model."""
    model.check_device(device)
    labels = material.labels
    bases = starting.models(recipe)
    if recipe.finetune:
        labels = starting.known(labels, bases[0].spec.labels)
    for name in recipe.streams:
        sizes = recipe.sizes.get(name, {})
        try:
            with torch.device("meta"):
                streams.build(name, len(labels), **sizes)
        except (TypeError, ValueError, RuntimeError) as failure:
            shown = ", ".join(f"{name}.{size}={value}" for size, value in sizes.items())
            raise UsageError(f"there is no {name} of these sizes ({shown}): {failure}") from failure
        if recipe.epochs == 0:
            starting.check_kept(name, bases, labels, recipe.illumination)


def prepare(recipe: Recipe) -> Material:
    """Read the data of a recipe."""
    return gather(
        recipe.data,
        recipe.validation,
        () if recipe.finetune else recipe.labels,
        recipe.held_out,
        recipe.seed,
        complete=not recipe.finetune,
    )


def train(
    recipe: Recipe,
    material: Material,
    folder: Path,
    executor: Executor,
    machine: Machine,
    *,
    cache: Path | None = None,
    listener: Listener = SILENT,
) -> Path:
    """Carry a run that was begun to its end: its folder is then a model."""
    check_material(folder, material)
    bases = starting.models(recipe)
    if recipe.finetune:
        material = replace(material, labels=starting.known(material.labels, bases[0].spec.labels))
    everything = (*material.train, *material.validation)

    def cut() -> Footage:
        return footage.cut(everything, executor, folder=cache, tick=listener.cutting)

    strips = cut() if machine.leads else None
    machine.wait()
    strips = strips or cut()  # the others find what the first has left
    return _Run(recipe, folder, machine, material, strips, bases, listener).finish()


class _Run:
    """The stages of a run, in order."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        machine: Machine,
        material: Material,
        strips: Footage,
        bases: Sequence[Model],
        listener: Listener,
    ) -> None:
        self.recipe, self.folder, self.machine, self.bases = recipe, folder, machine, bases
        self.labels, self.listener = material.labels, listener
        for remark in material.remarks:
            listener.warn(remark)
        count = len(material.train)
        places = np.arange(len(strips))
        self.train = strips.take(np.flatnonzero(strips.found & (places < count)))
        self.judges = strips.take(np.flatnonzero(strips.found & (places >= count)))
        for part, whole, name in (
            (self.train, count, "training"),
            (self.judges, len(strips) - count, "validation"),
        ):
            if len(part) < whole:
                listener.warn(f"{whole - len(part)} of {whole} {name} samples show no face, and are left out")
            if not len(part):
                raise InputError(
                    f"no {name} sample shows a face: check the data with `fervid datasets check`"
                )
        soft, smoothing = recipe.soft_labels, recipe.smoothing
        self.taught = targets(self.train.samples, self.labels, soft, smoothing)
        self.truth = targets(self.judges.samples, self.labels, 0.0, 0.0)
        self.counts = torch.from_numpy(targets(self.train.samples, self.labels, 0.0, 0.0).sum(0))
        missing = [label for label, found in zip(self.labels, self.counts.tolist(), strict=True) if not found]
        if missing and not recipe.finetune:
            raise InputError(
                f"no sample of {', '.join(missing)} shows a face: there is nothing to learn it from"
            )
        if missing:
            listener.warn(f"there is no sample of {', '.join(missing)}: the model may unlearn it")
        self.settings = augment.AUGMENTATIONS[recipe.augmentation]
        if recipe.variants:
            self.settings = replace(self.settings, illumination="kuo")
        self.histories: dict[str, History] = {}

    def finish(self) -> Path:
        networks = {name: self.learnt(name) for name in self.recipe.streams}
        seen = self.seen(networks, self.whole(networks, self.judges, self.truth), "validation", judged=True)
        own = {name: _said({name: network.top}, seen) for name, network in networks.items()}
        truth = self.truth.argmax(1)
        weights = metrics.fit_weights(own, truth) if len(own) > 1 else dict.fromkeys(own, 1.0)
        tops: Mapping[str, nn.Linear] = {}
        fused = np.sum([np.float32(weights[name]) * logits for name, logits in own.items()], axis=0)
        fusion = self.recipe.fusion if len(networks) > 1 else "weighted"
        if fusion == "joint":
            tops = self.together(networks, weights, seen)
            fused = _said(tops, seen)
        temperature = self.temperature(fused)
        if self.machine.leads:
            spec = self.spec(networks, weights, fusion, temperature)
            model.save(self.folder, spec, _tensors(networks, tops))
            papers.write(self.folder, self.recipe, spec, self.histories, self.judges, self.truth, own, fused)
            shutil.rmtree(self.folder / STATE, ignore_errors=True)
        self.machine.wait()
        return self.folder

    def temperature(self, fused: Floats) -> float:
        """What the fused logits are divided by; few samples to judge by say little of it."""
        before = self.bases[0].spec.temperature if self.recipe.finetune else 1.0
        fitted = metrics.fit_temperature(fused, self.truth.argmax(1))
        trust = len(self.judges) / (len(self.judges) + DOUBT)
        return float(fitted**trust * before ** (1 - trust))

    def clips(self, reads: set[str], frames: int, coarse: int = 0, by_motion: bool = False) -> Clips:
        """What is learnt from; the first `coarse` epochs show it small."""
        return Clips(
            self.train,
            self.taught,
            tuple(sorted(reads)),
            self.settings,
            self.recipe.illumination,
            frames,
            self.recipe.seed,
            self.recipe.epoch_clips,
            coarse,
            self.recipe.moving,
            by_motion,
        )

    def examination(self, reads: set[str], frames: int) -> Clips:
        """What is judged by."""
        light = self.recipe.illumination
        return Clips(self.judges, self.truth, tuple(sorted(reads)), illumination=light, length=frames)

    def learnt(self, name: str) -> Network:
        """One stream, trained alone."""
        torch.manual_seed(self.recipe.seed)  # of the first weights
        network = streams.build(name, len(self.labels), **self.recipe.sizes.get(name, {}))
        bases = sorted(self.bases, key=lambda base: name not in base.networks)  # before a parent's are
        if bases and not any(starting.take_over(network, name, base, self.labels) for base in bases):
            self.listener.warn(f"{name} begins anew: no model to start from has such a stream")
        network = network.placed(self.machine.device)
        if not self.recipe.epochs:
            return network.eval() if name in bases[0].networks else self.settled(network, name)
        lesson = Lesson(network, len(self.labels), self.counts, self.recipe).to(self.machine.device)
        by_size = self.recipe.batch / USUAL_BATCH
        rate = network.rate * self.recipe.rate * (by_size if network.optimizer == "sgd" else by_size**0.5)
        examination = self.examination({network.reads}, network.frames)

        def judge() -> tuple[float, float, float]:
            return judged(self._answered(network, examination), self.truth)

        stage = Stage(
            name=name,
            epochs=self.recipe.epochs,
            rate=rate * (FINE if self.recipe.finetune else 1.0),
            decay=network.decay,
            optimizer=network.optimizer,
            learner=lesson,
            loss=lambda batch: lesson(batch, self.machine),
            judge=judge,
        )
        coarse = round(self.recipe.coarse * self.recipe.epochs) if network.any_side else 0
        self.fitted(stage, self.clips({network.reads}, network.frames, coarse, network.by_motion))
        _round(network)
        return self.settled(network, name)

    def settled(self, network: Network, name: str) -> Network:
        """A stream with all that gradients leave alone in it."""
        if network.settles:
            shown = self.clips({network.reads}, network.frames, by_motion=network.by_motion)
            examination = self.examination({network.reads}, network.frames)
            checkpoint = self.folder / STATE / f"{name}.machine.safetensors"
            state = settle(network, shown, examination, self.recipe, self.machine, checkpoint, self.listener)
            strength, seen = (
                state.history[key][state.best_epoch] for key in ("strength", "validation_accuracy")
            )
            self.listener.note(
                f"{name}: support vectors, penalty {strength:g}, validation accuracy {seen:.4f}"
            )
            _round(network)
        return network.eval()

    def fitted(self, stage: Stage, clips: Lessons) -> None:
        checkpoint = self.folder / STATE / f"{stage.name}.safetensors"
        state = fit(stage, clips, self.recipe, self.machine, checkpoint, self.listener)
        self.histories[stage.name] = state.history
        seen = state.history["validation_accuracy"][state.best_epoch]
        self.listener.note(
            f"{stage.name}: best after epoch {state.best_epoch + 1}, validation accuracy {seen:.4f}"
        )

    def _answered(self, network: Network, examination: Clips) -> Floats:
        return answers(
            lambda batch: network(batch[network.reads]), examination, self.recipe.batch, self.machine
        )

    def whole(self, networks: Mapping[str, Network], strips: Footage, taught: Floats) -> Clips:
        """Clips for trained streams, which look at all of each."""
        reads = sorted({network.reads for network in networks.values()})
        return Clips(
            strips,
            taught,
            reads,
            illumination=self.recipe.illumination,
            seed=self.recipe.seed,
            size=self.recipe.epoch_clips,
            moving=self.recipe.moving,
        )

    def seen(self, networks: Mapping[str, Network], clips: Clips, name: str, judged: bool) -> Features:
        """What trained streams see in clips."""
        checkpoint = self.folder / STATE / f"{name}.features.safetensors"
        return features(networks, clips, self.recipe.batch, self.machine, checkpoint, self.listener, judged)

    def together(
        self, networks: Mapping[str, Network], weights_of: Mapping[str, float], judges: Features
    ) -> Mapping[str, nn.Linear]:
        """The tops after joint fine-tuning, on frozen features; they begin as the weighted sum."""
        tops = nn.ModuleDict()
        for name, network in networks.items():
            top = nn.Linear(network.top.in_features, len(self.labels))
            joint = self.bases[0].joint.get(name) if self.recipe.finetune else None
            begun = (joint or network.top).state_dict()
            share = 1.0 if joint is not None else weights_of[name]
            top.load_state_dict({key: share * value for key, value in begun.items()})
            tops[name] = top.to(self.machine.device)
        weights = balance(self.counts, self.recipe.balance).to(self.machine.device)
        whole = self.whole(networks, self.train, self.taught)
        lessons = Frozen(whole, self.seen(networks, whole, "clips", judged=False))

        def loss(batch: Batch) -> tuple[Tensor, Tensor]:
            logits = [
                tops[name](nn.functional.dropout(batch.features[name], JOINT_DROPOUT)) for name in networks
            ]
            loss = joint_loss(logits, batch.targets, self.recipe.own_loss, self.recipe.sum_loss, weights)
            return loss, torch.stack(logits).sum(0)

        def judge() -> tuple[float, float, float]:
            return judged(_said(tops, judges), self.truth)

        stage = Stage(
            name="joint",
            epochs=self.recipe.joint_epochs,
            rate=JOINT_RATE * self.recipe.rate * (FINE if self.recipe.finetune else 1.0),
            decay=JOINT_DECAY,
            optimizer="adamw",
            learner=tops,
            loss=loss,
            judge=judge,
        )
        self.fitted(stage, lessons)
        _round(tops)
        return {name: tops[name] for name in networks}  # type: ignore[misc]

    def spec(
        self, networks: Mapping[str, Network], weights: Mapping[str, float], fusion: str, temperature: float
    ) -> Spec:
        light = self.recipe.illumination
        return Spec(
            name=self.folder.resolve().name,
            labels=self.labels,
            streams=tuple(
                StreamSpec(
                    name,
                    network.reads,
                    self.recipe.sizes.get(name, {}),
                    round(float(weights[name]), 6),
                    light if "faces" in network.reads else "none",
                )
                for name, network in networks.items()
            ),
            fusion=fusion,
            temperature=round(float(temperature), 6),
            trained=True,
            licences=papers.LICENCES,
            training_data=papers.named(self.recipe.data),
            weights_sha256="",
        )


@torch.inference_mode()
def _said(tops: Mapping[str, nn.Linear] | nn.ModuleDict, seen: Features) -> Floats:
    """The sum of the logits of these tops: (N, C)."""
    logits = torch.stack([tops[name](rows) for name, rows in seen.items() if name in tops])
    return np.asarray(logits.sum(0).cpu().numpy(), np.float32)


def _round(network: nn.Module) -> None:
    """To half precision, in which weights are stored: what is calibrated is what will run."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.copy_(parameter.half().float())


def _tensors(networks: Mapping[str, Network], tops: Mapping[str, nn.Linear]) -> dict[str, Array]:
    """What a model's file holds."""
    tensors: dict[str, Array] = {}
    for name, network in networks.items():
        parts = {f"{name}.{key}": value for key, value in network.state_dict().items()}
        if name in tops:
            parts |= {f"{name}.{JOINT}{key}": value for key, value in tops[name].state_dict().items()}
        for key, value in parts.items():
            array = value.detach().cpu().contiguous().numpy()
            tensors[key] = array.astype(np.float16) if array.ndim > 1 else array
    return tensors
