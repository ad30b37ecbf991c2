"""`fervid models`: which models are installed, and whether they are whole."""

from __future__ import annotations

from typing import Any

import click

from fervid.cli.messages import Messages
from fervid.cli.options import Command, command
from fervid.cli.output import show
from fervid.errors import FervidError

PREDICTOR_NOTICE = (
    "dlib's 68-point predictor, which every command that looks at faces uses, was trained on iBUG 300-W, "
    "whose terms exclude commercial use."
)


@click.group()
def models() -> None:
    """List and verify the installed models."""


@command("list", examples="fervid models list --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(as_json: bool) -> None:
    """List the models that --model takes by name, with their labels and terms."""
    from fervid import model

    found = [_facts(name) for name in model.installed()]
    if as_json:
        import json

        show(json.dumps({"models": found, "notice": PREDICTOR_NOTICE}, indent=2))
        return
    for facts in found:
        show(facts["name"])
        for key, value in facts.items():
            if key != "name":
                show(f"  {key + ':':<9} {_plain(value)}")
    show(f"\n{PREDICTOR_NOTICE}")


@command("verify", examples="fervid models verify\nfervid models verify untrained")
@click.argument("name", required=False)
@click.pass_obj
def verify_models(messages: Messages, name: str | None) -> int:
    """Check the hashes of model NAME, or of every installed model."""
    from fervid import model

    damaged = 0
    for each in [name] if name is not None else model.installed():
        try:
            model.verify(each)
        except FervidError as error:
            messages.fail(str(error), error)
            damaged += 1
        else:
            show(f"{each}: whole")
    return 1 if damaged else 0


def _facts(name: str) -> dict[str, Any]:
    from fervid import model

    try:
        info = model.info(name)
    except FervidError as error:
        return {"name": name, "error": str(error)}
    return {
        "name": name,
        "trained": info.trained,
        "labels": list(info.labels),
        "streams": list(info.streams),
        "sha256": info.sha256,
        "licences": dict(info.licences),
    }


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no: its scores mean nothing"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {terms}" for key, terms in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)


for _command in (list_models, verify_models):
    assert isinstance(_command, Command)
    models.add_command(_command)
