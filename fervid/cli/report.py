"""`fervid report`: write a page that shows a timeline."""

from __future__ import annotations

import base64
import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.timelines import OPTIONS, beside, timeline_of
from fervid.errors import ModelError, UsageError

if TYPE_CHECKING:
    from fervid.explain.peaks import PeakExplanation
    from fervid.export.page.pictures import Pictures
    from fervid.types import Peak, Timeline, Video

# The peaks with a picture: the highest, and some of each emotion and person, so that filters show some.
HIGHEST = 24
OF_EACH = 4
MOST = 60  # in all


@options.command(
    "report",
    examples="""
    fervid report movie.mp4
    fervid report out.json --video movie.mp4 -o report.html
    """,
)
@click.argument("input", metavar="INPUT")
@click.option(
    "--video", metavar="FILE", help="The timeline's video: the page plays it and shows pictures of peaks."
)
@click.option(
    "--explain",
    type=click.IntRange(1),
    metavar="N",
    help="Explain the N highest peaks, as fervid explain does; needs the video and the timeline's model.",
)
@options.target(
    "-o",
    "--output",
    "target",
    help="Write the page here; - is standard output.  [default: the input's name, with .html]",
)
@options.apply(*OPTIONS, options.OVERWRITE)
@click.pass_obj
def report(
    messages: Messages,
    /,
    input: str,
    video: str | None,
    explain: int | None,
    target: str | None,
    overwrite: bool,
    **values: Any,
) -> None:
    """Write a page that shows INPUT: bands, curves, peaks, totals, and how good the model is.

    INPUT is a timeline that `fervid analyze` wrote (.json, .jsonl), or a video; - is standard input. fervid
    analyzes a video first, and keeps its timeline beside it. The page is one file and needs no network. It
    plays the video from its current path relative to the page: if you move them, move them together.
    """
    target = target or beside(input, ".html", "--output")
    inputs = [input] if video is None else [input, video]
    output.check_targets([target], inputs, overwrite, messages.log_file)
    with local_path(input) as path:
        given = timeline_of(messages, input, path, values, [target])
        stays = video is not None or not given.is_copy
        name = None if input == output.STANDARD else given.path if given.video else input
        film = video or given.video
        if explain is not None and film is None:
            raise UsageError("--explain needs the video: give it with --video")
        write(messages, given.timeline, name, film, stays, target, overwrite, explain or 0)
    if not messages.quiet and target != output.STANDARD:
        messages.say(f"wrote {target}")


def write(
    messages: Messages,
    timeline: Timeline,
    name: str | None,
    video: str | None,
    stays: bool,
    target: str,
    overwrite: bool,
    explained: int = 0,
) -> None:
    """Write the page of the timeline in the file `name`, with explanations of the highest peaks.

    With a video it has pictures. It plays the video if that is a file that stays where it is.
    """
    from fervid.export.page import report as writer
    from fervid.timeline.peaks import rank

    peaks = rank(timeline.peaks, timeline.source.time_base)
    figures, is_known = model_figures(timeline)
    extras = writer.Extras(peaks, accuracy=figures, knows_model=is_known)
    if name is not None:
        extras = replace(extras, name=Path(name).name)
    if video is not None:
        opened = open_video(messages, timeline, video)
        pictures = cut_pictures(messages, timeline, opened, illustrated(peaks))
        if explained:
            extras = replace(extras, reasons=explanations_of(messages, timeline, opened, peaks, explained))
        film = address(video, target) if stays and not Path(video).is_dir() else None
        extras = replace(extras, pictures=pictures, film=film)
    with output.open_text(target, overwrite) as stream:
        writer.write(timeline, stream, extras)


def open_video(messages: Messages, timeline: Timeline, path: str) -> Video:
    """Return the video of a timeline."""
    from fervid.video import planning

    with messages.bar("reading the video") as bar:
        bar.begin(1)
        return planning.plan_known(timeline.source, path, bar.tick)


def illustrated(peaks: Sequence[Peak]) -> list[Peak]:
    """Return the peaks that get a picture: the highest of all, then of each emotion and each person."""
    chosen = list(peaks[:HIGHEST])
    counts: Counter[str] = Counter()
    for peak in peaks:
        kinds = (peak.emotion, peak.person or str(peak.track))
        if any(counts[kind] < OF_EACH for kind in kinds):
            chosen.append(peak)
        counts.update(kinds)
    return list(dict.fromkeys(chosen))[:MOST]


def cut_pictures(messages: Messages, timeline: Timeline, video: Video, peaks: Sequence[Peak]) -> Pictures:
    """Return pictures of peaks and of people; those of peaks have a box around the face."""
    from fervid.export.page import pictures
    from fervid.faces.finder import FaceFinder
    from fervid.types import Settings
    from fervid.video.thumbnails import in_colour

    finder = FaceFinder(float(timeline.settings.get("min_face") or Settings.min_face))
    with messages.bar("cutting pictures") as bar:
        bar.begin(1)
        frames = in_colour(video, pictures.moments(timeline, peaks), tick=bar.tick)
        return pictures.make(timeline, peaks, frames, lambda luma: [face.box for face in finder.detect(luma)])


def explanations_of(
    messages: Messages, timeline: Timeline, video: Video, peaks: Sequence[Peak], count: int
) -> list[dict[str, Any] | None]:
    """Return the explanation of each peak as JSON values; None for all but the first `count`."""
    from fervid.explain.peaks import explain_peaks
    from fervid.types import Settings

    name = model_name(timeline)
    if name is None:
        raise ModelError(
            f"the model {timeline.model.name} of this timeline is not installed: it is needed for --explain"
        )
    curves = {curve.track: curve for curve in timeline.curves}
    settings = Settings.from_json(timeline.settings)
    chosen = peaks[:count]
    with messages.bar("explaining peaks") as bar:
        bar.begin(len(chosen))
        steps = itertools.count(1)
        reasons = explain_peaks(video, settings, name, chosen, curves, lambda: bar.tick(next(steps)))
    return [as_value(reasons.get((peak.apex, peak.track, peak.emotion))) for peak in peaks]


def as_value(why: PeakExplanation | None) -> dict[str, Any] | None:
    if why is None:
        return None
    return {
        "streams": {name: round(value, 2) for name, value in why.streams.items()},
        "regions": {name: round(value, 2) for name, value in why.regions.items()},
        "picture": "data:image/jpeg;base64," + base64.b64encode(why.picture).decode("ascii"),
    }


def address(video: str, target: str) -> str:
    """Return the URL of a video, relative to a page at `target`."""
    folder = os.getcwd() if target == output.STANDARD else os.path.dirname(os.path.realpath(target))
    path = os.path.realpath(video)
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # Windows: on another drive
        return Path(path).as_uri()
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))


def model_figures(timeline: Timeline) -> tuple[Mapping[str, Mapping[str, Any]], bool]:
    """Return the accuracy of the timeline's model, and whether that model is installed."""
    from fervid import model

    name = model_name(timeline)
    return ({}, False) if name is None else (model.accuracy(name), True)


def model_name(timeline: Timeline) -> str | None:
    """Return the name under which the timeline's model is installed."""
    from fervid import model

    for name in model.installed():
        try:
            if model.info(name).sha256 == timeline.model.sha256:
                return name
        except ModelError:
            continue  # a damaged model does not match; `fervid models verify` reports it
    return None
