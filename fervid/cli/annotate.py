"""`fervid annotate`: what an analysis saw, drawn into the video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.reading import read_timeline
from fervid.cli.shared.work import open_work
from fervid.errors import InputError, UsageError

if TYPE_CHECKING:
    from fervid.types import Rows, Settings, Timeline, Video

KINDS = ("boxes", "landmarks", "labels", "curve")
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
PIPED = ".mkv"  # of what goes to standard output: a container that is made to be streamed


def _kinds(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not found or any(name not in KINDS for name in found):
        raise click.BadParameter(
            f"{value!r} should name some of {', '.join(KINDS)}, with commas between them"
        )
    return found


@options.command(
    "annotate",
    examples="""
    fervid annotate movie.mp4 -o annotated.mp4
    fervid annotate movie.mp4 -t out.json -o annotated.mp4
    fervid annotate movie.mp4 -t out.json --tracks geometry.npz -o annotated.mp4
    fervid annotate movie.mp4 --start 1:00 --end 1:30 --draw boxes,labels -o - | ffplay -
    """,
)
@click.argument("input", metavar="INPUT")
@click.option("-t", "--timeline", metavar="FILE", help="Draw what this timeline of INPUT (.json) tells.")
@click.option(
    "--tracks", metavar="FILE.npz", help="Where its faces are: what `fervid analyze --tracks` wrote with it."
)
@options.target("-o", "--output", "target", help="Write here: .mp4, .mov or .mkv; - is standard output.")
@click.option(
    "--draw",
    metavar="KINDS",
    default=",".join(KINDS),
    show_default=True,
    callback=_kinds,
    help="What to draw, with commas between.",
)
@options.apply(*options.MODEL, *options.SELECTION, *options.WORK, options.OVERWRITE)
@click.pass_context
def annotate(
    ctx: click.Context,
    /,
    input: str,
    timeline: str | None,
    tracks: str | None,
    target: str | None,
    draw: tuple[str, ...],
    overwrite: bool,
    **values: Any,
) -> None:
    """Draw into INPUT, a video, what an analysis saw: boxes, landmarks, labels, and below it a running curve.

    INPUT is analyzed first, with the options that `fervid analyze` knows. With --timeline its emotions,
    people and range are drawn instead, and only the faces are found again, since a timeline does not hold
    where they are in each frame; --tracks spares that as well. Sound is kept, and every frame its time.
    """
    messages = ctx.find_object(Messages)
    assert messages is not None
    if target is None:
        raise UsageError("say where to write with -o FILE (- for standard output)")
    suffix = PIPED if target == output.STANDARD else Path(target).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{target} should end in one of {', '.join(SUFFIXES)}")
    if tracks is not None and timeline is None:
        raise UsageError("--tracks goes with the timeline of the same analysis: name it with --timeline")
    if timeline is not None:
        refuse_analysis_options(ctx, tracks is not None)
    inputs = [name for name in (input, timeline, tracks) if name is not None]
    output.check_targets([target], inputs, overwrite, messages.log_file)
    with local_path(input) as path, analyzed(messages, input, path, timeline, tracks, values) as found:
        write(messages, *found, draw, target, suffix)
    if target != output.STANDARD and not messages.quiet:
        messages.say(f"wrote {target}")


def refuse_analysis_options(ctx: click.Context, has_tracks: bool) -> None:
    """A timeline says how its video was analyzed: options that would change that are refused."""
    kept = {"input", "timeline", "tracks", "target", "draw", "overwrite"}
    kept |= set() if has_tracks else {"jobs", "no_cache", "keep_cache"}
    for parameter in ctx.command.params:
        name = parameter.name or ""
        given = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name not in kept and parameter.expose_value:
            raise UsageError(
                f"{parameter.opts[-1]} is for an analysis; with --timeline it is done: leave it out"
            )


@contextmanager
def analyzed(
    messages: Messages,
    name: str,
    path: str,
    timeline: str | None,
    tracks: str | None,
    values: dict[str, Any],
) -> Iterator[tuple[Timeline, Video, Iterable[Rows]]]:
    """Give the timeline, its video, and the geometry of its frames: analyzed now, or read, or both."""
    if timeline is None:
        with open_work(messages, values) as work, work.start(name, path) as run:
            yield run.timeline, run.video, run.rows()
        return
    read = read_timeline(timeline, timeline)
    if any(not len(curve.pts) for curve in read.curves):
        raise InputError(f"{timeline} holds no curves, as JSON Lines do not: give the timeline as .json")
    from fervid.video import planning

    video = planning.of(read.source, path)
    if tracks is not None:
        from fervid.export.frames import geometry

        yield read, video, geometry.read(tracks).rows()
        return
    values |= {"model": None}
    with open_work(messages, values) as work, messages.bar(Path(name).name) as bar:
        from fervid import analysis

        with analysis.start(
            path,
            model=None,
            settings=settings_of(read),
            rotate=video.rotate,
            frame_rate=1 / video.time_base if video.container == "stills" else None,
            executor=work.executor,
            store=work.options.store,
            tick=bar.tick,
        ) as run:
            bar.begin(run.selected_seconds)
            assert run.timeline is not None  # this does the work
            yield read, video, run.rows()


def settings_of(timeline: Timeline) -> Settings:
    """Return the settings that a timeline was made with."""
    from fervid.types import Settings

    try:
        return Settings.from_json(timeline.settings)
    except TypeError as error:
        raise InputError("the timeline's settings are not those of this fervid: analyze it again") from error


def write(
    messages: Messages,
    timeline: Timeline,
    video: Video,
    geometry: Iterable[Rows],
    draw: Sequence[str],
    target: str,
    suffix: str,
) -> None:
    """Draw, and write the film."""
    from fervid.analysis.spans import selection
    from fervid.drawing.annotator import Annotator
    from fervid.export.timelines.shapes import NOTE
    from fervid.video.redrawing import redraw

    start, stop = selection(video, settings_of(timeline))
    stop = video.end if stop is None else min(stop, video.end)
    annotator = Annotator(timeline, geometry, draw)
    note = {"title": f"{video.name}, annotated by fervid", "comment": NOTE}
    with messages.bar(Path(target).name) as bar, output.open_binary(target) as stream:
        bar.begin(float((stop - start) * video.time_base))
        redraw(video, start, stop, annotator.paint, annotator.painter.size, stream, suffix, note, bar.tick)
