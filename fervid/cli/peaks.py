"""`fervid peaks`: list the moments at which an expression stands out, or cut them out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from fervid import export
from fervid.cli.shared import cutting, options, output
from fervid.cli.shared.inputs import local_path, video_label
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.reading import is_timeline
from fervid.cli.shared.timelines import timeline_of
from fervid.cli.shared.values import RateType, SecondsType
from fervid.errors import UsageError
from fervid.export import EDITS, PEAKS, Format
from fervid.labels import LABELS, label_of
from fervid.times import parse_number

if TYPE_CHECKING:
    from fervid.types import Timeline

FORMATS = {"table": Format("fervid.cli.shared.summary:write_peaks", ".txt"), **PEAKS, **EDITS}
EDITING = ("edl", "otio", "premiere", "fcpxml")  # formats that place the video, whole or cut, on a timeline
CUTTING = ("edl", "auto-editor")  # formats that cut moments out unless --as says otherwise
WITH_LAYOUT = (*EDITING, "markers", "auto-editor")  # formats of markers or clips
WITH_TIMECODE = (*EDITING, "markers")  # formats with timecodes
FROM_ZERO = (
    "its timecode begins at 00:00:00:00, as the video has none of its own: add --timecode 01:00:00:00 for a "
    "timeline that begins at one hour"
)
# What people write for a format, and what they mean.
NEAR = {
    "resolve": "markers (on an existing timeline), or otio, fcpxml or edl (a new timeline)",
    "davinci": "markers (on an existing timeline), or otio, fcpxml or edl (a new timeline)",
    "xml": "premiere, or fcpxml for Final Cut Pro",
    "fcp": "fcpxml",
    "finalcut": "fcpxml",
    "avid": "edl",
    "chapters": "ffmetadata",
    "subtitles": "srt or vtt",
}
PAD = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:,\s*(\d+(?:\.\d*)?|\.\d+)\s*)?")


class FormatType(click.Choice[str]):
    """The name of a format; the error names the formats of an editing program."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        word = str(value).lower().replace("-", "").replace(" ", "")
        close = get_close_matches(str(value).lower(), FORMATS, 1)
        meant = NEAR.get(word) or (close[0] if close else None)
        hint = f" Did you mean {meant}?" if meant else ""
        return super().get_invalid_choice_message(value, ctx) + hint


class PadType(click.ParamType[tuple[Fraction, Fraction]]):
    """Seconds before and after, separated by a comma; one number is for both."""

    name = "pad"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Fraction, Fraction]:
        match = PAD.fullmatch(str(value))
        with suppress(ValueError):  # a number of unusual length
            if match is not None:
                return parse_number(match[1]), parse_number(match[2] or match[1])
        self.fail(f"{value!r} is not a pad: give seconds before and after, such as 1,2")


