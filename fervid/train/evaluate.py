"""How good a model is on labelled data: scored as analysis scores it, by the protocols of the field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from fervid import footage, model
from fervid.clips import Face, Window
from fervid.datasets import protocols, splitting
from fervid.datasets.protocols import Plan
from fervid.datasets.splitting import Split
from fervid.errors import InputError, UsageError
from fervid.execute import Executor, results
from fervid.footage import Footage, Shard
from fervid.labels import CONTEMPT, EMOTIONS
from fervid.metrics import Predictions
from fervid.model import Model
from fervid.samples import Sample
from fervid.train import folders, run
from fervid.train.listener import SILENT, Listener
from fervid.train.machine import Machine
from fervid.train.material import Material, arrange, check_apart
from fervid.train.recipe import Recipe
from fervid.types import READABLE, Array, Floats, Settings

AT_ONCE = 64  # windows that are scored together: they are many bytes


def divide(plan: Plan, recipe: Recipe) -> list[tuple[Split, Material]]:
    """Return the parts of a plan with their material; raise InputError for a part that cannot be trained."""
    labels = labels_of(plan.samples)
    divided = []
    for part in plan.parts:
        learnt = (*part.train, *part.validation)
        splitting.check_disjoint(learnt, part.test)
        if {sample.origin for sample in learnt}.isdisjoint(sample.origin for sample in part.test):
            check_apart(learnt, part.test)  # two sets may hold the same files
        wanted = () if recipe.finetune else (recipe.labels or labels)
        try:
            material = arrange(
                part.train,
                part.validation,
                wanted,
                recipe.held_out,
                recipe.seed,
                complete=not recipe.finetune,
            )
        except InputError as failure:
            raise InputError(f"{part.name} of {plan.protocol}: {failure}") from failure
        divided.append((part, material))
    return divided


def folder_of(part: Split, runs: Path) -> Path:
    """Return the folder of the model for a part of a protocol."""
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
    over: Sequence[Path] = (),
) -> Predictions:
    """Train a model for each part of a protocol, unless `runs` has it, and score the held-out samples.

    `over` are finished runs of single streams by the same protocol, whose nets are taken over as they are:
    what is on top of them, a fusion or a machine, alone is learnt.
    """
    parts: list[Predictions] = []
    plan = protocols.plan(samples, protocol)
    for remark in plan.remarks:
        listener.warn(remark)
    labels = labels_of(plan.samples)
    divided = []
    # Report whatever is wrong with any part before the first is trained.
    for part, material in divide(plan, recipe):
        folder = folder_of(part, runs)
        own = recipe
        if over:
            alone = tuple(str((each / folder.name).resolve()) for each in over)
            own = replace(recipe, epochs=0, start_from=alone)
        run.check(own, material, machine.device.type)
        divided.append((part, material, folder, own))
    for fold, (part, material, folder, own) in enumerate(divided):
        if not (folder / folders.RECIPE).is_file():
            folders.begin(folder, own, material)
        elif folders.recipe_of(folder) != own:
            raise UsageError(f"{folder} was begun with other settings: name another folder in --runs")
        folders.check_material(folder, material)
        if not folders.is_done(folder):
            listener.note(f"{part.name}: {fold + 1} of {len(divided)}")
            run.train(own, material, folder, executor, machine, cache=cache, listener=listener)
        parts.append(
            predict(
                folder,
                part.test,
                labels,
                executor,
                device=machine.device.type,
                cache=cache,
                fold=fold,
                listener=listener,
            )
        )
    return replace(Predictions.joined(parts), parts=tuple(part.name for part, *_ in divided))


def labels_of(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Return the labels that occur, in their usual order."""
    there = {sample.label for sample in samples}
    return tuple(label for label in (*EMOTIONS, CONTEMPT) if label in there)


@dataclass(frozen=True)
class _Task:
    shard: Shard
    model: str
    device: str


