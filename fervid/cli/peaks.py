"""`fervid peaks`: the moments at which an expression stands out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import cutting, options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.reading import is_timeline, read_timeline
from fervid.cli.shared.work import open_work
from fervid.errors import UsageError
from fervid.export import EDITS

if TYPE_CHECKING:
    from fervid.export.timelines.shapes import Clock
    from fervid.types import Peak

LISTS = ("table", "json", "jsonl", "csv")
FORMATS = (*LISTS, *EDITS)
SUFFIXES = {
    **{name: name for name in FORMATS if name not in ("table", "markers")},
    "xml": "premiere",
    "ffmeta": "ffmetadata",
}
COUNTED = ("edl", "otio", "markers", "premiere", "fcpxml")  # formats that count frames, by timecode
LAID = (
    "edl",
    "otio",
    "premiere",
    "fcpxml",
)  # formats of a programme, in which the video can lie whole or cut
PAD = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:,\s*(\d+(?:\.\d*)?|\.\d+)\s*)?")


@dataclass(frozen=True)
class Found:
    """The peaks of a timeline, and what is needed to choose among them and to write them."""

    peaks: Sequence[Peak]
    source: Mapping[str, Any]
    labels: Sequence[str]
    people: Sequence[Mapping[str, Any]]


class PadType(click.ParamType[tuple[Fraction, Fraction]]):
    """Seconds before and after, with a comma between; one number stands for both."""

    name = "pad"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Fraction, Fraction]:
        found = PAD.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no pad: give seconds before and after, as 1,2 or 0.5,0.5")
        return Fraction(found[1]), Fraction(found[2] or found[1])


def _split(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip().lower() for value in values for name in value.split(",") if name.strip())


@options.command(
    "peaks",
    examples="""
    fervid peaks out.json --emotion happiness --top 10 --min-gap 5
    fervid peaks out.json -f csv -o peaks.csv
    fervid peaks out.json --top 20 -f markers -o markers.edl
    fervid peaks out.json --pad 1,2 --as clips -o cuts.otio
    fervid peaks movie.mp4 --emotion surprise,fear
    fervid peaks out.json --video movie.mp4 --top 5 --cut clips/ --montage reel.mp4
    """,
)
@click.argument("input", metavar="INPUT")
@click.option(
    "--emotion", "emotions", multiple=True, callback=_split, help="Only this; repeat it, or use commas."
)
@click.option("--person", "persons", multiple=True, help="Only this one, by id or name; repeat it for more.")
@click.option("--top", type=click.IntRange(1), help="Only so many, the highest.")
@click.option(
    "--score",
    type=click.Choice(["prominence", "arousal", "intensity"]),
    default="prominence",
    show_default=True,
    help="What makes a peak high.",
)
@click.option(
    "--min-gap",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Seconds between two peaks, at least.",
)
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="How to write them.  [default: by the file's suffix, else table]",
)
@click.option(
    "--pad",
    type=PadType(),
    metavar="BEFORE,AFTER",
    help="Seconds before a moment's onset and after its offset.  [default: 0.5,0.5 for clips, else markers "
    "stand at the apex]",
)
@click.option(
    "--as",
    "layout",
    type=click.Choice(["markers", "clips"]),
    help="Mark moments on the whole video, or cut them out.  [default: clips for edl, else markers]",
)
@click.option(
    "--timecode",
    metavar="HH:MM:SS:FF",
    help="Timecode of the first frame.  [default: the file's own, else zero]",
)
@click.option(
    "--timecode-rate",
    type=options.RateType(),
    help="Frames per second that timecode counts.  [default: the video's]",
)
@options.target("-o", "--output", "target", help="Write here; - is standard output.  [default: -]")
@options.apply(*cutting.OPTIONS)
@options.apply(*options.MODEL, *options.SELECTION, *options.PEOPLE, *options.WORK, options.OVERWRITE)
@click.pass_context
def peaks(
    ctx: click.Context,
    /,
    input: str,
    emotions: tuple[str, ...],
    persons: tuple[str, ...],
    top: int | None,
    score: str,
    min_gap: float,
    form: str | None,
    pad: tuple[Fraction, Fraction] | None,
    layout: str | None,
    timecode: str | None,
    timecode_rate: Fraction | None,
    target: str | None,
    overwrite: bool,
    **values: Any,
) -> None:
    """List the peaks of INPUT, highest first, or write them for an editing program, by time.

    INPUT is a timeline that `fervid analyze` wrote (.json, .jsonl), or a video, which is then analyzed with
    the options that `fervid analyze` knows. - is standard input.

    edl is CMX 3600, markers DaVinci Resolve's EDL of timeline markers, premiere Premiere's XML, ffmetadata
    chapters for FFmpeg, srt and vtt subtitles; otio and fcpxml are what they are called.
    Peaks are of visible expression, not of what a person feels.
    """
    from fervid.export.timelines.shapes import Clock

    messages = ctx.find_object(Messages)
    assert messages is not None
    target = target or output.STANDARD
    if form is None:
        suffix = Path(target).suffix.lower().removeprefix(".")
        form = SUFFIXES.get(suffix, "table")
    cuts = cutting.split(values, pad, overwrite)
    refuse_other_formats_options(ctx, form, cuts.are_asked_for)
    check_edit(form, timecode, timecode_rate)
    output.check_targets([target, *cuts.targets], [input, *cuts.inputs], overwrite, messages.log_file)
    with local_path(input) as path:
        cuts.check(is_timeline(path))
        if is_timeline(path):
            refuse_analysis_options(ctx, values)
            document = read_timeline(path, input)
            found = Found(document.peaks, document.source, document.labels, document.people)
        else:
            found = analyze(messages, input, path, values)
        chosen = choose(found, emotions, persons, top, score, min_gap)
        if form in EDITS:
            as_clips = (layout or ("clips" if form == "edl" else "markers")) == "clips"
            write_edit(found, chosen, target, form, pad, as_clips, timecode, timecode_rate)
        else:
            write(chosen, found.source, Clock.of(found.source), target, form)
        if not chosen and not messages.quiet:
            messages.say("there is no such peak")
        cuts.write(messages, chosen, found.source, path)


def choose(
    found: Found,
    emotions: Sequence[str],
    persons: Sequence[str],
    top: int | None,
    score: str,
    min_gap: float,
) -> list[Peak]:
    """The peaks that were asked for, highest first."""
    from fervid.export.timelines.shapes import Clock
    from fervid.timeline.peaks import rank

    unknown = [name for name in emotions if name not in found.labels]
    if unknown:
        raise UsageError(f"there is no emotion {unknown[0]!r} in it: choose among {', '.join(found.labels)}")
    who = ids(persons, found.people) if persons else None
    return list(
        rank(found.peaks, Clock.of(found.source).time_base, emotions or None, top, min_gap, who, score)
    )


def refuse_other_formats_options(ctx: click.Context, form: str, cuts: bool) -> None:
    """Refuse an option that the format has no use for."""
    takers: dict[str, tuple[str, ...]] = {
        **({} if cuts else {"pad": tuple(EDITS)}),
        "layout": LAID,
        "timecode": COUNTED,
        "timecode_rate": COUNTED,
    }
    for parameter in ctx.command.params:
        formats = takers.get(parameter.name or "")
        if formats and form not in formats and ctx.params[parameter.name or ""] is not None:
            raise UsageError(
                f"{parameter.opts[0]} is for {', '.join(formats)}, and not for {form}: leave it out"
            )


def check_edit(form: str, label: str | None, rate: Fraction | None) -> None:
    """Refuse, before any work, what no edit could be made with."""
    from fervid.export.editors import otio, timecode

    if form == "otio":
        otio.require()
    if label is not None:
        timecode.parsed(label)
    if rate is not None:
        timecode.own_rate(rate)


def ids(persons: Sequence[str], people: Sequence[Mapping[str, Any]]) -> set[str]:
    """The ids of persons who were asked for by id or by name."""
    from fervid.export.timelines.shapes import names

    known = names(people)
    for person in persons:
        if person not in known and person not in known.values():
            told = ", ".join(name if name == key else f"{key} ({name})" for key, name in known.items())
            advice = f"choose among {told}" if known else "nobody is told apart in it"
            raise UsageError(f"there is no person {person!r} in it: {advice}")
    return {key for key, name in known.items() if key in persons or name in persons}


def refuse_analysis_options(ctx: click.Context, values: Mapping[str, Any]) -> None:
    """A timeline is not analyzed again: options that would ask for it are refused, not ignored."""
    for parameter in ctx.command.params:
        name = parameter.name or ""
        given = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name in values:
            raise UsageError(f"{parameter.opts[0]} is for videos, and this input is a timeline: leave it out")


def analyze(messages: Messages, name: str, path: str, values: dict[str, Any]) -> Found:
    """The peaks of a video, with its facts, the model's emotions and who was told apart."""
    from fervid.export.timelines.shapes import people, source

    with open_work(messages, values) as work, work.start(name, path) as run:
        timeline = run.timeline
        return Found(timeline.peaks, source(timeline.video), timeline.model.labels, people(timeline))


