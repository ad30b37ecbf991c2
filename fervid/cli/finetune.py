"""`fervid finetune`: a trained model, taught one's own clips."""

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
    default="default",
    show_default=True,
    envvar="FERVID_MODEL",
    show_envvar=True,
    help="The model to start from: a name (see `fervid models list`) or folder.",
)
@click.option("-o", "--output", metavar="DIR", required=True, help="The run folder, which becomes the model.")
@options.apply(
    training.option("epochs", default=FINE_EPOCHS),
    training.option("validation"),
    *training.LEARNING,
    training.DEVICE,
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
    """Go on training MODEL, at a tenth of the rate, on your own labelled data, and write the result to DIR.

    The data's labels should be among the model's. An interrupted run goes on with `fervid train --resume`.
    """
    from fervid.train import run, starting

    if not values["data"]:
        raise UsageError("name your clips with --data, for example folder:my_clips/")
    recipe = starting.finetuning(model, training.recipe_of(values))
    material = run.prepare(recipe)
    folder = training.begin(output, overwrite, recipe, material, device)
    training.carry_out(messages, recipe, folder, device, jobs, no_cache, material)
