"""`fervid models`: list and verify the installed models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from fervid.cli.shared.messages import Messages
from fervid.cli.shared.options import command, completer
from fervid.cli.shared.output import show
from fervid.errors import FervidError

PREDICTOR_NOTICE = (
    "dlib's 68-point predictor, which only --landmarks dlib uses, was trained on iBUG 300-W; the terms of "
    "that dataset exclude commercial use. The default is fervid's own, which was not trained on it directly."
)


@click.group()
def models() -> None:
    """List and verify the installed models."""


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


for _command in (list_models, verify_models):
    models.add_command(_command)
