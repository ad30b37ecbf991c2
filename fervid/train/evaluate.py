"""Evaluation by the protocols of the field: a model is trained for each tested part, and scored on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fervid.datasets import protocols, splitting
from fervid.datasets.protocols import Plan
from fervid.datasets.splitting import Split
from fervid.errors import InputError, UsageError
from fervid.execute import Executor
from fervid.metrics import Predictions
from fervid.train import folders, run
from fervid.train.listener import SILENT, Listener
from fervid.train.machine import Machine
from fervid.train.material import Material, arrange, check_no_shared_files
from fervid.train.recipe import Recipe
from fervid.train.scoring import labels_of as labels_of
from fervid.train.scoring import predict as predict
from fervid.types.samples import Sample


def divide(plan: Plan, recipe: Recipe) -> list[tuple[Split, Material]]:
    """Return the parts of a plan with their training data; raise an error if one cannot be trained."""
    labels = labels_of(plan.samples)
    divided = []
    for part in plan.parts:
        training = (*part.train, *part.validation)
        splitting.check_disjoint(training, part.test)
        if {sample.origin for sample in training}.isdisjoint(sample.origin for sample in part.test):
            check_no_shared_files(training, part.test)  # two datasets can contain the same files
        wanted = () if recipe.finetune else (recipe.labels or labels)
        try:
            held_out, seed, complete = recipe.held_out, recipe.seed, not recipe.finetune
            material = arrange(part.train, part.validation, wanted, held_out, seed, complete=complete)
        except InputError as failure:
            raise InputError(f"{part.name} of {plan.protocol}: {failure}") from failure
        divided.append((part, material))
    return divided


def folder_of(part: Split, runs: Path) -> Path:
    """Return the run folder of a part of a protocol."""
    return runs / re.sub(r"[^\w.-]+", "_", part.name)


def by_protocol(
    protocol: str,
    samples: Sequence[Sample],
    recipe: Recipe,
    runs: Path,
    executor: Executor,
    machine: Machine,
    *,
    cache: Path | None = None,
    listener: Listener = SILENT,
    bases: Sequence[Path] = (),
    crops: int = 1,
) -> Predictions:
    """Train a model for each part of a protocol, unless `runs` has it, and evaluate its test samples.

    `bases` are finished runs of single streams by the same protocol. Their networks are kept unchanged, and
    only what is on top of them is trained: a fusion or a support vector machine.
    """
    parts: list[Predictions] = []
    plan = protocols.plan(samples, protocol)
    for remark in plan.remarks:
        listener.warn(remark)
    labels = labels_of(plan.samples)
    divided = []
    # Check every part before the first is trained.
    for part, material in divide(plan, recipe):
        folder = folder_of(part, runs)
        own = recipe
        if bases:
            alone = tuple(str((base / folder.name).resolve()) for base in bases)
            own = replace(recipe, epochs=0, start_from=alone)
        run.check(own, material, machine.device.type)
        divided.append((part, material, folder, own))
    for fold, (part, material, folder, own) in enumerate(divided):
        if not (folder / folders.RECIPE).is_file():
            folders.begin(folder, own, material)
        elif folders.recipe_of(folder) != own:
            raise UsageError(f"{folder} was started with other settings: name another folder in --runs")
        folders.check_material(folder, material)
        if not folders.is_done(folder):
            listener.note(f"{part.name}: {fold + 1} of {len(divided)}")
            run.train(own, material, folder, executor, machine, cache=cache, listener=listener)
        device = machine.device.type
        predictions = predict(
            folder,
            part.test,
            labels,
            executor,
            device=device,
            cache=cache,
            fold=fold,
            listener=listener,
            crops=crops,
        )
        parts.append(predictions)
    return replace(Predictions.joined(parts), parts=tuple(part.name for part, *_ in divided))