def predict(
    name: str | Path,
    samples: Sequence[Sample],
    labels: tuple[str, ...] | None,
    executor: Executor,
    *,
    device: str = "cpu",
    settings: Settings | None = None,
    cache: Path | None = None,
    fold: int = 0,
    listener: Listener = SILENT,
) -> Predictions:
    """Return a model's predictions, the mean over each sample's windows; `labels` None means all."""
    labels = labels or labels_of(samples)
    folder = str(model.find(name).resolve())
    spec = model.read_spec(folder)
    tasks = [_Task(shard, folder, device) for shard in footage.shards(samples, settings, cache)]
    parts, done = [], 0
    for task, part in zip(tasks, results(executor(_score, tasks)), strict=True):
        parts.append(part)
        done += len(task.shard.samples)
        listener.cutting(done, len(samples))
    back = np.argsort([index for task in tasks for index in task.shard.indices])
    whole = {key: np.concatenate([part[key] for part in parts])[back] for key in parts[0]}
    for sample, trouble in zip(samples, whole["trouble"].tolist(), strict=True):
        if trouble and trouble != footage.NO_FACE:
            listener.warn(f"{sample.name}: {trouble}")
    names = [key for key in whole if key not in ("trouble", "rejected")]
    return Predictions(
        labels=labels,
        model_labels=spec.labels,
        names=tuple(sample.name for sample in samples),
        subjects=tuple(sample.subject or sample.name for sample in samples),
        fold=np.full(len(samples), fold, np.int64),
        truth=np.array([labels.index(sample.label) for sample in samples], np.int64),
        found=whole["trouble"] == "",
        rejected=whole["rejected"],
        logits={key: whole[key] for key in names},
        temperature=np.full(len(samples), spec.temperature, np.float32),
        headline=spec.streams[0].name if len(spec.streams) == 1 else spec.fusion,
    )


def _score(task: _Task) -> dict[str, Array]:
    net, strips = model.load(task.model, task.device), task.shard.footage()
    count, classes = len(strips), len(net.spec.labels)
    if strips.without_crops is not None and net.reading("faces"):
        raise UsageError(
            f"{strips.without_crops} has landmarks alone, and {net.spec.name} looks at faces: take other data"
        )
    totals: dict[str, Floats] = {}
    seen = np.zeros(count, np.int64)
    readable = np.zeros(count, bool)
    stream = windows(strips)
    while some := list(islice(stream, AT_ONCE)):
        indices = np.array([index for index, _ in some], np.int64)
        for name, logits in _answers(net, [window for _, window in some]).items():
            np.add.at(totals.setdefault(name, np.zeros((count, classes), np.float32)), indices, logits)
        np.add.at(seen, indices, 1)
        readable[[index for index, window in some if window.quality >= READABLE]] = True
    answer: dict[str, Array] = {
        "trouble": np.array(strips.troubles, dtype=object),
        "rejected": strips.has_strip & ~readable,
    }
    for name in _names(net):
        total = totals.get(name, np.zeros((count, classes), np.float32))
        mean = total / np.maximum(seen, 1)[:, None]
        answer[name] = np.where(seen[:, None] > 0, mean, np.nan).astype(np.float32)
    return answer


def _answers(net: Model, windows: Sequence[Window]) -> dict[str, Floats]:
    """Return the logits of each stream alone and of each fusion."""
    each: dict[str, Floats] = {}
    together: dict[str, Floats] = {}
    for stream in net.spec.streams:
        own, joint = net.heads(stream.name, [model.read(window, stream.reads) for window in windows])
        each[stream.name] = own
        together[stream.name] = own if joint is None else joint
    return each | _fused(net, each, together)


def _names(net: Model) -> list[str]:
    """Return the keys of what `_answers` returns."""
    empty = {stream.name: np.empty((0, len(net.spec.labels)), np.float32) for stream in net.spec.streams}
    return [*empty, *_fused(net, empty, empty)]


def _fused(net: Model, each: dict[str, Floats], together: dict[str, Floats]) -> dict[str, Floats]:
    """Return the logits of the fusions that this model has."""
    if len(net.spec.streams) == 1:
        return {}
    fused = {"weighted": net.weighted(each)}
    return fused | ({"joint": net.fuse(together)} if net.spec.fusion == "joint" else {})


def windows(strips: Footage) -> Iterator[tuple[int, Window]]:
    """Yield every window of every strip, and the index of its sample."""
    for index in np.flatnonzero(strips.has_strip).tolist():
        yield from ((index, window) for window in Face.of_strip(strips[index]).windows())
