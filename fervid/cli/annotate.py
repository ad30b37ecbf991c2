"""`fervid annotate`: draw the results of an analysis into the video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.analyzer import open_analyzer
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.reading import read_timeline
from fervid.errors import InputError, UsageError

if TYPE_CHECKING:
    from fervid.types import Settings, Timeline, Video
    from fervid.units import Chunks

KINDS = ("boxes", "landmarks", "labels", "curve")
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
PIPED = ".mkv"  # the container on standard output: it can be streamed


@options.command(
    "annotate",
    examples="""
    fervid annotate movie.mp4 -o annotated.mp4
    fervid annotate movie.mp4 -t out.json -o annotated.mp4
    fervid annotate movie.mp4 -t out.json --tracks geometry.npz -o annotated.mp4
    fervid annotate movie.mp4 --aus -o annotated.mp4
    fervid annotate movie.mp4 --start 1:00 --end 1:30 --draw boxes,labels -o - | ffplay -
    """,
)
@click.argument("input", metavar="INPUT")
@click.option("-t", "--timeline", metavar="FILE", help="Draw this timeline of INPUT (.json).")
@click.option(
    "--tracks",
    metavar="FILE.npz",
    help="Take the faces from this file, which `fervid analyze --tracks` wrote with the timeline.",
)
@options.target(
    "-o", "--output", "target", required=True, help="Write here: .mp4, .mov or .mkv; - is standard output."
)
@options.kinds("--draw", KINDS, help="What to draw, separated by commas.")
@click.option(
    "--aus", is_flag=True, help="Also draw the active action units (facial movements) beside each face."
)
@options.apply(*options.MODEL, *options.SELECTION, *options.WORK, options.OVERWRITE)
@click.pass_obj
def annotate(
    messages: Messages,
    /,
    input: str,
    timeline: str | None,
    tracks: str | None,
    target: str,
    draw: tuple[str, ...],
    aus: bool,
    overwrite: bool,
    **values: Any,
) -> None:
    """Draw the results of an analysis into the video INPUT: boxes, landmarks, labels, and a curve below.

    fervid analyzes INPUT first, and takes the options of `fervid analyze` for that. With --timeline it
    draws the emotions, people and range of the timeline. A timeline does not contain the box of a face in
    each frame, so fervid detects faces again, unless you give --tracks. The sound and the times of frames
    stay the same.
    """
    suffix = PIPED if target == output.STANDARD else Path(target).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{target} must end in one of {', '.join(SUFFIXES)}")
    if tracks is not None and timeline is None:
        raise UsageError("--tracks needs the timeline of the same analysis: give it with --timeline")
    if timeline is not None:
        detection = set() if tracks is not None else {"jobs", "no_cache", "keep_cache"}
        options.forbid(values.keys() - detection - {"max_download"}, "does not apply to a finished timeline")
    inputs = [name for name in (input, timeline, tracks) if name is not None]
    output.check_targets([target], inputs, overwrite, messages.log_file)
    with local_path(input) as path, analyzed(messages, input, path, timeline, tracks, values) as results:
        write(messages, *results, draw, aus, target, suffix, overwrite)
    if target != output.STANDARD and not messages.quiet:
        messages.say(f"wrote {target}")


@contextmanager
def analyzed(
    messages: Messages,
    name: str,
    path: str,
    timeline: str | None,
    tracks: str | None,
    values: dict[str, Any],
) -> Iterator[tuple[Timeline, Video, Chunks]]:
    """Yield the timeline, its video and the faces of each frame, from files or from a new analysis."""
    if timeline is None:
        with open_analyzer(messages, values) as analyzer, analyzer.start(name, path) as run:
            yield run.timeline, run.video, run.rows
        return
    read = read_timeline(timeline, timeline)
    if any(not len(curve.pts) for curve in read.curves):
        raise InputError(f"{timeline} contains no curves, like all JSON Lines: give a timeline in .json")
    from fervid.video import planning

    video = planning.plan_known(read.source, path)
    if tracks is not None:
        from fervid.export.frames import geometry

        yield read, video, geometry.read(tracks).rows
        return
    values |= {"model": None}
    with open_analyzer(messages, values) as analyzer, messages.bar(Path(name).name) as bar:
        from fervid import analysis

        with analysis.start(
            path,
            model=None,
            settings=settings_of(read),
            rotate=video.rotate,
            frame_rate=1 / video.time_base if video.container == "stills" else None,
            executor=analyzer.executor,
            store=analyzer.options.store,
            tick=bar.tick,
        ) as run:
            bar.begin(run.selected_seconds)
            assert run.timeline is not None  # runs the analysis
            yield read, video, run.rows


def settings_of(timeline: Timeline) -> Settings:
    """Return the settings that made a timeline."""
    from fervid.types import Settings

    try:
        return Settings.from_json(timeline.settings)
    except TypeError as error:
        raise InputError(
            "the timeline has settings that this version of fervid does not know: analyze the video again"
        ) from error


def write(
    messages: Messages,
    timeline: Timeline,
    video: Video,
    geometry: Chunks,
    draw: Sequence[str],
    aus: bool,
    target: str,
    suffix: str,
    overwrite: bool,
) -> None:
    """Write the annotated video."""
    from fervid.analysis.spans import selection
    from fervid.export.drawing.annotator import Annotator
    from fervid.export.timelines.fields import NOTE
    from fervid.video.planes import coding_at
    from fervid.video.redrawing import redraw

    start, stop = selection(video, settings_of(timeline))
    stop = video.end if stop is None else min(stop, video.end)
    units = None
    if aus:
        from fervid.units import measure

        people = {curve.track: curve.person for curve in timeline.curves if curve.person is not None}
        units = measure(geometry, video, people)
    annotator = Annotator(timeline, geometry(), draw, coding_at(video, start).matrix, units)
    note = {"title": f"{video.name}, annotated by fervid", "comment": NOTE}
    with messages.bar(Path(target).name) as bar, output.open_binary(target, overwrite) as stream:
        bar.begin(float((stop - start) * video.time_base))
        redraw(video, start, stop, annotator.paint, annotator.painter.size, stream, suffix, note, bar.tick)
