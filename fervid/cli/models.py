"""`fervid models`: list and verify the installed models, and make one faster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from fervid.cli.doctor import PREDICTOR_NOTICE
from fervid.cli.shared import training
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.options import OVERWRITE, command, completer
from fervid.cli.shared.output import show
from fervid.errors import FervidError, UsageError


@click.group()
def models() -> None:
    """List and verify the installed models, or make one faster."""


@command("list", examples="fervid models list --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(as_json: bool) -> None:
    """List the installed models, their labels and their licence terms."""
    from fervid import model

    models = [_facts(name) for name in model.installed()]
    if as_json:
        import json

        show(json.dumps({"models": models, "notice": PREDICTOR_NOTICE}, indent=2))
        return
    for facts in models:
        show(facts["name"])
        for key, value in facts.items():
            if key not in ("name", "accuracy") and value not in ([], None):
                show(f"  {key.replace('_', ' ') + ':':<9} {_plain(value)}")
        for line in _table(facts.get("accuracy", {})):
            show(f"  {line}")
    show(f"\n{PREDICTOR_NOTICE}")


@command("verify", examples="fervid models verify\nfervid models verify untrained")
@click.argument("name", required=False, shell_complete=completer("models"))
@click.pass_obj
def verify_models(messages: Messages, name: str | None) -> int:
    """Check the hash of model NAME, or of every installed model."""
    from fervid import model

    damaged = 0
    for model_name in [name] if name is not None else model.installed():
        try:
            model.verify(model_name)
        except FervidError as error:
            messages.fail(str(error), error)
            damaged += 1
        else:
            show(f"{model_name}: ok")
    return 1 if damaged else 0


@command(
    "quantize",
    examples="""
    fervid models quantize model/ --data folder:clips/ -o fast/
    fervid models quantize model/ --data fer2013:fer2013.csv?usage=Training&most=200 -o fast/
    """,
)
@click.argument("name", metavar="MODEL", shell_complete=completer("models"))
@training.DATA
@click.option("-o", "--output", "folder", required=True, metavar="DIR", help="The folder of the new model.")
@training.NO_CACHE
@OVERWRITE
def quantize_model(name: str, data: tuple[str, ...], folder: str, no_cache: bool, overwrite: bool) -> None:
    """Write a copy of MODEL that computes in 8-bit integers, in two fifths of the time and half the space.

    Give some hundred samples of its training data: they show which range of numbers each layer must hold.
    Scores change by about 0.01. Only the streams c3d, still and still_facenet become faster, and only on x86
    processors; on others the copy takes as long as MODEL does.
    """
    if not data:
        raise UsageError("name some data with --data, see `fervid datasets list`")
    from fervid import model
    from fervid.train.quantize import quantizable, quantize

    if model.find(name).resolve() == Path(folder).resolve():
        raise UsageError(f"{folder} is the model itself: write to another folder")
    samples = training.read(data)
    quantizable(name)  # fails before an earlier model is deleted
    target = training.check_run_folder(folder, overwrite)
    with training.strips(no_cache) as cache:
        quantize(name, samples, target, cache)
    show(folder)


def _facts(name: str) -> dict[str, Any]:
    from fervid import model

    try:
        info = model.info(name)
        spec, measured = model.read_spec(name), model.accuracy(name)
        card = model.find(name) / model.CARD
    except FervidError as error:
        return {"name": name, "error": str(error)}
    return {
        "name": name,
        "trained": info.trained,
        "labels": list(info.labels),
        "streams": list(info.streams),
        "sha256": info.sha256,
        "licences": dict(info.licences),
        "training_data": list(spec.training_data),
        "card": str(card) if card.is_file() else None,
        "accuracy": measured,
    }


def _table(rows: dict[str, dict[str, float]]) -> Iterator[str]:
    """Yield lines of figures in per cent: a column for each stream and fusion."""
    if not rows:
        return
    columns = list(next(iter(rows.values())))
    wide = max(len("accuracy %"), *map(len, rows))
    yield f"{'accuracy %':<{wide}}" + "".join(f"  {name:>8}" for name in columns)
    for name, row in rows.items():
        cells = (f"{100 * row[column]:8.1f}" if column in row else " " * 8 for column in columns)
        yield f"{name:<{wide}}" + "".join(f"  {cell}" for cell in cells)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no: its scores mean nothing"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {terms}" for key, terms in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)


for _command in (list_models, verify_models, quantize_model):
    models.add_command(_command)
