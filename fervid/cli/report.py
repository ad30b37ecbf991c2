"""`fervid report`: a timeline as a page to look at."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.reading import read_timeline
from fervid.errors import ModelError

if TYPE_CHECKING:
    from fervid.types import Peak, Timeline, Video

PICTURE_WIDTH = 320  # pixels of a peak's picture
HIGHEST = 24  # peaks that have one,
OF_EACH = 4  # and of each emotion and each track, so that filters find some,
MOST = 60  # but no more than so many in all


@options.command(
    "report",
    examples="""
    fervid report out.json -o report.html
    fervid report out.json --video movie.mp4 -o report.html
    """,
)
@click.argument("input", metavar="TIMELINE")
@click.option(
    "--video", metavar="FILE", help="The video: played beside its timeline, and pictures of peaks are cut."
)
@options.target("-o", "--output", "target", help="Write the page here; - is standard output.  [required]")
@options.apply(options.OVERWRITE)
@click.pass_context
def report(ctx: click.Context, /, input: str, video: str | None, target: str | None, overwrite: bool) -> None:
    """Write a page that shows TIMELINE: bands, curves, peaks, totals, and how good the model is.

    TIMELINE is what `fervid analyze` wrote (.json, .jsonl); - is standard input. The page is one file that
    asks the network for nothing. With --video it plays the video, which it looks for where it lies now, seen
    from the page: move them together.
    """
    messages = ctx.find_object(Messages)
    assert messages is not None
    if target is None:
        raise click.MissingParameter(ctx=ctx, param_hint="-o", param_type="option")
    inputs = [input] if video is None else [input, video]
    output.check_targets([target], inputs, overwrite, messages.log_file)
    with local_path(input) as path:
        timeline = read_timeline(path, input)
    from fervid.export.page import report as writer
    from fervid.timeline.peaks import rank

    peaks = rank(timeline.peaks, timeline.source.time_base)
    film, pictures = None, {}
    if video is not None:
        found = open_video(messages, timeline, video)
        pictures = cut_pictures(messages, found, telling(peaks))
        film = None if Path(video).is_dir() else address(video, target)
    figures, is_known = model_figures(timeline)
    extras = writer.Extras(peaks, pictures, film, figures, is_known)
    with output.open_text(target) as stream:
        writer.write(timeline, stream, extras)
    if not messages.quiet and target != output.STANDARD:
        messages.say(f"wrote {target}")


def open_video(messages: Messages, timeline: Timeline, path: str) -> Video:
    """Return the video of a timeline."""
    from fervid.video import planning

    with messages.bar("reading the video") as bar:
        bar.begin(1)
        return planning.of(timeline.source, path, bar.tick)


def telling(peaks: Sequence[Peak]) -> list[Peak]:
    """The peaks to have pictures: the highest of all, then of each emotion and each person."""
    found = list(peaks[:HIGHEST])
    counts: Counter[str] = Counter()
    for peak in peaks:
        kinds = (peak.emotion, peak.person or str(peak.track))
        if any(counts[kind] < OF_EACH for kind in kinds):
            found.append(peak)
        counts.update(kinds)
    return list(dict.fromkeys(found))[:MOST]


def cut_pictures(messages: Messages, video: Video, peaks: Sequence[Peak]) -> dict[int, bytes]:
    """A JPEG for each peak's apex."""
    from fervid.video.thumbnails import thumbnails

    with messages.bar("cutting pictures") as bar:
        bar.begin(1)
        return dict(thumbnails(video, [peak.apex for peak in peaks], PICTURE_WIDTH, bar.tick))


def address(video: str, target: str) -> str:
    """Where a video lies, as a URL that a page at `target` finds it by."""
    folder = os.getcwd() if target == output.STANDARD else os.path.dirname(os.path.realpath(target))
    path = os.path.realpath(video)
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return Path(path).as_uri()
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))


def model_figures(timeline: Timeline) -> tuple[Mapping[str, Mapping[str, Any]], bool]:
    """What was measured of the timeline's model, and whether it is installed here."""
    from fervid import model

    for name in model.installed():
        try:
            if model.info(name).sha256 == timeline.model.sha256:
                return model.accuracy(name), True
        except ModelError:
            continue  # a damaged model is not the one, and `fervid models verify` tells of it
    return {}, False
