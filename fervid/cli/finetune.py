"""`fervid finetune`: train an existing model further."""

from __future__ import annotations

from typing import Any

import click

from fervid.cli.shared import options, training
from fervid.cli.shared.messages import Messages
from fervid.errors import UsageError
from fervid.train.recipe import FINE_EPOCHS


@options.command(
    "finetune",
    examples="""
    fervid finetune --model default --data folder:my_clips/ -o mine/
    fervid finetune --model mine/ --data csv:more.csv -o better/
    fervid train -o mine/ --resume
    """,
)
@training.DATA
@click.option(
    "--model",
    metavar="MODEL",
    default="default",
    show_default=True,
    envvar="FERVID_MODEL",
    show_envvar=True,
    shell_complete=options.completer("models"),
    help="The model to start from: a name (see `fervid models list`) or its folder.",
)
@click.option("-o", "--output", metavar="DIR", required=True, help="The run folder, which becomes the model.")
@options.apply(
    training.option("epochs", default=FINE_EPOCHS),
    training.option("validation"),
    *training.LEARNING,
    *training.TEACHING,
    options.DEVICE,
    training.JOBS,
    training.NO_CACHE,
    options.OVERWRITE,
)
@click.pass_obj
def finetune(
    messages: Messages,
    /,
    model: str,
    output: str,
    device: str,
    jobs: int | None,
    no_cache: bool,
    overwrite: bool,
    **values: Any,
) -> None:
    """Train a model further on your own labelled data, at a tenth of the learning rate, and write it to DIR.

    The model must have the data's labels. Resume an interrupted run with `fervid train -o DIR --resume`.
    """
    from fervid.train import run, starting

    if not values["data"]:
        raise UsageError("name your clips with --data, for example folder:my_clips/")
    recipe = starting.finetune_recipe(model, training.recipe_of(values))
    material = run.prepare(recipe)
    training.warn_of_missing_labels(material, finetune=True)
    folder = training.begin(output, overwrite, recipe, material, device)
    training.carry_out(messages, recipe, folder, device, jobs, no_cache, material)