def write_edit(
    found: Found,
    chosen: Sequence[Peak],
    target: str,
    form: str,
    pad: tuple[Fraction, Fraction] | None,
    as_clips: bool,
    timecode: str | None,
    rate: Fraction | None,
) -> None:
    """Write the chosen peaks for an editing program or a player."""
    from fervid.export import edit_writer
    from fervid.export.editors.edit import plan
    from fervid.export.timelines import shapes

    edit = plan(
        chosen,
        found.source,
        names=shapes.names(found.people),
        pad=pad,
        as_clips=as_clips,
        rate=rate,
        begin=timecode,
    )
    if form in COUNTED:
        for remark in edit.remarks:
            log.warning("%s: %s", edit.name, remark)
    with output.open_text(target) as stream:
        edit_writer(form)(edit, stream)


def write(chosen: Sequence[Peak], source: Mapping[str, Any], clock: Clock, target: str, form: str) -> None:
    """Write the chosen peaks as a list."""
    from fervid.export.timelines import peaks as writer

    with output.open_text(target) as stream:
        if form != "table":
            writer.write(chosen, source, stream, form)
        elif chosen:
            from rich.console import Console

            from fervid.cli.shared.summary import peak_table

            width = None if stream.isatty() else 120  # rich's 80 would break lines that other programs read
            Console(file=stream, highlight=False, width=width).print(peak_table(chosen, clock))
