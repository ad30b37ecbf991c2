"""The report files of a run: curves, validation figures, pictures, and the model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fervid import datasets, files, metrics, model
from fervid.errors import OutputError
from fervid.metrics import Predictions, charts
from fervid.model import Spec, StreamSpec
from fervid.streams.network import Network
from fervid.train.batches import is_over_time
from fervid.train.folders import STATE
from fervid.train.recipe import Recipe
from fervid.train.stages import Run
from fervid.types import Array, Floats

HISTORY, FIGURES, CARD = "history.json", "validation.json", "card.md"
ANNOTATORS = "annotators.json"  # their transition matrices, a row per true label

LICENCES = {
    "weights": "whatever the terms of the training data allow",
    "landmarks": "found by dlib's 68-point predictor, trained on iBUG 300-W: no commercial use",
}


def named(specs: Sequence[str]) -> tuple[str, ...]:
    """Return the names of datasets, without their folders."""
    names = []
    for asked in map(datasets.parse, specs):
        options = "&".join(f"{name}={Path(value).name}" for name, value in asked.options.items())
        name = f"{asked.name}:{Path(asked.path).name or asked.path}"
        names.append(f"{name}?{options}" if options else name)
    return tuple(names)


def spec(
    run: Run,
    networks: Mapping[str, Network],
    weights: Mapping[str, float],
    fusion: str,
    temperature: float,
) -> Spec:
    """Return the description of a model, without the hash of its weights."""
    recipe = run.recipe
    return Spec(
        name=run.folder.resolve().name,
        labels=run.labels,
        streams=tuple(
            StreamSpec(
                name,
                network.reads,
                recipe.sizes.get(name, {}),
                round(float(weights[name]), 6),
                recipe.illumination if "faces" in network.reads else "none",
                recipe.window if is_over_time(network) else "short",
            )
            for name, network in networks.items()
        ),
        fusion=fusion,
        temperature=round(float(temperature), 6),
        trained=True,
        licences=LICENCES,
        training_data=named(recipe.data),
        weights_sha256="",
    )


def end(run: Run, spec: Spec, tensors: Mapping[str, Array], own: Mapping[str, Floats], fused: Floats) -> Path:
    """Write the model and its reports, and delete the checkpoints; return the run folder."""
    if run.machine.is_main:
        model.save(run.folder, spec, tensors)
        try:
            write(run, spec, own, fused)
        except OSError as failure:
            raise OutputError(f"cannot write the reports in {run.folder}: {failure.strerror}") from failure
        shutil.rmtree(run.folder / STATE, ignore_errors=True)
    run.machine.wait()
    return run.folder


def write(run: Run, spec: Spec, own: Mapping[str, Floats], fused: Floats) -> None:
    """Write every report file into the run folder."""
    folder, histories = run.folder, run.histories
    if histories:  # the members of a committee have their own
        files.write(folder / HISTORY, json.dumps(histories, indent=1) + "\n")
    for stage, history in histories.items():
        charts.curves(history, folder / f"curves_{stage}", stage)
    if run.annotators:
        value = {"labels": run.labels} | {
            stream: {name: np.round(matrix, 4).tolist() for name, matrix in matrices.items()}
            for stream, matrices in run.annotators.items()
        }
        files.write(folder / ANNOTATORS, json.dumps(value, indent=1) + "\n")
    predictions = validation(run, spec, own, fused)
    figures = metrics.report(predictions)
    files.write(folder / FIGURES, json.dumps(figures, indent=1) + "\n")
    charts.confusion(np.array(figures["confusion"]), spec.labels, folder / "confusion")
    files.write(folder / CARD, card(run.recipe, spec, figures))


def validation(run: Run, spec: Spec, own: Mapping[str, Floats], fused: Floats) -> Predictions:
    """Return the predictions of the finished model for the validation set."""
    logits = dict(own)
    if len(own) > 1 and not spec.vote:
        parts = [np.float32(stream.weight) * own[stream.name] for stream in spec.streams]
        logits["weighted"] = np.asarray(np.sum(parts, axis=0), np.float32)
    logits[spec.headline] = fused.astype(np.float32)
    count, samples = len(run.validation), run.validation.samples
    return Predictions(
        labels=spec.labels,
        model_labels=spec.labels,
        names=tuple(sample.name for sample in samples),
        subjects=tuple(sample.subject or sample.name for sample in samples),
        fold=np.zeros(count, np.int64),
        truth=run.truth.argmax(1).astype(np.int64),
        has_face=np.ones(count, bool),
        rejected=np.zeros(count, bool),
        logits=logits,
        temperature=np.full(count, spec.temperature, np.float32),
        headline=spec.headline,
    )


def card(recipe: Recipe, spec: Spec, figures: Mapping[str, Any]) -> str:
    """Return the model card, in Markdown."""
    rows = [
        f"| {name} | {100 * part['accuracy']:.1f} | {100 * part['mean_recall']:.1f} |"
        for name, part in figures["streams"].items()
    ]
    classes = [
        f"| {label} | {100 * part['recall']:.1f} | {100 * part['precision']:.1f} | {part['support']} |"
        if part["recall"] is not None and part["precision"] is not None
        else f"| {label} | - | - | {part['support']} |"
        for label, part in figures["per_class"].items()
    ]
    settings = [
        f"- `{name}`: {value if not isinstance(value, tuple) else ', '.join(value) or '-'}"
        for name, value in recipe.as_json().items()
        if name not in ("data", "validation", "start_from") and value not in ({}, ())
    ]
    lines = [
        f"# {spec.name}",
        "",
        f"Reads {', '.join(spec.labels)} from faces in video; streams {' + '.join(recipe.streams)}, "
        f"fused by {'the ' + spec.fusion + ' rule' if len(recipe.streams) > 1 else 'nothing, being one'}.",
        *([f"A committee of {recipe.committee}, which answers by {spec.vote}."] if spec.vote else []),
        "",
        "The scores describe visible expression. They say nothing of what a person feels, and are no ground",
        "for decisions about people.",
        "",
        "## Learnt from",
        "",
        *[f"- `{data}`" for data in spec.training_data],
        "",
        "## Figures on the validation part",
        "",
        f"{figures['n']} samples of people who are in no training sample. The best epoch, the penalty of",
        "support vectors, the weights of the sum and the temperature were chosen here, so that these figures",
        "flatter; `fervid eval` on data that the run has not seen tells the truth.",
        "",
        "| | accuracy % | mean recall % |",
        "|---|---|---|",
        *rows,
        "",
        f"Expected calibration error {figures['ece']:.3f} (before the temperature "
        f"{figures['ece_before_temperature']:.3f}).",
        "",
        "| class | recall % | precision % | samples |",
        "|---|---|---|---|",
        *classes,
        "",
        "## Settings",
        "",
        *settings,
        "",
        "## Terms",
        "",
        *[f"- {what}: {terms}" for what, terms in spec.licences.items()],
        "",
    ]
    return "\n".join(lines)
