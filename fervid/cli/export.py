"""`fervid export`: a timeline for other programs."""

from __future__ import annotations

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.reading import is_archive, read_timeline
from fervid.errors import InputError
from fervid.export import FRAMES, TIMELINES, choose


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
    type=click.Choice([*TIMELINES, *FRAMES]),
    help="How to write it.  [default: by the file's suffix]",
)
@options.target("-o", "--output", "target", help="Write here; - is standard output.  [default: -]")
@options.apply(options.OVERWRITE)
@click.pass_context
def export(ctx: click.Context, /, input: str, form: str | None, target: str | None, overwrite: bool) -> None:
    """Write the timeline INPUT in another format.

    INPUT is what `fervid analyze` wrote (.json, .jsonl); - is standard input. openface and frames take the
    archive of every frame instead, which `fervid analyze --tracks` and `fervid extract` write (.npz).
    A suffix must belong to the format. Subtitles, TextGrid and EAF tell times as a player shows them,
    tables in seconds from the first frame.
    """
    messages = ctx.find_object(Messages)
    assert messages is not None
    target = target or output.STANDARD
    output.check_targets([target], [input], overwrite, messages.log_file)
    chosen = choose({**TIMELINES, **FRAMES}, target, form)
    with local_path(input) as path:
        if is_archive(path):
            _write_frames(path, input, chosen, target)
        else:
            _write_timeline(messages, path, input, chosen, target)


def _write_timeline(messages: Messages, path: str, name: str, form: str, target: str) -> None:
    if form not in TIMELINES:
        raise InputError(
            f"{form} has a row for every frame, and a timeline has none of them: give the archive that "
            "`fervid analyze --tracks FILE.npz` writes"
        )
    timeline = read_timeline(path, name)
    with output.open_text(target) as stream:
        TIMELINES[form].write(timeline, stream)
    if not timeline.segments and not messages.quiet:
        messages.say("no face was read in it: there is no segment")


def _write_frames(path: str, name: str, form: str, target: str) -> None:
    from fervid.export.frames import geometry

    if form not in FRAMES:
        raise InputError(
            f"{name} holds frames, of which {' and '.join(FRAMES)} are made: "
            f"choose one of them with --format, or give a timeline for {form}"
        )
    archive = geometry.read(path)
    with output.open_text(target) as stream:
        FRAMES[form].write(archive.rows(), archive, archive.labels, stream)
