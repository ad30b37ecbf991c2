"""`fervid peaks`: the moments at which an expression stands out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fervid.cli import options, output
from fervid.cli.inputs import local_path
from fervid.cli.messages import Messages
from fervid.cli.work import open_work
from fervid.errors import InputError, UsageError

if TYPE_CHECKING:
    from fervid.export.reading import Document
    from fervid.types import Peak

FORMATS = ("table", "json", "jsonl", "csv")


def _split(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip().lower() for value in values for name in value.split(",") if name.strip())


@options.command(
    "peaks",
    examples="""
    fervid peaks out.json --emotion happiness --top 10 --min-gap 5
    fervid peaks out.json -f csv -o peaks.csv
    fervid peaks movie.mp4 --emotion surprise,fear
    """,
)
@click.argument("input", metavar="INPUT")
@click.option(
    "--emotion", "emotions", multiple=True, callback=_split, help="Only this; repeat it, or use commas."
)
@click.option("--top", type=click.IntRange(1), help="Only so many, the most prominent.")
@click.option(
    "--min-gap",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Seconds between two peaks, at least.",
)
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="How to write them.  [default: by the file's suffix, else table]",
)
@options.target("-o", "--output", "target", help="Write here; - is standard output.  [default: -]")
@options.apply(*options.MODEL, *options.SELECTION, *options.PEOPLE, *options.WORK, options.OVERWRITE)
@click.pass_context
def peaks(
    ctx: click.Context,
    /,
    input: str,
    emotions: tuple[str, ...],
    top: int | None,
    min_gap: float,
    form: str | None,
    target: str | None,
    overwrite: bool,
    **values: Any,
) -> None:
    """List the peaks of INPUT, most prominent first.

    INPUT is a timeline that `fervid analyze` wrote (.json, .jsonl), or a video, which is then analyzed with
    the options that `fervid analyze` knows. - is standard input.
    """
    from fervid.export.shapes import Clock
    from fervid.peaks import rank

    messages = ctx.find_object(Messages)
    assert messages is not None
    target = target or output.STANDARD
    if form is None:
        suffix = Path(target).suffix.lower().removeprefix(".")
        form = suffix if suffix in FORMATS else "table"
    output.check_targets([target], [input], overwrite, messages.log_file)
    with local_path(input) as path:
        found: Sequence[Peak]
        labels: Sequence[str]
        if is_timeline(path):
            refuse_analysis_options(ctx)
            document = read(path, input)
            found, source, labels = document.peaks, document.source, document.labels
        else:
            found, source, labels = analyze(messages, input, path, values)
    unknown = [name for name in emotions if name not in labels]
    if unknown:
        raise UsageError(f"there is no emotion {unknown[0]!r} in it: choose among {', '.join(labels)}")
    clock = Clock.of(source)
    chosen = rank(found, clock.time_base, emotions or None, top, min_gap)
    write(messages, chosen, source, clock, target, form)


def is_timeline(path: str) -> bool:
    """Whether a file is a written timeline and not a video: by its suffix, or else by its first byte."""
    if Path(path).suffix.lower() in (".json", ".jsonl"):
        return True
    if not Path(path).is_file():
        return False
    try:
        with open(path, "rb") as stream:
            return stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def refuse_analysis_options(ctx: click.Context) -> None:
    """A timeline is not analyzed again: options that would ask for it are refused, not ignored."""
    kept = {"input", "emotions", "top", "min_gap", "form", "target", "overwrite"}
    for parameter in ctx.command.params:
        name = parameter.name or ""
        given = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name not in kept and parameter.expose_value:
            raise UsageError(f"{parameter.opts[0]} is for videos, and this input is a timeline: leave it out")


def read(path: str, name: str) -> Document:
    """A written timeline."""
    from fervid.export.reading import read as read_timeline

    try:
        with open(path, encoding="utf-8") as stream:
            return read_timeline(stream)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error


def analyze(
    messages: Messages, name: str, path: str, values: dict[str, Any]
) -> tuple[Sequence[Peak], Mapping[str, Any], Sequence[str]]:
    """The peaks of a video, its facts, and the model's emotions."""
    from fervid.export.shapes import source

    with open_work(messages, values) as work, work.start(name, path) as run:
        timeline = run.timeline
        return timeline.peaks, source(timeline.video), timeline.model.labels


def write(
    messages: Messages,
    chosen: Sequence[Peak],
    source: Mapping[str, Any],
    clock: Any,
    target: str,
    form: str,
) -> None:
    """Write the chosen peaks, or say that there are none."""
    from fervid.export import peaks as writer

    with output.open_text(target) as stream:
        if form != "table":
            writer.write(chosen, source, stream, form)
        elif chosen:
            from rich.console import Console

            from fervid.cli.summary import peak_table

            width = None if stream.isatty() else 120  # rich's 80 would break lines that other programs read
            Console(file=stream, highlight=False, width=width).print(peak_table(chosen, clock))
    if not chosen and not messages.quiet:
        messages.say("there is no such peak")
