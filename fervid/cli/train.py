"""`fervid train`: train a model on labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fervid.cli.shared import options, training
from fervid.cli.shared.messages import Messages
from fervid.errors import UsageError


@options.command(
    "train",
    examples="""
    fervid train --data ckplus:CK+/ --streams c3d+phrnn --fusion joint -o model/
    fervid train -d fer2013:fer2013.csv?usage=Training --streams still -o still/
    fervid train -d folder:clips/ --start-from still/ -o model/
    fervid train -o model/ --resume
    fervid analyze movie.mp4 --model model/ -t out.json
    """,
)
@training.DATA
@click.option("-o", "--output", metavar="DIR", required=True, help="The run folder, which becomes the model.")
@click.option("--resume", is_flag=True, help="Resume the run in DIR with its own settings.")
@options.apply(
    *training.ARCHITECTURE,
    *training.TRAINING,
    *training.TEACHING,
    options.DEVICE,
    training.JOBS,
    training.NO_CACHE,
    options.OVERWRITE,
)
@click.pass_context
def train(
    ctx: click.Context,
    /,
    output: str,
    resume: bool,
    device: str,
    jobs: int | None,
    no_cache: bool,
    overwrite: bool,
    **values: Any,
) -> None:
    """Train a model on labelled data and write it to DIR.

    Each stream is trained alone, then their fusion. No person is in both the training and the validation
    set. --resume continues an interrupted run and gives the same weights.
    """
    from fervid.train import folders, run

    messages: Messages = ctx.obj
    material = None
    if resume:
        if given := training.given(ctx, values):
            raise UsageError(
                f"--resume uses the run's own settings: leave out --{given[0].replace('_', '-')}"
            )
        folder = Path(output)
        recipe = folders.recipe_of(folder)
        if folders.is_done(folder):
            messages.say(f"fervid: the run in {output} is done")
            return
        training.lock_run(folder)
    else:
        if not values["data"]:
            raise UsageError("name labelled data with --data, see `fervid datasets list`")
        recipe = training.recipe_of(values)
        material = run.prepare(recipe)  # fails on bad data before anything is written
        training.warn_of_missing_labels(material)
        folder = training.begin(output, overwrite, recipe, material, device)
    training.carry_out(messages, recipe, folder, device, jobs, no_cache, material)
