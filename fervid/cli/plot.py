"""`fervid plot`: draw a timeline as a figure for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.timelines import OPTIONS, timeline_of
from fervid.cli.shared.values import NumberRange, TimePoint, TimePointType
from fervid.errors import UsageError

FORMATS = ("png", "svg", "pdf")


@options.command(
    "plot",
    examples="""
    fervid plot movie.mp4 -o timeline.svg
    fervid plot out.json --start 1:00 --end 1:30 --width 3.5 -o detail.png
    """,
)
@click.argument("input", metavar="INPUT")
@options.target("-o", "--output", "target", required=True, help="Write here: .png, .svg or .pdf.")
@click.option("--start", type=TimePointType(), help="Start here: seconds or HH:MM:SS.mmm.")
@click.option("--end", type=TimePointType(), help="End before this time, in the same forms.")
@click.option(
    "--width",
    type=NumberRange(2, 100),
    default=7.2,
    show_default=True,
    help="The width in inches; letters are 8 point at any width.",
)
@click.option(
    "--dpi", type=click.IntRange(30, 2400), default=200, show_default=True, help="Dots per inch of a PNG."
)
@options.apply(*OPTIONS, options.OVERWRITE)
@click.pass_obj
def plot(
    messages: Messages,
    /,
    input: str,
    target: str,
    start: TimePoint | None,
    end: TimePoint | None,
    width: float,
    dpi: int,
    overwrite: bool,
    **values: Any,
) -> None:
    """Draw INPUT: bands, peaks, valence and arousal. This needs matplotlib: pip install 'fervid[charts]'.

    INPUT is a timeline that `fervid analyze` wrote (.json, .jsonl), or a video; - is standard input. fervid
    analyzes a video first, and keeps its timeline beside it.
    """
    form = Path(target).suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise UsageError(f"{target} must end in one of .{', .'.join(FORMATS)}")
    output.check_targets([target], [input], overwrite, messages.log_file)
    first, last = _seconds(start), _seconds(end)
    with local_path(input) as path:
        timeline = timeline_of(messages, input, path, values, [target]).timeline
    from fervid.export.page.plot import Look, draw

    picture = draw(timeline, timeline.peaks, Look(form, width, dpi, first, last))
    with output.open_binary(target, overwrite) as stream:
        stream.write(picture)
    if not messages.quiet:
        messages.say(f"wrote {target}")


def _seconds(moment: TimePoint | None) -> float | None:
    if moment is None:
        return None
    if moment.seconds is None:
        raise UsageError("a timeline does not contain frame times: give --start and --end in seconds")
    return float(moment.seconds)
