"""`fervid bench robust`: measure a model on damaged faces."""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import options, training
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.output import check_targets, open_binary, show
from fervid.errors import OutputError, UsageError

if TYPE_CHECKING:
    from fervid.train.robust import Figure


@options.command(
    "robust",
    examples="""
    fervid bench robust --data 'synth:posed?people=8&per_class=2'
    fervid bench robust --data rafdb:basic/?split=test --most 50 --model mine/
    fervid bench robust --data ckplus:CK+/?classes=7 --json > robust.json
    fervid bench robust --data ckplus:CK+/?classes=7 --plot robust.svg
    """,
)
@training.DATA
@click.option("--most", type=click.IntRange(1), metavar="N", help="Measure at most N samples of each label.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@options.target("--plot", help="Also draw the table here: .png, .svg or .pdf; this needs matplotlib.")
@options.apply(*options.MODEL, training.JOBS, training.NO_CACHE, options.OVERWRITE)
@click.pass_obj
def robust(
    messages: Messages,
    /,
    data: tuple[str, ...],
    most: int | None,
    as_json: bool,
    plot: str | None,
    model: str,
    device: str,
    jobs: int | None,
    no_cache: bool,
    overwrite: bool,
) -> None:
    """Measure a model on faces that are covered, badly lit, blurred, compressed, small or turned.

    Detected faces are damaged, their landmarks are moved as the damage moves their prediction, and the model
    reads them. Each row has the accuracy, the mean recall, and the expected calibration error.
    """
    if not data:
        raise UsageError("name labelled data with --data, see `fervid datasets list`")
    from fervid import execute
    from fervid import model as models
    from fervid.train import footage, scoring
    from fervid.train.robust import measure, table

    draw = None if plot is None else _drawing(messages, plot, overwrite)
    models.check_short_windows(model)
    net = models.load(model, device)
    samples = [sample for sample in training.read(data) if sample.label in net.spec.labels]
    if most is not None:
        samples = _spread(samples, most)
    labels = scoring.labels_of(samples)
    with training.strips(no_cache) as cache, execute.open_executor(jobs) as executor:
        with messages.bar("cutting faces") as bar:
            bar.begin(len(samples))
            strips = footage.cut(samples, executor, folder=cache, tick=lambda done, total: bar.tick(done))
        if strips.without_crops is not None:
            raise UsageError(f"{strips.without_crops} has no pictures to damage: give other data")
        if not strips.has_strip.any():
            raise UsageError("no face was found in the data: give other data")
        figures = []
        for figure in measure(net, strips, labels):
            figures.append(figure)
            if not messages.quiet and not as_json:
                strength = "" if figure.strength is None else f" {figure.strength:g}"
                messages.say(f"{figure.name}{strength}: accuracy {figure.accuracy:.3f}")
    value: Any = table.as_json(net.spec.name, data, figures)
    show(json.dumps(value, indent=2) if as_json else table.as_text(figures))
    if draw is not None and plot is not None:
        picture = draw(f"{net.spec.name} on {', '.join(data)}", figures)
        with open_binary(plot, overwrite) as stream:
            stream.write(picture)
        if not messages.quiet:
            messages.say(f"wrote {plot}")


def _drawing(messages: Messages, plot: str, overwrite: bool) -> Callable[[str, Sequence[Figure]], bytes]:
    """Return the function that draws, after checking that its picture can be written."""
    from fervid.train.robust import picture

    form = Path(plot).suffix.lower().removeprefix(".")
    if form not in picture.FORMATS:
        raise UsageError(f"{plot} must end in one of .{', .'.join(picture.FORMATS)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise OutputError("plots need matplotlib: python -m pip install 'fervid[charts]'")
    check_targets([plot], [], overwrite, messages.log_file)
    return functools.partial(picture.draw, form=form)


def _spread(samples: list[Any], most: int) -> list[Any]:
    """Return at most `most` samples of each label, evenly spread."""
    kept = []
    for label in dict.fromkeys(sample.label for sample in samples):
        own = [sample for sample in samples if sample.label == label]
        count = min(most, len(own))
        kept += [own[index * len(own) // count] for index in range(count)]
    return kept
