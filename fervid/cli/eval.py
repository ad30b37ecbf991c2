"""`fervid eval`: evaluate a model on labelled data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fervid.cli.shared import options, output, training
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.output import STANDARD, open_text, show
from fervid.errors import UsageError
from fervid.train.recipe import FINE_EPOCHS, Recipe

if TYPE_CHECKING:
    from fervid.metrics import Predictions
    from fervid.types.samples import Sample

PICTURES = ("confusion", "reliability", "risk_coverage")
FEW = 10  # parts of a protocol that are listed, at most


@options.command(
    "eval",
    examples="""
    fervid eval --data folder:clips/ --model model/
    fervid eval --data fer2013:fer2013.csv?usage=PublicTest --json
    fervid eval --data ckplus:CK+/?classes=7 --protocol kfold:10 --streams c3d+phrnn
    fervid eval --data ckplus:CK+/ --data oulu:Oulu/ --data mmi:MMI/ --protocol leave-one-set-out
    fervid eval --data ravdess:RAVDESS/ --predictions said.csv --pictures figures/
    fervid eval --data csv:clips.csv --by gender --by age:30,50
    """,
)
@training.DATA
@options.apply(*options.MODEL)
@click.option(
    "--protocol",
    metavar="kfold:N[:dealt|blocks]|loso|official|leave-one-set-out",
    help="Train a model for each tested part: N folds of people, one person at a time, the dataset's own "
    "parts, or one --data at a time; with --model, fine-tune that model for each part.",
)
@click.option(
    "--by",
    "columns",
    multiple=True,
    metavar="COLUMN[:EDGES]",
    help="Add figures for each group: by a column of csv data or of --about, or subject, split or origin; "
    "EDGES such as age:30,50 group numbers. May be repeated.",
)
@click.option("--about", metavar="FILE.csv", help="A table with columns for --by, by name or subject.")
@click.option("--runs", metavar="DIR", help="Keep the models of a protocol in DIR, and resume from those.")
@click.option(
    "--crops",
    type=click.Choice(["1", "5", "10"]),
    default="1",
    show_default=True,
    help="Average the predictions for five crops of each face, or ten, half of them mirrored.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every figure as JSON.")
@options.target(
    "--predictions", metavar="FILE.csv", help="Write the prediction of each sample; - is standard output."
)
@click.option("--pictures", metavar="DIR", help="Draw confusion, reliability, and risk over coverage.")
@options.apply(
    *training.ARCHITECTURE, *training.TRAINING, training.JOBS, training.NO_CACHE, options.OVERWRITE
)
@click.pass_context
def eval(
    ctx: click.Context,
    /,
    data: tuple[str, ...],
    model: str,
    device: str,
    protocol: str | None,
    columns: tuple[str, ...],
    about: str | None,
    runs: str | None,
    crops: str,
    as_json: bool,
    predictions: str | None,
    pictures: str | None,
    jobs: int | None,
    no_cache: bool,
    overwrite: bool,
    **values: Any,
) -> None:
    """Evaluate a model on every sample of labelled data, or by a protocol.

    Accuracy is over all samples: a sample without a face is wrong. Of a clip, windows that show an expression
    count more than those at rest. The training options need --protocol.
    With --by, the figures of groups and the gaps between them follow, as tables for a model card.
    """
    messages: Messages = ctx.obj
    if not data:
        raise UsageError("name labelled data with --data, see `fervid datasets list`")
    given = training.given(ctx, values)
    if protocol is None and (given or runs is not None):
        name = given[0] if given else "runs"
        raise UsageError(f"--{name.replace('_', '-')} is an option of training: give it with --protocol")
    if as_json and predictions == STANDARD:
        raise UsageError("--json and --predictions cannot both be written to standard output")
    if about is not None and not columns:
        raise UsageError("--about is for --by: name a column of it with --by")
    targets = [target for target in (predictions,) if target is not None]
    if pictures is not None:
        folder = output.make_folder(pictures)
        targets += [str(folder / f"{name}.{form}") for name in PICTURES for form in ("png", "svg")]
    output.check_targets(targets, [], overwrite)
    is_named = ctx.get_parameter_source("model") is ParameterSource.COMMANDLINE
    if protocol is not None:
        training.check_one_process("a protocol")
    from fervid import execute
    from fervid.train import evaluate, scoring

    samples = training.read(data)
    groups = {column: _groups(samples, column, about) for column in columns}  # fails before any work
    with (
        training.strips(no_cache) as cache,
        training.listening(messages) as listener,
        execute.open_executor(jobs) as executor,
    ):
        shared: dict[str, Any] = {"cache": cache, "listener": listener, "crops": int(crops)}
        if protocol is None:
            results = scoring.predict(model, samples, None, executor, device=device, **shared)
        else:
            recipe = _recipe(model if is_named else None, values | {"data": data}, given)
            with training.kept_runs(runs) as folder, training.hardware(device, jobs) as machine:
                results = evaluate.by_protocol(protocol, samples, recipe, folder, executor, machine, **shared)
    annotated = {sample.name: sample.affect for sample in samples if sample.affect is not None}
    _report(results, annotated, groups, as_json, predictions, overwrite, pictures)


def _groups(samples: Sequence[Sample], column: str, about: str | None) -> dict[str, str]:
    """Return the group of each sample by its name."""
    from fervid.datasets import columns

    names = (sample.name for sample in samples)
    return dict(zip(names, columns.groups(samples, column, about), strict=True))


def _recipe(model: str | None, values: dict[str, Any], given: list[str]) -> Recipe:
    """Return the recipe to train with, or to fine-tune a model with, which has its own architecture."""
    recipe = training.recipe_of(values)
    if model is None:
        return recipe
    if "epochs" not in given:
        recipe = replace(recipe, epochs=FINE_EPOCHS)
    from fervid.train import starting

    fixed = [name for name in training.ARCHITECTURE_FIELDS if name in given]
    if fixed:
        raise UsageError(f"--{fixed[0].replace('_', '-')} is decided by the model: leave it out, or --model")
    return starting.finetune_recipe(model, recipe)


def _report(
    results: Predictions,
    annotated: dict[str, tuple[float, float]],
    groups: dict[str, dict[str, str]],
    as_json: bool,
    predictions: str | None,
    overwrite: bool,
    pictures: str | None,
) -> None:
    """Write the figures, predictions and pictures that the options ask for."""
    from fervid import metrics

    figures = metrics.report(results)
    affect = metrics.affect(results, annotated)
    if affect is not None:
        figures["affect"] = affect
    if groups:
        figures["by"] = {
            column: metrics.by_group(results, [group[name] for name in results.names])
            for column, group in groups.items()
        }
    if predictions is not None:
        import csv

        header, rows = metrics.rows(results)
        with open_text(predictions, overwrite) as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow(header)
            table.writerows(rows)
    if pictures is not None:
        _draw(results, figures, Path(pictures))
    if as_json:
        show(json.dumps(figures, indent=2))
    elif predictions != STANDARD:
        show(as_text(figures))


def _draw(results: Predictions, figures: dict[str, Any], folder: Path) -> None:
    import numpy as np

    from fervid import metrics
    from fervid.metrics import charts

    output.make_folder(str(folder))
    no_face = np.array(figures["confusion_no_face"])[:, None]
    charts.confusion(np.hstack([figures["confusion"], no_face]), results.labels, folder / "confusion")
    right = metrics.predicted(results) == results.truth
    has_face = results.has_face
    bins = {}
    for name, calibrated in (("after temperature", True), ("before", False)):
        confidence = metrics.confidence(results, temperature=calibrated)
        calibration = metrics.Calibration.of(confidence[has_face], right[has_face])
        bins[name] = (calibration.count, calibration.confidence, calibration.right)
    charts.reliability(bins, folder / "reliability")
    curve = metrics.risk_coverage(metrics.confidence(results), right)
    charts.risk_coverage({results.headline: (curve.coverage, curve.risk)}, folder / "risk_coverage")


def as_text(figures: dict[str, Any]) -> str:
    """Return the figures as plain text."""
    from fervid.cli.shared.columns import grid

    lines = [
        f"{figures['n']} samples, {figures['n_no_face']} of them without a face",
        "",
        _row("", "accuracy", "mean recall", "macro F1"),
    ]
    lines += [
        _row(name, part["accuracy"], part["mean_recall"], part["macro_f1"])
        for name, part in figures["streams"].items()
    ]
    interval = figures["interval"]
    if interval["accuracy"] is not None:
        low, high = interval["accuracy"]
        lines.append(
            f"95 % interval of the {figures['headline']} accuracy, over people: {low:.3f} to {high:.3f}"
        )
    lines += _of_parts(figures)
    detected = figures["detected"]
    lines += [
        f"with a face: {_figure(detected['accuracy'])} of {detected['n']}",
        f"calibration error {_figure(figures['ece'])}, before the temperature "
        f"{_figure(figures['ece_before_temperature'])}",
        "accuracy at coverage: "
        + ", ".join(f"{share} {_figure(v)}" for share, v in figures["risk_coverage"]["accuracy_at"].items()),
        "",
        "confusion: a row per true label, in samples",
    ]
    labels = figures["labels"]
    rows = [
        [label, *map(str, counts), str(missed), _figure(figures["per_class"][label]["recall"])]
        for label, counts, missed in zip(
            labels, figures["confusion"], figures["confusion_no_face"], strict=True
        )
    ]
    lines += grid(["", *labels, "no face", "recall"], rows)
    lines += ["", *_per_label(figures, max(map(len, labels)))]
    if "affect" in figures:
        lines += ["", *_of_affect(figures["affect"])]
    lines += ["", *figures["remarks"]]
    for column, part in figures.get("by", {}).items():
        from fervid.metrics import as_markdown

        lines += ["", as_markdown(column.partition(":")[0], part)]
    return "\n".join(lines).rstrip()


def _of_affect(figures: dict[str, Any]) -> list[str]:
    """Return a line with the agreement of valence, and one of arousal."""
    return [
        f"{name}: concordance {_figure(figures[name]['ccc'])}, root mean square error "
        f"{_figure(figures[name]['rmse'])}, over {figures['n']} samples with a face"
        for name in ("valence", "arousal")
    ]


def _per_label(figures: dict[str, Any], width: int) -> list[str]:
    """Return a line for each label: recall with its interval, precision and F1."""
    names = ("recall", "95 % interval", "precision", "F1", "samples")
    lines = [" " * width + "".join(f"{name:>16}" for name in names)]
    for label in figures["labels"]:
        part = figures["per_class"][label]
        ends = part["interval"]
        cells = [
            _figure(part["recall"]),
            "-" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}",
            _figure(part["precision"]),
            _figure(part["f1"]),
            str(part["support"]),
        ]
        lines.append(f"{label:<{width}}" + "".join(f"{cell:>16}" for cell in cells))
    return lines


def _of_parts(figures: dict[str, Any]) -> list[str]:
    """Return lines with the deviation over the parts of a protocol, and with each part if there are few."""
    folds = figures["folds"]
    if folds["n"] < 2:
        return []
    spread = [
        f"{name} {_figure(folds[key]['mean'])} +- {_figure(folds[key]['sd'])}"
        for key, name in (("accuracy", "accuracy"), ("mean_recall", "mean recall"))
    ]
    lines = [f"mean and deviation over {folds['n']} folds: {', '.join(spread)}"]
    parts = figures["parts"] if len(figures["parts"]) <= FEW else []
    for part in parts:
        shares = f"accuracy {_figure(part['accuracy'])}, mean recall {_figure(part['mean_recall'])}"
        lines.append(f"  {part['name']}: {part['n']} samples, {shares}")
    return lines


def _row(name: str, *values: float | str | None) -> str:
    return f"{name:<12}" + "".join(f"{_figure(value):>13}" for value in values)


def _figure(value: float | str | None) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.3f}"
