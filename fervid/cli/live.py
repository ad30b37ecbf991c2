"""`fervid live`: report the faces of a camera, a stream or a pipe while it runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event as Flag
from typing import TYPE_CHECKING, Any, TextIO

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.values import SecondsType
from fervid.errors import UsageError
from fervid.export import TIMELINES, check_parquet, choose, with_parquet
from fervid.times import format_seconds

if TYPE_CHECKING:
    from fervid.live.events import Ended, Event

FORMATS = with_parquet(TIMELINES, "segments")
KINDS = ("frame", "segment")


@dataclass(frozen=True)
class Targets:
    """The outputs of a live analysis."""

    lines: str | None  # None: no lines, only the view
    timeline: str | None
    form: str  # of the timeline
    kinds: tuple[str, ...]  # of lines
    has_view: bool


@options.command(
    "live",
    examples="""
    fervid live /dev/video0
    fervid live /dev/video0 -o - | jq -c 'select(.type == "segment")'
    fervid live rtsp://camera.local/stream -o lines.jsonl --timeline session.json
    ffmpeg -i URL -c copy -f matroska - | fervid live - --lines segment
    fervid live 0 --input-format avfoundation --input-option framerate=30
    """,
)
@click.argument("input", metavar="SOURCE")
@options.target("-o", "--output", "target", help="Write the lines here; - is standard output.")
@options.target("-t", "--timeline", help="Write the timeline here at the end.")
@options.kinds("--lines", KINDS, help="Which lines to write, separated by commas.")
@click.option(
    "--view",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_default=True,
    help="Show the faces in the terminal; auto: unless lines are written there.",
)
@click.option(
    "--input-format", metavar="NAME", help="FFmpeg's name of the input's device or format, such as dshow."
)
@click.option(
    "--input-option",
    "input_options",
    metavar="NAME=VALUE",
    multiple=True,
    help="An FFmpeg option of the input; may be repeated.",
)
@click.option("--no-drop", is_flag=True, help="Analyze every frame, also if the source then has to wait.")
@click.option(
    "--patience",
    type=SecondsType(),
    default=5.0,
    show_default=True,
    help="Seconds without a frame after which all tracks end.",
)
@click.option(
    "--reconnect",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="How often to try to reopen a camera or URL that broke.",
)
@options.apply(*options.MODEL, *options.FACES, options.MIN_SEGMENT, options.OVERWRITE)
@click.pass_obj
def live(
    messages: Messages,
    /,
    input: str,
    target: str | None,
    timeline: str | None,
    lines: tuple[str, ...],
    view: str,
    input_format: str | None,
    input_options: tuple[str, ...],
    no_drop: bool,
    patience: float,
    reconnect: int,
    model: str,
    device: str,
    overwrite: bool,
    **values: Any,
) -> None:
    """Report the faces of SOURCE while it runs, as JSON Lines: each frame, and each segment once it is final.

    SOURCE is a camera (/dev/video0), a URL (rtsp, http, srt ...), a pipe, a file, or - for standard input. It
    is read once and never stored. Frames that come faster than they can be analyzed are dropped and counted.
    End it with Ctrl-C: the last lines and the timeline are still written, and the exit code is 0.
    """
    targets = plan_targets(messages, target, timeline, lines, view)
    named = [name for name in (targets.lines, targets.timeline) if name is not None]
    output.check_targets(named, [input], overwrite, messages.log_file)
    given = dict(split_option(option) for option in input_options)
    values |= dict.fromkeys(("start", "end", "frame_rate")) | {"people": False}
    selection = options.split_selection(values)
    from fervid.execute import limit_threads

    limit_threads()  # before NumPy is imported, which reads the variables once
    selection.check()
    from fervid.live import Options, start
    from fervid.video.origins import Origin

    origin = Origin(input, input_format, given, max(patience, 1.0), is_paced=not no_drop)
    origin.check()
    wanted = Options(selection.rest, patience, keeps=timeline is not None)
    stopped = Flag()
    with (
        stopping(stopped),
        start(
            origin,
            stopped,
            model=model,
            device=device,
            options=wanted,
            rotate=selection.rotate,
            drops=not no_drop,
            reconnect=reconnect,
        ) as analysis,
    ):
        report(messages, analysis.events(), targets, overwrite, stopped)


def plan_targets(
    messages: Messages, lines: str | None, timeline: str | None, kinds: tuple[str, ...], view: str
) -> Targets:
    """Return the outputs; without --output, lines go to standard output, unless the view is shown there."""
    form = "json" if timeline is None else choose(FORMATS, timeline, None, "json")
    check_parquet(timeline or "", form)
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    is_shown = sys.stdout is not None and sys.stdout.isatty()
    goes_there = is_shown and lines == output.STANDARD  # they would overwrite each other
    has_view = view == "on" or (view == "auto" and is_terminal and not messages.quiet and not goes_there)
    if lines is None and not (has_view and is_shown):
        lines = output.STANDARD
    return Targets(lines, timeline, form, kinds, has_view)


def split_option(text: str) -> tuple[str, str]:
    """Return the name and the value of NAME=VALUE."""
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise UsageError(f"--input-option {text} has no value: write NAME=VALUE, such as framerate=30")
    return name, value


@contextmanager
def stopping(stopped: Flag) -> Iterator[None]:
    """During the block, the first Ctrl-C or signal to end stops the source, the second stops everything."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: Any) -> None:
        stopped.set()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # a signal that nohup ignores stays ignored
            signal.signal(number, stop)
    try:
        yield
    finally:
        restore()


