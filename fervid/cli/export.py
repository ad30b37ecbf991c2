"""`fervid export`: write a timeline in another format."""

from __future__ import annotations

from typing import Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.reading import is_archive, read_timeline
from fervid.errors import InputError, UsageError
from fervid.export import FRAMES, TIMELINES, choose


@options.command(
    "export",
    examples="""
    fervid export out.json -o out.srt
    fervid export out.json -f segments -o segments.csv
    fervid export out.json -o film.TextGrid
    fervid export geometry.npz -f openface --aus -o film.csv
    """,
)
@click.argument("input", metavar="INPUT")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice([*TIMELINES, *FRAMES]),
    help="The format.  [default: from the suffix]",
)
@options.target("-o", "--output", "target", help="Write here; - is standard output.  [default: -]")
@options.apply(options.UNITS, options.OVERWRITE)
@click.pass_obj
def export(
    messages: Messages, /, input: str, form: str | None, target: str | None, aus: bool, overwrite: bool
) -> None:
    """Write the timeline INPUT in another format.

    INPUT is a file that `fervid analyze` wrote (.json, .jsonl); - is standard input. The formats openface
    and frames need the archive (.npz) that `fervid analyze --tracks` or `fervid extract` wrote instead.
    The suffix must belong to the format. Subtitles, TextGrid and EAF contain times as a player shows them;
    tables contain seconds from the first frame.
    """
    target = target or output.STANDARD
    output.check_targets([target], [input], overwrite, messages.log_file)
    chosen = choose({**TIMELINES, **FRAMES}, target, form)
    with local_path(input) as path:
        if is_archive(path):
            _write_frames(path, input, chosen, target, overwrite, aus)
        elif aus:
            raise UsageError(
                "--aus measures frames, which a timeline does not contain: give the archive of "
                "`fervid analyze --tracks`, or measure them with `fervid analyze --aus`"
            )
        else:
            _write_timeline(messages, path, input, chosen, target, overwrite)


def _write_timeline(
    messages: Messages, path: str, name: str, form: str, target: str, overwrite: bool
) -> None:
    if form not in TIMELINES:
        raise InputError(
            f"{form} has a row for every frame, which a timeline does not contain: give the archive that "
            "`fervid analyze --tracks FILE.npz` writes"
        )
    timeline = read_timeline(path, name)
    with output.open_text(target, overwrite) as stream:
        TIMELINES[form].write(timeline, stream)
    if not timeline.segments and not messages.quiet:
        messages.say("no segments: no face was read")


def _write_frames(path: str, name: str, form: str, target: str, overwrite: bool, aus: bool) -> None:
    from fervid.export.frames import geometry

    if form not in FRAMES:
        raise InputError(
            f"{name} is an archive of frames: choose --format {' or '.join(FRAMES)}, "
            f"or give a timeline for {form}"
        )
    archive = geometry.read(path)
    options: dict[str, Any] = {"people": archive.people} if form == "frames" else {}
    if aus:
        from fervid.units import measure

        options["units"] = measure(archive.rows, archive)
    with output.open_text(target, overwrite) as stream:
        FRAMES[form].write(archive.rows(), archive, archive.labels, stream, **options)
