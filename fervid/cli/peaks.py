"""`fervid peaks`: the moments at which an expression stands out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from fervid import export
from fervid.cli.shared import cutting, options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.reading import is_timeline, read_timeline
from fervid.cli.shared.work import open_work
from fervid.errors import UsageError
from fervid.export import EDITS, PEAKS, Format

if TYPE_CHECKING:
    from fervid.types import Timeline

FORMATS = {"table": Format("fervid.cli.shared.summary:write_peaks", ".txt"), **PEAKS, **EDITS}
LAID = ("edl", "otio", "premiere", "fcpxml")  # a programme, in which the video lies whole or cut
COUNTED = (*LAID, "markers")  # formats that count frames, by timecode
PAD = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:,\s*(\d+(?:\.\d*)?|\.\d+)\s*)?")


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
    type=click.Choice(list(FORMATS)),
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
    messages = ctx.find_object(Messages)
    assert messages is not None
    target = target or output.STANDARD
    form = export.choose(FORMATS, target, form, "table")
    cuts = cutting.split(values, pad, overwrite)
    refuse_other_formats_options(ctx, form, cuts.are_asked_for)
    check_edit(form, timecode, timecode_rate)
    output.check_targets([target, *cuts.targets], [input, *cuts.inputs], overwrite, messages.log_file)
    with local_path(input) as path:
        cuts.check(is_timeline(path))
        if is_timeline(path):
            refuse_analysis_options(ctx, values)
            timeline = read_timeline(path, input)
        else:
            with open_work(messages, values) as work, work.start(input, path) as run:
                timeline = run.timeline
        timeline = choose(timeline, emotions, persons, top, score, min_gap)
        if form in EDITS:
            as_clips = (layout or ("clips" if form == "edl" else "markers")) == "clips"
            write_edit(timeline, target, form, pad, as_clips, timecode, timecode_rate)
        else:
            with output.open_text(target) as stream:
                FORMATS[form].write(timeline, stream)
        if not timeline.peaks and not messages.quiet:
            messages.say("there is no such peak")
        cuts.write(messages, timeline, path)


def choose(
    timeline: Timeline,
    emotions: Sequence[str],
    persons: Sequence[str],
    top: int | None,
    score: str,
    min_gap: float,
) -> Timeline:
    """Return the timeline with only the peaks that were asked for, highest first."""
    from fervid.timeline.peaks import rank

    labels, tick = timeline.labels, timeline.source.time_base
    unknown = [name for name in emotions if name not in labels]
    if unknown:
        raise UsageError(f"there is no emotion {unknown[0]!r} in it: choose among {', '.join(labels)}")
    who = ids(persons, timeline.names) if persons else None
    peaks = rank(timeline.peaks, tick, emotions or None, top, min_gap, who, score)
    return replace(timeline, peaks=tuple(peaks))


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


def ids(persons: Sequence[str], known: Mapping[str, str]) -> set[str]:
    """Return the ids of persons who were asked for by id or by name."""
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


def write_edit(
    timeline: Timeline,
    target: str,
    form: str,
    pad: tuple[Fraction, Fraction] | None,
    as_clips: bool,
    timecode: str | None,
    rate: Fraction | None,
) -> None:
    """Write the peaks for an editing program or a player."""
    from fervid.export.editors.edit import plan

    edit = plan(timeline, pad=pad, as_clips=as_clips, rate=rate, begin=timecode)
    if form in COUNTED:
        for remark in edit.remarks:
            log.warning("%s: %s", edit.name, remark)
    with output.open_text(target) as stream:
        EDITS[form].write(edit, stream)