def report(
    messages: Messages, events: Iterator[Event], targets: Targets, overwrite: bool, stopped: Flag
) -> None:
    """Write the lines and show the view until the source ends; then write the timeline and the totals."""
    from fervid.cli.shared.live_view import opened_view
    from fervid.live.events import Ended

    closed: BrokenPipeError | None = None
    ended: Ended | None = None
    try:
        with opened_lines(targets, overwrite) as stream, opened_view(messages, targets.has_view) as view:
            for event in written(events, stream, targets.kinds):
                view.show(event)
                warn(event)
                ended = event if isinstance(event, Ended) else ended
    except BrokenPipeError as error:  # the reader has closed the pipe; the timeline is still written
        stopped.set()
        closed = error
        for event in events:
            ended = event if isinstance(event, Ended) else ended
    if ended is not None:
        finish(messages, ended, targets, overwrite)
    if closed is not None:
        raise closed


@contextmanager
def opened_lines(targets: Targets, overwrite: bool) -> Iterator[TextIO | None]:
    """Open the stream of the lines; None if there is none."""
    if targets.lines is None:
        yield None
        return
    with output.open_growing(targets.lines, overwrite) as stream:
        yield stream


def written(events: Iterator[Event], stream: TextIO | None, kinds: tuple[str, ...]) -> Iterator[Event]:
    """Yield the events, and write the line of each."""
    from fervid.live.lines import Lines

    lines = None if stream is None else Lines(stream, kinds)
    for event in events:
        if lines is not None:
            lines.write(event)
        yield event


def warn(event: Event) -> None:
    """Warn of a gap."""
    from fervid.live.events import Gap

    if isinstance(event, Gap):
        log.warning("%s; the tracks end here", event.reason)


def finish(messages: Messages, ended: Ended, targets: Targets, overwrite: bool) -> None:
    """Write the timeline, and print the totals."""
    if not ended.is_complete:
        log.warning("the source broke: these are the results until then")
    if targets.timeline is not None and ended.timeline is not None:
        output.write_format(FORMATS, targets.form, targets.timeline, overwrite, ended.timeline)
    elif targets.timeline is not None:
        log.warning("no frame arrived, so there is no timeline")
    if messages.quiet:
        return
    speed = "" if ended.latency is None else f"; latency {ended.latency.median:.2f} s, 95 % within "
    speed += "" if ended.latency is None else f"{ended.latency.high:.2f} s"
    messages.say(
        f"{format_seconds(ended.seconds)}: {ended.frames} frames analyzed, {ended.dropped} dropped, "
        f"{ended.segments} segments in {ended.tracks} tracks{speed}"
    )
    if targets.timeline is not None and ended.timeline is not None and targets.timeline != output.STANDARD:
        messages.say(f"wrote {targets.timeline}")
