"""`fervid export`: write a timeline in another format."""

from __future__ import annotations

import os
from typing import Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.reading import is_archive
from fervid.cli.shared.timelines import OPTIONS, forbid_analysis, timeline_of
from fervid.errors import InputError, UsageError
from fervid.export import FRAMES, TIMELINES, check_parquet, choose, with_parquet

OF_TIMELINES = with_parquet(TIMELINES, "segments")
OF_ARCHIVES = with_parquet(FRAMES, "frames")
FORMATS = {**OF_TIMELINES, **OF_ARCHIVES}


@options.command(
    "export",
    examples="""
    fervid export movie.mp4 -o movie.srt
    fervid export out.json -f segments -o segments.csv
    fervid export out.json -f windows -o windows.parquet
    fervid export out.json -o film.TextGrid
    fervid export geometry.npz -f openface --aus -o film.csv
    """,
)
@click.argument("input", metavar="INPUT")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice([*TIMELINES, *FRAMES, "parquet"]),
    help="The format.  [default: from the suffix]",
)
@options.target("-o", "--output", "target", help="Write here; - is standard output.  [default: -]")
@options.apply(options.UNITS, *OPTIONS, options.OVERWRITE)
@click.pass_obj
def export(
    messages: Messages,
    /,
    input: str,
    form: str | None,
    target: str | None,
    aus: bool,
    overwrite: bool,
    **values: Any,
) -> None:
    """Write the timeline INPUT in another format.

    INPUT is a timeline that `fervid analyze` wrote (.json, .jsonl), or a video; - is standard input. fervid
    analyzes a video first, and keeps its timeline beside it. The formats openface and frames need the archive
    (.npz) that `fervid analyze --tracks` or `fervid extract` wrote instead. The tables csv, windows,
    segments, openface and frames are Parquet if FILE ends in .parquet, which needs pyarrow: pip install
    'fervid[parquet]'. The format parquet is the table of segments, or of an archive's frames. The suffix must
    belong to the format. Subtitles, TextGrid and EAF contain times as a player shows them; tables contain
    seconds from the first frame.
    """
    target = target or output.STANDARD
    output.check_targets([target], [input], overwrite, messages.log_file)
    chosen = choose(FORMATS, target, form)
    check_parquet(target, chosen)
    with local_path(input) as path:
        if os.path.isfile(path) and is_archive(path):
            forbid_analysis(values, "an archive of frames")
            _write_frames(path, input, chosen, target, overwrite, aus)
            return
        if aus:
            raise UsageError(
                "--aus measures frames, which a timeline does not contain: give the archive of "
                "`fervid analyze --tracks`, or measure them with `fervid analyze --aus`"
            )
        if chosen not in OF_TIMELINES:
            raise InputError(
                f"{chosen} has a row for every frame, which a timeline does not contain: give the archive "
                "that `fervid analyze --tracks FILE.npz` writes"
            )
        timeline = timeline_of(messages, input, path, values, [target]).timeline
    output.write_format(OF_TIMELINES, chosen, target, overwrite, timeline)
    if not timeline.segments and not messages.quiet:
        messages.say("no segments: no face was read")


def _write_frames(path: str, name: str, form: str, target: str, overwrite: bool, aus: bool) -> None:
    from fervid.export.frames import geometry

    if form not in OF_ARCHIVES:
        raise InputError(
            f"{name} is an archive of frames: choose --format {', '.join(FRAMES)} or parquet, "
            f"or give a timeline for {form}"
        )
    archive = geometry.read(path)
    options: dict[str, Any] = {} if form == "openface" else {"people": archive.people}
    if aus:
        from fervid.units import measure

        options["units"] = measure(archive.rows, archive)
    rows = archive.rows(), archive, archive.labels
    output.write_format(OF_ARCHIVES, form, target, overwrite, *rows, **options)
