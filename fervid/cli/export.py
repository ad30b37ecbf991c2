"""`fervid export`: a timeline for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.reading import is_archive, read_timeline
from fervid.errors import InputError, UsageError
from fervid.export import DOCUMENTS, TABLES, document_writer, writer

SUFFIXES = ("jsonl", "csv", "srt", "vtt", "textgrid", "eaf")  # that tell the format


@options.command(
    "export",
    examples="""
    fervid export out.json -o out.srt
    fervid export out.json -f segments -o segments.csv
    fervid export out.json -o film.TextGrid
    fervid export geometry.npz -f openface -o film.csv
    """,
)
@click.argument("input", metavar="INPUT")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice([*DOCUMENTS, *TABLES]),
    help="How to write it.  [default: by the file's suffix]",
)
@options.target("-o", "--output", "target", help="Write here; - is standard output.  [default: -]")
@options.apply(options.OVERWRITE)
@click.pass_context
def export(ctx: click.Context, /, input: str, form: str | None, target: str | None, overwrite: bool) -> None:
    """Write the timeline INPUT in another format.

    INPUT is what `fervid analyze` wrote (.json, .jsonl); - is standard input. openface and frames take the
    archive of every frame instead, which `fervid analyze --tracks` and `fervid extract` write (.npz).
    Subtitles, TextGrid and EAF tell times as a player shows them, tables in seconds from the first frame.
    """
    messages = ctx.find_object(Messages)
    assert messages is not None
    target = target or output.STANDARD
    chosen = form or _by_suffix(target)
    output.check_targets([target], [input], overwrite, messages.log_file)
    with local_path(input) as path:
        if is_archive(path):
            _write_frames(path, input, chosen, target)
        else:
            _write_timeline(messages, path, input, chosen, target)


def _by_suffix(target: str) -> str:
    suffix = Path(target).suffix.lower().removeprefix(".")
    if suffix not in SUFFIXES:
        raise UsageError(f"say with --format how to write it: {', '.join([*DOCUMENTS, *TABLES])}")
    return suffix


def _write_timeline(messages: Messages, path: str, name: str, form: str, target: str) -> None:
    if form not in DOCUMENTS:
        raise InputError(
            f"{form} has a row for every frame, and a timeline has none of them: give the archive that "
            "`fervid analyze --tracks FILE.npz` writes"
        )
    document = read_timeline(path, name)
    write = document_writer(form)
    with output.open_text(target) as stream:
        write(document, stream)
    if not document.segments and not messages.quiet:
        messages.say("no face was read in it: there is no segment")


def _write_frames(path: str, name: str, form: str, target: str) -> None:
    from fervid.export.frames import geometry

    if form not in TABLES:
        raise InputError(
            f"{name} holds frames, of which {' and '.join(TABLES)} are made: "
            f"choose one of them with --format, or give a timeline for {form}"
        )
    found = geometry.read(path)
    with output.open_text(target) as stream:
        writer(form)(found.rows(), found, found.labels, stream)
