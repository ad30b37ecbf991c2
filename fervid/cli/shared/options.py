"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fervid.cli.shared.messages import Messages
from fervid.cli.shared.output import STANDARD, check_log
from fervid.cli.shared.values import LimitType, NumberRange, RateType, SecondsType, TimePoint, TimePointType
from fervid.errors import UsageError

if TYPE_CHECKING:
    from fervid.types import Settings, Video

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]


def _target(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    return STANDARD if value in ("/dev/stdout", "/dev/fd/1") else value


def target(*names: str, help: str, metavar: str = "FILE", required: bool = False) -> Decorator[Any]:
    """Return an option that names an output file."""
    return click.option(*names, metavar=metavar, required=required, callback=_target, help=help)


def kinds(option: str, names: Sequence[str], help: str) -> Decorator[Any]:
    """Return an option that takes some of `names`, separated by commas; all by default."""

    def split(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
        chosen = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        if not chosen or not set(chosen) <= set(names):
            raise click.BadParameter(
                f"{value!r} is not valid: give any of {', '.join(names)}, separated by commas"
            )
        return chosen

    default = ",".join(names)
    return click.option(
        option, metavar="KINDS", default=default, show_default=True, callback=split, help=help
    )


def completer(name: str) -> Callable[[click.Context, click.Parameter, str], Any]:
    """Return the function `name` of `completing`, which is imported when a shell completes a value."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        from fervid.cli.shared import completing

        return getattr(completing, name)(ctx, param, incomplete)

    return complete


def forbid(names: Collection[str], reason: str) -> None:
    """Raise UsageError if one of the named options is on the command line."""
    ctx = click.get_current_context()
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"{parameter.opts[-1]} {reason}: leave it out")


@dataclass(frozen=True)
class Selection:
    """The part of a video to analyze, and the settings that change the result."""

    start: TimePoint | None
    end: TimePoint | None
    rotate: str
    frame_rate: Fraction | None
    rest: Settings  # without start and end, which may need the video

    def check(self) -> None:
        """Check the options before a video is opened."""
        from fervid.faces.finder import FaceFinder

        FaceFinder.of(self.rest)
        _check_range(_seconds(self.start), _seconds(self.end))

    def settings(self, path: str) -> Settings:
        """Return the settings for a video; open it only to convert frame numbers to seconds."""
        start, end = _seconds(self.start), _seconds(self.end)
        if any(moment is not None and moment.frame is not None for moment in (self.start, self.end)):
            from fervid.video.planning import plan

            video = plan(path, rotate=self.rotate, frame_rate=self.frame_rate)
            start, end = _seconds(self.start, video), _seconds(self.end, video)
            _check_range(start, end)
        return replace(self.rest, start=start, end=end)


def _seconds(moment: TimePoint | None, video: Video | None = None) -> Fraction | None:
    if moment is None or video is None:
        return None if moment is None else moment.seconds
    return moment.of(video)


def _check_range(start: Fraction | None, end: Fraction | None) -> None:
    if end is not None and end <= (start or 0):
        raise UsageError(
            f"--end ({float(end):g} s) is not after --start ({float(start or 0):g} s): give a later end"
        )


RANGE: list[Decorator[Any]] = [
    click.option("--start", type=TimePointType(), help="Start here: seconds, 90f (a frame) or HH:MM:SS.mmm."),
    click.option("--end", type=TimePointType(), help="End before this time, in the same forms."),
]

FACES: list[Decorator[Any]] = [
    click.option(
        "--sample-fps", type=RateType(), help="Analyze this many frames per second, not every frame."
    ),
    click.option(
        "--faces",
        type=click.Choice(["all", "largest"]),
        default="all",
        show_default=True,
        help="Track every face, or only the largest at each moment.",
    ),
    click.option(
        "--min-face",
        type=NumberRange(0.01, 1),
        default=0.1,
        show_default=True,
        help="The smallest face to detect, as a share of the frame's height.",
    ),
    click.option(
        "--detector",
        metavar="NAME",
        default="yunet",
        show_default=True,
        shell_complete=completer("detectors"),
        help="The face detector: yunet (every angle), hog (frontal faces) or mmod (slow); the last two are "
        "dlib's.",
    ),
    click.option(
        "--landmarks",
        type=click.Choice(["open", "dlib"]),
        default="open",
        show_default=True,
        help="The predictor of the 68 points: fervid's own, or dlib's.",
    ),
    click.option(
        "--rotate",
        type=click.Choice(["auto", "0", "90", "180", "270"]),
        default="auto",
        show_default=True,
        help="Rotate the picture clockwise by these degrees; auto uses the rotation stored in the file.",
    ),
]

MOST_JOBS = 1024
FRAME_RATE = click.option("--frame-rate", type=RateType(), help="Frames per second of a folder of stills.")

SELECTION: list[Decorator[Any]] = [*RANGE, *FACES, FRAME_RATE]

MIN_SEGMENT = click.option(
    "--min-segment",
    type=SecondsType(),
    default=0.3,
    show_default=True,
    help="The shortest segment, in seconds.",
)

UNITS = click.option(
    "--aus",
    is_flag=True,
    help="Measure action units (movements of single facial muscles, by FACS) and blinks from the "
    "landmarks; see docs/units.md.",
)

PHASES = click.option(
    "--phases",
    is_flag=True,
    help="Measure when each expression begins, is complete, begins to fade and ends; see docs/timeline.md.",
)

PEOPLE: list[Decorator[Any]] = [
    click.option(
        "--no-people",
        "people",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Do not identify people across cuts.",
    ),
    click.option(
        "--gallery",
        metavar="DIR",
        help="Name people by portraits: for each person a picture, or a folder of pictures, with their name.",
    ),
]

DEVICE = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where the networks run; cuda without a GPU is an error.",
)

MODEL: list[Decorator[Any]] = [
    click.option(
        "--model",
        metavar="MODEL",
        default="default",
        show_default=True,
        envvar="FERVID_MODEL",
        show_envvar=True,
        shell_complete=completer("models"),
        help="A model's name (see `fervid models list`) or its folder.",
    ),
    DEVICE,
]

WORK: list[Decorator[Any]] = [
    click.option(
        "-j", "--jobs", type=click.IntRange(1, MOST_JOBS), help="Worker processes.  [default: one per core]"
    ),
    click.option(
        "--executor",
        type=click.Choice(["local", "dask"]),
        default="local",
        show_default=True,
        help="Run in local processes, or on a Dask cluster.",
    ),
    click.option("--dask-address", metavar="ADDRESS", help="The cluster's scheduler: tcp://host:8786."),
    click.option(
        "--max-download",
        type=LimitType(),
        metavar="LIMIT",
        help="The most of a download or of standard input: 5GB,30min or 2h.  [default: 100GB,24h]",
    ),
    click.option(
        "--no-cache", is_flag=True, help="Keep no results on disk; an interrupted run cannot resume."
    ),
    click.option("--keep-cache", is_flag=True, help="Keep the cached results after the run."),
]

OVERWRITE = click.option("-y", "--overwrite", is_flag=True, help="Overwrite existing files.")


def apply(*options: Decorator[Any]) -> Decorator[Any]:
    """Return a decorator that adds several options, in this order."""

    def decorate(function: Decorated) -> Decorated:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def split_selection(values: dict[str, Any]) -> Selection:
    """Take the options of SELECTION, MIN_SEGMENT and PEOPLE out of a command's parameters.

    Settings without an option in this command keep the default of `Settings`.
    """
    from fervid.types import Settings

    own = {name: values.pop(name) for name in ("start", "end", "rotate", "frame_rate")}
    given = Settings.__dataclass_fields__.keys() & values.keys()
    return Selection(**own, rest=Settings(**{name: values.pop(name) for name in given}))


def _set_quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.find_root().ensure_object(Messages).quiet |= value


def _add_verbosity(ctx: click.Context, param: click.Parameter, value: int) -> None:
    ctx.find_root().ensure_object(Messages).verbosity += value


def _hide_progress(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.find_root().ensure_object(Messages).has_progress = False


def _set_log_file(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.find_root().ensure_object(Messages).log_file = value


def global_options() -> list[click.Option]:
    """Return the options of every command; they are valid before the command's name as well."""
    return [
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_set_quiet,
            help="Print only errors.",
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            expose_value=False,
            callback=_add_verbosity,
            help="Print more; -vv adds tracebacks to errors.",
        ),
        click.Option(
            ["--no-progress"],
            is_flag=True,
            expose_value=False,
            callback=_hide_progress,
            help="Do not show a progress bar.",
        ),
        click.Option(
            ["--log-file"],
            metavar="FILE",
            expose_value=False,
            callback=_set_log_file,
            help="Append a full log to FILE.",
        ),
    ]


# Parameters that are in blocks of their own at the end of a command's help.
BLOCKS = {
    "Faces and models": ("model", "min_face", "detector", "landmarks", "faces", "sample_fps"),
    "Where it runs, and what is kept": (
        *("device", "jobs", "executor", "dask_address", "max_download", "no_cache", "keep_cache"),
    ),
    "Messages": ("quiet", "verbose", "no_progress", "log_file", "help"),
}


class Command(click.Command):
    """A command with the global options, and with examples in its help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_options())
        for param in self.params:  # instead of click's INTEGER RANGE and FLOAT RANGE
            if isinstance(param, click.Option) and not (param.metavar or param.is_flag or param.count):
                if isinstance(param.type, click.types.IntParamType):
                    param.metavar = "N"
                elif isinstance(param.type, click.types.FloatParamType):
                    param.metavar = "NUMBER"

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """Return the names of the help option. They depend on no context, since click caches them."""
        return ["-h", "--help"]

    def invoke(self, ctx: click.Context) -> Any:
        messages = ctx.find_root().ensure_object(Messages)
        if messages.log_file is not None:
            check_log(messages.log_file, ctx.params.get("inputs") or [ctx.params.get("input", STANDARD)])
        messages.open()
        return super().invoke(ctx)

    def option_blocks(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        """Return the options and their help by block."""
        blocks: dict[str, list[tuple[str, str]]] = {"Options": [], **{title: [] for title in BLOCKS}}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                title = next((title for title, names in BLOCKS.items() if param.name in names), "Options")
                blocks[title].append(record)
        return blocks

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in blocks."""
        for title, records in self.option_blocks(ctx).items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, one per line."""
        if self.epilog:
            with formatter.section("Examples"):
                for line in self.epilog.strip().splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")


class Group(Command, click.Group):
    """A group that takes the global options and has examples, as commands do."""


def command(name: str, *, examples: str) -> Callable[[Callable[..., Any]], Command]:
    """Return a decorator that makes a command with examples in its help."""
    return click.command(name, cls=Command, epilog=examples)
