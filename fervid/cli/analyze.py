"""`fervid analyze`: turn videos into timelines."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.analyzer import open_analyzer
from fervid.cli.shared.inputs import check_quotes, each_input
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.timelines import beside, file_name
from fervid.errors import UsageError
from fervid.export import FRAMES, TIMELINES, check_parquet, choose, with_parquet
from fervid.files.urls import is_url

if TYPE_CHECKING:
    from fervid.analysis import Run
    from fervid.types import Timeline


FORMATS = with_parquet(TIMELINES, "segments")
WITH_PHASES = ("json", "segments", "parquet")  # the formats that contain the phases of expressions
WITH_UNITS = ("json", "windows")  # the formats of a timeline that contain action units


@dataclass(frozen=True)
class Targets:
    """The files for the results of one input."""

    timeline: str | None = None
    format: str = "json"
    frames: str | None = None
    tracks: str | None = None

    @property
    def all(self) -> list[str]:
        return [target for target in (self.timeline, self.frames, self.tracks) if target is not None]


@options.command(
    "analyze",
    examples="""
    fervid analyze movie.mp4
    fervid analyze movie.mp4 -t out.json
    fervid analyze movie.mp4 -t movie.srt
    fervid analyze movie.mp4 -t - -f jsonl | head
    cat movie.mkv | fervid analyze - -t out.json
    fervid analyze https://example.org/movie.mp4 -t out.json
    fervid analyze movie.mp4 --start 1:00 --end 90.5 --sample-fps 12.5 -t part.json
    fervid analyze a.mp4 b.mp4 --output-dir out/
    fervid analyze movie.mp4 --frames frames.csv --tracks geometry.npz
    fervid analyze movie.mp4 --aus -t out.json
    fervid analyze movie.mp4 --gallery portraits/ -t out.json
    """,
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@options.target("-t", "--timeline", help="Write the timeline here; - is standard output.")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice([*TIMELINES, "parquet"]),
    help="The timeline's format.  [default: from the suffix, otherwise json]",
)
@click.option("-o", "--output-dir", metavar="DIR", help="Write each timeline as DIR/<name>.json.")
@options.target("--frames", help="Write a CSV row per frame and face (or .parquet); - is standard output.")
@options.target(
    "--tracks", metavar="FILE.npz", help="Write per-frame boxes, landmarks, pose and scores (NumPy)."
)
@options.apply(
    *options.MODEL,
    *options.SELECTION,
    options.MIN_SEGMENT,
    options.UNITS,
    options.PHASES,
    *options.PEOPLE,
    *options.WORK,
    options.OVERWRITE,
)
@click.pass_obj
def analyze(
    messages: Messages,
    /,
    inputs: tuple[str, ...],
    timeline: str | None,
    form: str | None,
    output_dir: str | None,
    frames: str | None,
    tracks: str | None,
    aus: bool,
    phases: bool,
    overwrite: bool,
    **values: Any,
) -> int:
    """Turn each INPUT into a timeline of who is on screen, when, and what the face shows.

    INPUT is a video file, a folder of stills, a URL, or - for standard input. Without a target, the timeline
    is written beside the video, as movie.json. The suffix of a timeline chooses its format. A summary goes to
    standard error. Exit codes: 0 success, 1 failure, 2 wrong usage, 3 some inputs failed, 130 interrupted.
    """
    named = Targets(timeline, "", frames, tracks).all
    is_beside = not named and output_dir is None
    output.check_targets(named, inputs, overwrite, messages.log_file)
    planned = plan_targets(inputs, timeline, form, output_dir, frames, tracks)
    if output_dir is not None or is_beside:
        paths = [path for targets in planned for path in targets.all]
        output.check_targets(paths, inputs, overwrite, messages.log_file)
    if aus:
        check_units(planned)
    if phases and any(targets.timeline is None or targets.format not in WITH_PHASES for targets in planned):
        raise UsageError(
            f"--phases needs a timeline as {' or '.join(WITH_PHASES)}: add it, or another --format"
        )
    for targets in planned:
        check_parquet(targets.timeline or "", targets.format)
        check_parquet(targets.frames or "")
    by_input = dict(zip(inputs, planned, strict=True))
    results: list[tuple[Timeline, Targets]] = []
    with open_analyzer(messages, values) as analyzer:

        def analyze_input(name: str, path: str) -> None:
            with analyzer.start(name, path) as run:
                results.append((write(run, by_input[name], overwrite, aus, phases), by_input[name]))

        code = each_input(messages, inputs, analyze_input)
    if results and not messages.quiet:
        summarize(messages, results)
        if is_beside:
            advise(messages, inputs[0], planned[0])
    return code


def plan_targets(
    inputs: Sequence[str],
    timeline: str | None,
    form: str | None,
    output_dir: str | None,
    frames: str | None,
    tracks: str | None,
) -> list[Targets]:
    """Return the targets of each input, and create the folder of --output-dir."""
    check_quotes(inputs)
    for option, value in (("--timeline", timeline), ("--frames", frames), ("--tracks", tracks)):
        if value is not None and len(inputs) > 1:
            raise UsageError(
                f"{option} names one file for {len(inputs)} inputs: use --output-dir, or give one input"
            )
    if len(set(inputs)) < len(inputs):
        raise UsageError("an input is named twice: name each once")
    if tracks == output.STANDARD:
        raise UsageError("--tracks cannot be written to standard output: name a file")
    if timeline is not None and output_dir is not None:
        raise UsageError("--timeline and --output-dir cannot be combined: use one of them")
    if timeline is None and output_dir is None and frames is None and tracks is None:
        form = form or "json"
        return [Targets(beside(name, FORMATS[form].suffix, "--timeline"), form) for name in inputs]
    if form is not None and timeline is None and output_dir is None:
        raise UsageError("--format needs --timeline or --output-dir: add one of them")
    if output_dir is None:
        form = "json" if timeline is None else choose(FORMATS, timeline, form, "json")
        return [Targets(timeline, form, frames, tracks)] * len(inputs)
    folder, form = output.make_folder(output_dir), form or "json"
    names = [name + FORMATS[form].suffix for name in name_outputs(inputs)]
    return [Targets(str(folder / name), form, frames, tracks) for name in names]


def name_outputs(inputs: Sequence[str]) -> list[str]:
    """Return a file name without suffix for each input: its stem, or its full name if stems collide."""
    names = [file_name(name) for name in inputs]
    stems = [Path(name).stem for name in names]
    # Case is ignored: some file systems cannot store both a.json and A.json.
    uses = Counter(stem.casefold() for stem in stems)
    chosen = [stem if uses[stem.casefold()] == 1 else name for name, stem in zip(names, stems, strict=True)]
    for name, count in Counter(name.casefold() for name in chosen).items():
        if count > 1:
            raise UsageError(f"several inputs are called {name}: analyze them into different folders")
    return chosen


def check_units(planned: Sequence[Targets]) -> None:
    """Raise UsageError if none of the targets of an input can contain action units."""
    for targets in planned:
        if targets.frames is None and (targets.timeline is None or targets.format not in WITH_UNITS):
            raise UsageError(
                f"--aus needs a timeline as {' or '.join(WITH_UNITS)}, or --frames: add one of them"
            )


def write(run: Run, targets: Targets, overwrite: bool, aus: bool = False, phases: bool = False) -> Timeline:
    """Analyze one input and write its results, with action units and the phases of expressions if wanted."""
    from fervid.export.frames import geometry
    from fervid.export.timelines import jsonl

    assert run.model is not None
    labels = run.model.labels
    if targets.timeline is not None and targets.format == "jsonl":
        with output.open_text(targets.timeline, overwrite) as stream:
            jsonl.header(run.video, run.model, run.settings.as_json(), stream)
            for segment in run.segments():
                jsonl.segment(segment, run.video, labels, stream)
            jsonl.summary(run.timeline, stream)
    timeline = run.timeline
    people = {curve.track: curve.person for curve in timeline.curves if curve.person is not None}
    units = None
    if aus:
        from fervid.units import measure

        units = measure(run.rows, run.video, people)
        timeline = replace(timeline, curves=tuple(map(units.added_to, timeline.curves)))
    if phases:
        from fervid.units import with_phases

        timeline = with_phases(timeline, run.rows, run.video)
    if targets.timeline is not None and targets.format != "jsonl":
        output.write_format(FORMATS, targets.format, targets.timeline, overwrite, timeline)
    people = {curve.track: curve.person for curve in timeline.curves if curve.person is not None}
    if targets.frames is not None:
        rows = run.rows(), run.video, labels
        output.write_format(FRAMES, "frames", targets.frames, overwrite, *rows, people=people, units=units)
    if targets.tracks is not None:
        with output.open_binary(targets.tracks, overwrite) as binary:
            geometry.write(run.rows, run.row_count, run.video, labels, binary, people)
    return timeline


def summarize(messages: Messages, results: Sequence[tuple[Timeline, Targets]]) -> None:
    """Print a table of the results and the paths written, on standard error."""
    from fervid.cli.shared.summary import table

    messages.console.print(table([timeline for timeline, _ in results]))
    for _, targets in results:
        for target in targets.all:
            if target != output.STANDARD:
                messages.say(f"wrote {target}")


def advise(messages: Messages, name: str, targets: Targets) -> None:
    """Print commands that use a timeline."""
    timeline = shlex.quote(str(targets.timeline))
    if targets.format == "json":
        messages.say(f"now: fervid show {timeline}")
        video = "" if is_url(name) else f" --video {shlex.quote(name)}"
        messages.say(f"     fervid report {timeline}{video}")
        messages.say(f"     fervid peaks {timeline} --top 10")
