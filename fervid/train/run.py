"""A whole training run: data, each stream alone, their fusion, calibration, and the model with its reports.

Every stage keeps its checkpoint in the run folder, so that an interrupted run resumes and ends with the same
weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fervid import metrics, model, streams
from fervid.errors import UsageError
from fervid.execute import Executor
from fervid.streams.network import Network
from fervid.train import alone, committee, footage, fusion, reports, starting, teaching
from fervid.train.augment.pixels import VARIANTS
from fervid.train.folders import check_material
from fervid.train.footage import Footage
from fervid.train.listener import SILENT, Listener
from fervid.train.machine import Machine
from fervid.train.material import Material, gather
from fervid.train.recipe import Recipe
from fervid.train.stages import Run
from fervid.types import Array


def check(recipe: Recipe, material: Material, device: str) -> None:
    """Raise an error if a recipe cannot become a model, before anything is written or deleted."""
    model.check_device(device)
    if recipe.variants and recipe.illumination not in VARIANTS:
        raise UsageError(
            f"--variants trains on {', '.join(VARIANTS)}, and the model would read {recipe.illumination}: "
            "give one of these as --illumination"
        )
    starting.check_named(recipe)
    labels = material.labels
    if recipe.committee > 1:
        members = [starting.member_recipe(recipe, number + 1) for number in range(recipe.committee)]
        recipe = members[0]
    bases = starting.models(recipe)
    if recipe.finetune:
        labels = starting.check_labels(labels, bases[0].spec.labels)
    teaching.check(recipe, labels)
    for name in recipe.streams:
        sizes = recipe.sizes.get(name, {})
        try:
            with torch.device("meta"):
                streams.build(name, len(labels), **sizes)
        except (TypeError, ValueError, RuntimeError) as failure:
            shown = ", ".join(f"{name}.{size}={value}" for size, value in sizes.items())
            raise UsageError(f"{name} does not accept these sizes ({shown}): {failure}") from failure
        if recipe.epochs == 0:
            starting.check_untrained(name, bases, labels, recipe.illumination, recipe.window)


def prepare(recipe: Recipe) -> Material:
    """Read the data of a recipe."""
    labels, complete = () if recipe.finetune else recipe.labels, not recipe.finetune
    return gather(recipe.data, recipe.validation, labels, recipe.held_out, recipe.seed, complete)


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
    """Train in a run folder, from its checkpoints, until it is a model."""
    check_material(folder, material)
    is_committee = recipe.committee > 1
    bases = starting.models(starting.member_recipe(recipe, 1) if is_committee else recipe)
    if recipe.finetune:
        material = replace(material, labels=starting.check_labels(material.labels, bases[0].spec.labels))
    everything = (*material.train, *material.validation)

    def cut() -> Footage:
        return footage.cut(everything, executor, folder=cache, tick=listener.crop)

    strips = cut() if machine.is_main else None
    machine.wait()
    strips = strips or cut()  # other processes read what the main process has stored
    run = Run.of(recipe, material, strips, folder, machine, listener, bases)
    if recipe.teacher:
        run = teaching.with_answers(run, executor, cache)
    return committee.train(run, material, _finish) if is_committee else _finish(run)


def _finish(run: Run) -> Path:
    """Run every stage, and write the model and its reports."""
    networks = {name: alone.train(run, name) for name in run.recipe.streams}
    clips = run.whole_clips(networks, run.validation, run.truth)
    features = run.features(networks, clips, "validation", exact=True)
    own = {name: fusion.sum_logits({name: network.top}, features) for name, network in networks.items()}
    weights = metrics.fit_weights(own, run.truth.argmax(1)) if len(own) > 1 else dict.fromkeys(own, 1.0)
    tops: fusion.Tops = {}
    fused = np.sum([np.float32(weights[name]) * logits for name, logits in own.items()], axis=0)
    rule = run.recipe.fusion if len(networks) > 1 else "weighted"
    if rule == "joint":
        tops = fusion.train(run, networks, weights, features)
        fused = fusion.sum_logits(tops, features)
    temperature = run.temperature(fused)
    spec = reports.spec(run, networks, weights, rule, temperature)
    return reports.end(run, spec, tensors(networks, tops), own, fused)


def tensors(networks: Mapping[str, Network], tops: Mapping[str, nn.Linear]) -> dict[str, Array]:
    """Return the arrays of a model's file."""
    values: dict[str, Array] = {}
    for name, network in networks.items():
        parts = {f"{name}.{key}": value for key, value in network.state_dict().items()}
        if name in tops:
            parts |= {f"{name}.{model.JOINT}{key}": value for key, value in tops[name].state_dict().items()}
        for key, tensor in parts.items():
            array = tensor.detach().cpu().contiguous().numpy()
            values[key] = array.astype(np.float16) if array.ndim > 1 else array
    return values
