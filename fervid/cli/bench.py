"""`fervid bench`: train and compare systems on the same clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.robust import robust
from fervid.cli.shared import options, training
from fervid.cli.shared.inputs import SOME_FAILED
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.options import command
from fervid.cli.shared.output import show
from fervid.errors import UsageError

if TYPE_CHECKING:
    from fervid.train.survey.rows import Failure, Row, Setup
    from fervid.train.survey.systems import System

# The data of --synthetic, and the defaults that --size smoke changes.
SYNTHETIC = {
    "full": "synth:posed?people=30&per_class=30",
    "smoke": "synth:posed?people=6&per_class=6&classes=6",
}
SMOKE = {"epochs": 2, "joint_epochs": 1, "batch": 8, "held_out": 0.25}


@click.group(cls=options.Group, epilog="fervid bench survey --synthetic --size smoke")
def bench() -> None:
    """Compare systems on the same clips, and a model on damaged faces."""


@command(
    "survey",
    examples="""
    fervid bench survey --data ckplus:CK+/?classes=7 --protocol kfold:10 -o survey/
    fervid bench survey --data afew:AFEW/ --protocol official --only c3d,cnn_lstm,flow -o survey/
    fervid bench survey --synthetic --size smoke --only c3d,phrnn,c3d+phrnn-joint --json
    """,
)
@training.DATA
@click.option("--synthetic", is_flag=True, help="Use faces that fervid draws itself, instead of --data.")
@click.option(
    "--folds", type=click.IntRange(2), metavar="N", help="Test N parts of the people in turn.  [default: 3]"
)
@click.option(
    "--protocol",
    metavar="kfold:N[:dealt|blocks]|loso|official|leave-one-set-out",
    help="The protocol: which parts to test, instead of --folds.",
)
@click.option("--only", metavar="A,B,...", help="The systems to compare.  [default: all except toys]")
@click.option(
    "--size",
    type=click.Choice(["full", "smoke"]),
    default="full",
    show_default=True,
    help="smoke: narrow networks and 2 epochs, to check that everything runs; its figures mean nothing.",
)
@click.option(
    "-o", "--runs", metavar="DIR", help="Keep models, rows and the table in DIR, and resume from there."
)
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@options.apply(
    training.option("epochs", help="Epochs for each stream."),
    *training.LEARNING,
    training.option("window", default="clip"),
    training.option("illumination"),
    options.DEVICE,
    training.JOBS,
    training.NO_CACHE,
)
@click.pass_context
def survey(
    ctx: click.Context,
    /,
    data: tuple[str, ...],
    synthetic: bool,
    folds: int | None,
    protocol: str | None,
    only: str | None,
    size: str,
    runs: str | None,
    as_json: bool,
    device: str,
    jobs: int | None,
    no_cache: bool,
    **values: Any,
) -> int:
    """Train every stream and fusion by one protocol, and print one table.

    A row has a system's weights, time, accuracy and mean recall. With --runs, DIR has the table after each
    row, and the same command resumes after an interruption. Fusions reuse the streams trained alone.
    Exit codes: 0 success, 1 all systems failed, 2 usage, 3 some systems failed, 130 interrupted.
    """
    specs = _specs(data, synthetic, size)
    if protocol is not None and folds is not None:
        raise UsageError("--folds cannot be combined with --protocol: --folds N is --protocol kfold:N")
    training.check_one_process("a survey")
    if size == "smoke":
        given = training.given(ctx, values)
        values |= {name: value for name, value in SMOKE.items() if name not in given}

    from fervid import execute
    from fervid.train.survey import rows, systems, table

    wanted = systems.chosen(() if only is None else tuple(name.strip() for name in only.split(",")))
    recipe = training.recipe_of(values | {"data": specs})
    samples = training.read(specs)
    with (
        training.strips(no_cache) as cache,
        training.listening(ctx.obj) as listener,
        execute.open_executor(jobs) as executor,
        training.kept_runs(runs) as folder,
        training.hardware(device, jobs) as machine,
    ):
        setup = rows.Setup(
            specs=specs,
            samples=samples,
            protocol=protocol or f"kfold:{folds or 3}",
            recipe=recipe,
            is_small=size == "smoke",
            folder=folder,
            executor=executor,
            machine=machine,
            cache=cache,
            listener=listener,
        )
        made = _rows(ctx.obj, setup, wanted)
        facts = setup.facts()
    show(json.dumps(table.as_json(facts, made), indent=2) if as_json else table.as_text(facts, made))
    failed = sum(isinstance(row, rows.Failure) for row in made)
    return 0 if not failed else SOME_FAILED if failed < len(made) else 1


def _specs(data: tuple[str, ...], synthetic: bool, size: str) -> tuple[str, ...]:
    """Return the data of the survey."""
    if synthetic and data:
        raise UsageError("--synthetic cannot be combined with --data")
    if not synthetic and not data:
        raise UsageError("name labelled data with --data (see `fervid datasets list`), or give --synthetic")
    return (SYNTHETIC[size],) if synthetic else data


def _rows(messages: Messages, setup: Setup, wanted: Sequence[System]) -> list[Row | Failure]:
    """Train every system, and report each as soon as it is done."""
    from fervid.train.survey import run

    made = []
    for row in run.run(setup, wanted):
        made.append(row)
        if not messages.quiet:
            messages.say(f"{run.line(row)} ({len(made)} of {len(wanted)})")
    return made


bench.add_command(survey)
bench.add_command(robust)
