"""`fervid audience`: measure how the viewers of a film react together."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.analyzer import open_analyzer
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.reading import is_timeline, read_timeline
from fervid.errors import InputError, UsageError
from fervid.files import display_name, encodable, read_text
from fervid.times import format_seconds

if TYPE_CHECKING:
    from fervid.audience import Audience, Viewer
    from fervid.types import Floats, Timeline, Video

SYNCS = ("start", "sound", "clap")
FEW_VIEWERS = 2  # agreement needs at least two
LITTLE = 0.2  # presence below which a viewer is named in a warning
TOP = 5  # moments in the summary
MOST_BYTES = 1 << 26  # of a table of offsets


@options.command(
    "audience",
    examples="""
    fervid audience viewers/*.json --film trailer.mp4 -o audience.json
    fervid audience viewers/*.mp4 --film trailer.mp4 --sync sound -o audience.json --report audience.html
    fervid audience viewers/*.json --film trailer.mp4 --offsets offsets.csv -o audience.json
    fervid peaks audience.json -f edl -o moments.edl
    """,
)
@click.argument("inputs", metavar="RECORDING...", nargs=-1, required=True)
@click.option("--film", metavar="FILE", required=True, help="The film that the viewers watch.")
@options.target(
    "-o", "--output", "target", required=True, help="Write the results here (.json); - is standard output."
)
@options.target("--report", help="Write a page with the film above the audience's curves.")
@click.option("--offsets", metavar="FILE.csv", help="When the film begins in each recording, in seconds.")
@click.option(
    "--sync",
    type=click.Choice(SYNCS),
    default="start",
    show_default=True,
    help="How to find when the film begins, without --offsets: at the start of the recording, by its "
    "sound, or "
    "by a clap.",
)
@click.option(
    "--reference", metavar="FILE", help="The sound to find with --sync sound.  [default: the film's]"
)
@click.option(
    "--permutations",
    type=click.IntRange(19),
    default=1000,
    show_default=True,
    help="The number of random shifts in each significance test.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="The seed of the random shifts."
)
@options.apply(*options.MODEL, *options.FACES, *options.WORK, options.OVERWRITE)
@click.pass_obj
def audience(
    messages: Messages,
    /,
    inputs: tuple[str, ...],
    film: str,
    target: str,
    report: str | None,
    offsets: str | None,
    sync: str,
    reference: str | None,
    permutations: int,
    seed: int,
    overwrite: bool,
    **values: Any,
) -> None:
    """Align the reactions of many viewers with the film that they watch, and measure how much they agree.

    Each RECORDING is a timeline that `fervid analyze` wrote (.json), or a video of one viewer, which is
    analyzed first. The result is a timeline of the film, which `fervid peaks`, `export`, `plot`, `show` and
    `report` take.
    Scores describe visible expression, not what a person feels.
    """
    targets = [name for name in (target, report) if name is not None]
    read = [name for name in (film, offsets, reference) if name is not None]
    output.check_targets(targets, [*inputs, *read], overwrite, messages.log_file)
    check_sync(offsets, sync, reference)
    if len(inputs) < FEW_VIEWERS:
        raise UsageError("an audience needs two recordings or more: name them")
    from fervid.execute import limit_threads

    limit_threads()  # before NumPy is imported, which reads the variables once
    given = None if offsets is None else read_offsets(offsets)
    video = open_film(messages, film)
    timelines = read_recordings(messages, inputs, values)
    viewers = align_viewers(messages, timelines, video, film, given, sync, reference)
    results = measure(messages, timelines, viewers, video, permutations, seed)
    write(results, timelines[0][1], video, film, target, report, overwrite)
    summarize(messages, results, targets)


def check_sync(offsets: str | None, sync: str, reference: str | None) -> None:
    """Check the options that say when the film begins."""
    if offsets is not None:
        options.forbid(("sync", "reference"), "and --offsets cannot be combined")
    if reference is not None and sync != "sound":
        raise UsageError("--reference needs --sync sound: add it")


def read_offsets(path: str) -> dict[str, float]:
    """Read a table with the columns `recording` and `offset` (seconds)."""
    try:
        text = read_text(Path(path), MOST_BYTES).removeprefix("\ufeff")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{display_name(path)} cannot be read: {error}") from error
    offsets = {}
    for number, row in enumerate(rows, 2):
        try:
            offsets[Path(row["recording"]).name] = float(row["offset"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{display_name(path)}, line {number}: give the columns recording and offset, in seconds"
            ) from error
    return offsets


def open_film(messages: Messages, film: str) -> Video:
    """Plan the film."""
    from fervid.video import planning

    with messages.bar("reading the film") as bar:
        bar.begin(1)
        return planning.plan(film, tick=bar.tick)


def read_recordings(
    messages: Messages, inputs: Sequence[str], values: dict[str, Any]
) -> list[tuple[str, Timeline]]:
    """Read the timelines of the recordings; analyze those that are videos."""
    from fervid.audience.viewers import check_models

    films = [name for name in inputs if not is_timeline(name)]
    known = {name: read_timeline(name, name) for name in inputs if name not in films}
    if films:
        values |= dict.fromkeys(("start", "end", "frame_rate")) | {"people": True}
        with open_analyzer(messages, values) as analyzer:
            for name in films:
                with local_path(name) as path, analyzer.start(name, path) as run:
                    known[name] = run.timeline
    else:
        options.forbid(values.keys(), "is for videos, and all recordings are timelines")
    timelines = [(name, known[name]) for name in inputs]
    check_models(timelines)
    return timelines


def align_viewers(
    messages: Messages,
    timelines: Sequence[tuple[str, Timeline]],
    film: Video,
    film_path: str,
    given: Mapping[str, float] | None,
    sync: str,
    reference: str | None,
) -> list[Viewer]:
    """Return the viewers, with their recordings aligned to the film's clock."""
    from fervid.audience import viewer_of
    from fervid.audience.analyze import length

    sound = None
    if given is None and sync == "sound":
        sound = read_sound(reference or film_path, None)
    viewers = []
    with messages.bar("aligning the viewers") as bar:
        bar.begin(len(timelines))
        for name, timeline in timelines:
            if given is not None:
                offset = offset_of(name, timeline, given)
            elif sync == "start":
                offset = 0.0
            else:
                offset = heard_offset(recording_of(name, timeline), sound)
            viewers.append(viewer_of(timeline, Path(name).name, offset, length(film)))
            bar.tick(len(viewers))
    for viewer in viewers:
        if viewer.presence < LITTLE:
            log.warning(
                "%s: readable for %.0f %% of the film; check its offset (%.2f s)",
                display_name(viewer.name),
                100 * viewer.presence,
                viewer.offset,
            )
    if not any(viewer.presence for viewer in viewers):
        raise InputError("no viewer can be read while the film runs: check the offsets")
    return viewers


def offset_of(name: str, timeline: Timeline, given: Mapping[str, float]) -> float:
    """Return the offset of a recording, by the name of its timeline or of its video."""
    for known in (Path(name).name, timeline.source.name, Path(name).stem, Path(timeline.source.name).stem):
        if known in given:
            return given[known]
    raise InputError(f"the table of offsets has no line for {display_name(Path(name).name)}: add one")


def recording_of(name: str, timeline: Timeline) -> str:
    """Return the path of the video of a recording: beside its timeline, or where it was analyzed."""
    if not is_timeline(name):
        return name
    path = Path(name).parent / timeline.source.name
    if not path.is_file():
        raise InputError(
            f"the sound of {display_name(name)} is in {display_name(timeline.source.name)}, which is not "
            "beside it: copy it there, or give --offsets"
        )
    return str(path)


def read_sound(path: str, seconds: float | None) -> Floats:
    """Return the sound of a file from its first frame on."""
    from fervid.audience.sync import RATE
    from fervid.video import planning
    from fervid.video.mono import mono

    return mono(planning.plan(path), RATE, seconds)


def heard_offset(path: str, reference: Floats | None) -> float:
    """Return the offset of a recording by its sound: of a reference, or else of the clap."""
    from fervid.audience import sync

    recording = read_sound(path, None)
    match = sync.find_clap(recording) if reference is None else sync.find_reference(recording, reference)
    if not match.is_sure:
        log.warning(
            "%s: the film seems to begin at %.2f s, but this is not sure; give its offset with --offsets",
            display_name(path),
            match.offset,
        )
    return match.offset


def measure(
    messages: Messages,
    timelines: Sequence[tuple[str, Timeline]],
    viewers: Sequence[Viewer],
    film: Video,
    permutations: int,
    seed: int,
) -> Audience:
    """Return the analysis of the audience."""
    from fervid.audience import Options, analyze

    with messages.bar("measuring") as bar:
        bar.begin(1)
        labels = timelines[0][1].labels
        return analyze(film, labels, viewers, Options(permutations, seed), bar.tick)


def write(
    results: Audience,
    first: Timeline,
    video: Video,
    film: str,
    target: str,
    report: str | None,
    overwrite: bool,
) -> None:
    """Write the results and the page."""
    from fervid.audience.film import as_timeline
    from fervid.audience.results import as_json
    from fervid.export.timelines.json import pieces

    timeline = as_timeline(results, video, first.model)
    with output.open_text(target, overwrite) as stream:
        for piece in pieces(as_json(results, timeline)):
            stream.write(piece)
        stream.write("\n")
    if report is not None:
        from fervid.audience.page import write as write_page
        from fervid.cli.report import address

        with output.open_text(report, overwrite) as stream:
            write_page(results, encodable(video.name), address(film, report), stream)


def summarize(messages: Messages, results: Audience, targets: Sequence[str]) -> None:
    """Print the main results."""
    if messages.quiet:
        return
    count = len(results.viewers)
    messages.say(f"{count} viewers, {results.count.mean() / count:.0%} of them readable on average")
    for name, test in results.tests.items():
        p = results.corrected[name]
        if p <= 0.05:
            messages.say(f"  they agree in {name}: correlation {test.correlation:.2f}, p {p:.3g}")
    highest = sorted(results.moments, key=lambda moment: -moment.prominence)[:TOP]
    for moment in sorted(highest, key=lambda moment: moment.apex):
        messages.say(
            f"  {format_seconds(moment.apex)}  {moment.emotion} {moment.score:.0%}, in "
            f"{moment.share:.0%} of them"
        )
    if results.group_count > 1:
        sizes = ", ".join(str(len(results.group(number + 1))) for number in range(results.group_count))
        messages.say(f"  {results.group_count} segments of viewers who react alike: {sizes}")
    for target in targets:
        if target != output.STANDARD:
            messages.say(f"wrote {target}")