def _split(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels of words: happiness for "happy"."""
    words = (word.strip().lower() for value in values for word in value.split(",") if word.strip())
    return tuple(label_of(word) or word for word in words)


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
    "--emotion",
    "emotions",
    metavar="EMOTION",
    multiple=True,
    callback=_split,
    shell_complete=options.completer("emotions"),
    help="Only this emotion; may be repeated, or several with commas between.",
)
@click.option(
    "--person",
    "persons",
    metavar="PERSON",
    multiple=True,
    help="Only this person, by id or name; may be repeated.",
)
@click.option(
    "--top",
    type=click.IntRange(1),
    metavar="N",
    help="Only N peaks: the highest of each emotion, then the highest of the rest.",
)
@click.option(
    "--score",
    type=click.Choice(["prominence", "arousal", "intensity"]),
    default="prominence",
    show_default=True,
    help="What to rank peaks by.",
)
@click.option(
    "--min-gap",
    type=SecondsType(),
    default=0.0,
    show_default=True,
    help="The shortest time between two peaks of the same person and emotion, in seconds.",
)
@click.option(
    "-f",
    "--format",
    "form",
    type=FormatType(list(FORMATS)),
    help="The format.  [default: from the suffix, otherwise table]",
)
@click.option(
    "--pad",
    type=PadType(),
    metavar="BEFORE,AFTER",
    help="Seconds before a moment's onset and after its offset.  [default: 0.5,0.5 for clips; markers are at "
    "the apex]",
)
@click.option(
    "--as",
    "layout",
    type=click.Choice(["markers", "clips"]),
    help="Mark moments on the whole video, or cut them out.  [default: clips for edl, otherwise markers]",
)
@click.option(
    "--timecode",
    metavar="HH:MM:SS:FF",
    help="Timecode of the first frame; a Resolve timeline begins at 01:00:00:00.  [default: the file's own, "
    "otherwise zero]",
)
@click.option(
    "--timecode-rate",
    type=RateType(),
    help="Frames per second of the timecode.  [default: the video's]",
)
@options.target("-o", "--output", "target", help="Write here; - is standard output.  [default: -]")
@options.apply(*cutting.OPTIONS)
@options.apply(*options.MODEL, *options.SELECTION, *options.PEOPLE, *options.WORK, options.OVERWRITE)
@click.pass_obj
def peaks(
    messages: Messages,
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
    """List the peaks of INPUT, highest first, or write them for an editing program, in order of time.

    INPUT is a timeline that `fervid analyze` wrote (.json, .jsonl), or a video; - is standard input. fervid
    analyzes a video first, and keeps its timeline beside it. It takes the options of `fervid analyze` for
    that, and reads a timeline beside the video only if it was made with the options that you give.

    Rank 1 has the highest prominence, which is how far the score rises above the moments around it, unless
    --score says otherwise. A track is one face from its appearance to its disappearance or the next cut.

    The time of a peak is where its score is highest, or if that lasts, where the face is farthest from the
    person's neutral face.

    edl is CMX 3600, markers is DaVinci Resolve's EDL of timeline markers, otio is OpenTimelineIO, premiere
    is Premiere's XML, fcpxml is Final Cut Pro's, ffmetadata is chapters for FFmpeg, auto-editor
    is Auto-Editor's list of parts to keep, srt and vtt are subtitles. Peaks are of visible expression, not of
    what a person feels.
    """
    from fervid.cli.shared.columns import counted

    target = target or output.STANDARD
    form = export.choose(FORMATS, target, form, "table")
    cuts = cutting.split(values, pad, overwrite)
    check_edit(form, timecode, timecode_rate, cuts.are_requested)
    targets = [target, *cuts.targets]
    output.check_targets(targets, [input, *cuts.inputs], overwrite, messages.log_file)
    with local_path(input) as path:
        cuts.check(is_timeline(path))
        check = partial(_check_labels, emotions, values["model"])
        timeline = timeline_of(messages, input, path, values, targets, check).timeline
        timeline, left_out = choose(timeline, emotions, persons, top, score, min_gap)
        if form in EDITS:
            as_clips = (layout or ("clips" if form in CUTTING else "markers")) == "clips"
            written = write_edit(timeline, target, overwrite, form, pad, as_clips, timecode, timecode_rate)
        else:
            written = counted(len(timeline.peaks), "peak")
            with output.open_text(target, overwrite) as stream:
                FORMATS[form].write(timeline, stream)
        if not messages.quiet:
            has_markers = timecode is None and is_marked(form, layout)
            for line in _remarks(timeline, target, written, left_out, has_markers):
                messages.say(line)
        cuts.write(messages, timeline, path)


def _remarks(
    timeline: Timeline, target: str, written: str | None, left_out: str, has_markers: bool
) -> Iterator[str]:
    """Yield what to say about written peaks; `has_markers` if their times may count from another start."""
    yield from filter(None, (report_written(target, written, bool(timeline.peaks)), left_out))
    if has_markers and written and target != output.STANDARD and timeline.source.timecode is None:
        yield FROM_ZERO


def is_marked(form: str, layout: str | None) -> bool:
    """Return whether a format is an EDL of markers, with times from the start of the editor's timeline."""
    return form == "markers" or (form == "edl" and layout == "markers")


def report_written(target: str, written: str | None, has_peaks: bool) -> str:
    """Return the message about the written file; `written` is None if there were no peaks to write."""
    if target == output.STANDARD:
        return "" if has_peaks else "no peaks match"
    if written is None:
        return f"no peaks match: {target} was not written"
    return f"wrote {target}: {written}" + ("" if has_peaks else ", as no peaks match")


def choose(
    timeline: Timeline,
    emotions: Sequence[str],
    persons: Sequence[str],
    top: int | None,
    score: str,
    min_gap: float,
) -> tuple[Timeline, str]:
    """Return the timeline with only the requested peaks, highest first, and a message about the others."""
    from fervid.cli.shared.columns import counted
    from fervid.timeline.peaks import rank

    tick = timeline.source.time_base
    check_emotions(emotions, timeline.labels)
    chosen = ids(persons, timeline.names) if persons else None
    matching = rank(timeline.peaks, tick, emotions or None, person=chosen, score=score)
    apart = rank(matching, tick, min_gap=min_gap, score=score)
    peaks = rank(apart, tick, top=top, score=score)
    reasons = {"--min-gap": len(matching) - len(apart), "--top": len(apart) - len(peaks)}
    left_out = [f"{counted(count, 'peak')} by {option}" for option, count in reasons.items() if count]
    message = f"left out: {', '.join(left_out)}" if left_out else ""
    return replace(timeline, peaks=tuple(peaks)), message


def _check_labels(emotions: Sequence[str], model: str) -> None:
    """Raise UsageError for an emotion that a model does not have."""
    from fervid.model import info

    check_emotions(emotions, info(model).labels)


def check_emotions(emotions: Sequence[str], labels: Sequence[str]) -> None:
    """Raise UsageError for an emotion that the labels do not have."""
    for name in emotions:
        if name not in labels:
            close = get_close_matches(name, LABELS, 1)
            hint = f" Did you mean {LABELS[close[0]]}?" if close and LABELS[close[0]] in labels else ""
            raise UsageError(f"unknown emotion {name!r}: choose one of {', '.join(labels)}.{hint}")


def check_edit(form: str, label: str | None, rate: Fraction | None, is_cut: bool) -> None:
    """Check the format, its options and the timecode before any work."""
    from fervid.export.editors import otio, timecode

    pad = () if is_cut else ("pad",)
    for names, formats in (
        (pad, EDITS),
        (("layout",), EDITING),
        (("timecode", "timecode_rate"), WITH_TIMECODE),
    ):
        if form not in formats:
            options.forbid(names, f"is for {', '.join(formats)}, not for {form}")
    if form == "otio":
        otio.require()
    if label is not None:
        timecode.parsed(label)
    if rate is not None:
        timecode.own_rate(rate)


def ids(persons: Sequence[str], known: Mapping[str, str]) -> set[str]:
    """Return the ids of people given by id or by name."""
    for person in persons:
        if person not in known and person not in known.values():
            listed = ", ".join(name if name == key else f"{key} ({name})" for key, name in known.items())
            advice = f"choose one of {listed}" if known else "the timeline has no people"
            raise UsageError(f"there is no person {person!r}: {advice}")
    return {key for key, name in known.items() if key in persons or name in persons}


def write_edit(
    timeline: Timeline,
    target: str,
    overwrite: bool,
    form: str,
    pad: tuple[Fraction, Fraction] | None,
    as_clips: bool,
    timecode: str | None,
    rate: Fraction | None,
) -> str | None:
    """Write the peaks for an editing program or a player; return a message, None if there are no peaks."""
    from fervid.cli.shared.columns import counted
    from fervid.export.editors.edit import plan

    if not timeline.peaks:
        return None
    edit = plan(timeline, pad=pad, as_clips=as_clips, rate=rate, begin=timecode)
    if form in WITH_TIMECODE:
        for remark in edit.remarks:
            log.warning("%s: %s", video_label(edit.name), remark)
    with output.open_text(target, overwrite) as stream:
        EDITS[form].write(edit, stream)
    noun = "peak" if form not in WITH_LAYOUT else "clip" if as_clips else "marker"
    if form != "markers":
        return counted(len(edit.moments), noun)
    markers = len({edit.mark(moment).start for moment in edit.moments})  # moments of a frame share one
    shared = f" for {len(edit.moments)} peaks" if markers < len(edit.moments) else ""
    return counted(markers, noun) + shared
