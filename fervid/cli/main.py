"""The program: its commands, and how errors become one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from fervid import __version__
from fervid.cli.shared.messages import Messages, make_errors_lossy
from fervid.cli.shared.options import global_options
from fervid.errors import FervidError
from fervid.files.urls import is_url
from fervid.process import collect_less_often, postpone_signal, skip_last_collections

INTERRUPTED = 130
_signals: list[int] = []  # received by this run

# Command -> its line in the help, by section. The text is here so that the help loads no command.
SECTIONS = {
    "Look at a video": {
        "analyze": "Turn videos into timelines of visible expression.",
        "batch": "Analyze many videos into one folder, and resume after an interruption.",
        "live": "Report the faces of a camera, stream or pipe while it runs.",
        "extract": "Write landmarks and aligned face crops of a video.",
        "info": "Describe a video file.",
    },
    "Use a timeline": {
        "show": "Show a timeline in the terminal.",
        "audience": "Measure how the viewers of a film react together.",
        "report": "Write a page that shows a timeline.",
        "peaks": "List the moments at which an expression stands out.",
        "people": "List, name and merge the people of a timeline.",
        "explain": "Show what in the picture an answer comes from.",
        "annotate": "Draw the results of an analysis into the video.",
        "export": "Write a timeline in another format: subtitles, tables, TextGrid, EAF.",
        "plot": "Draw a timeline as a figure for papers.",
        "compare": "Measure how well a timeline agrees with manual annotations.",
    },
    "Train and evaluate": {
        "train": "Train a model on labelled data.",
        "finetune": "Train an existing model further on your own clips.",
        "eval": "Evaluate a model on labelled data.",
        "bench": "Compare systems on the same clips, or a model on damaged faces.",
        "datasets": "List the dataset layouts that fervid reads, and check a dataset.",
        "models": "List and verify the installed models.",
    },
    "Housekeeping": {
        "doctor": "Check the installation.",
        "cache": "Show what is in the cache, and clear it.",
        "schema": "Print the JSON Schema of the timeline.",
        "completion": "Print the completion script of a shell.",
    },
}
COMMANDS = {name: text for section in SECTIONS.values() for name, text in section.items()}
MEANT = {"help": "--help", "version": "--version"}  # what people type as a command

EPILOG = """\
\b
Examples:
  fervid movie.mp4
  fervid analyze movie.mp4 -t - -f jsonl | head
  fervid peaks movie.json --emotion happiness --top 10
  fervid analyze --help

Scores describe visible facial expression, not what a person feels."""


class Commands(click.Group):
    """A group that loads a command's file when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"fervid.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. A file or URL instead of a command is analyzed; for a typo, suggest a command."""
        name = args[0]
        if name in COMMANDS:
            return self._with_defaults(ctx, args)
        if is_url(name) or os.path.exists(name):
            return self._with_defaults(ctx, ["analyze", *args])
        meant = MEANT.get(name) or next(iter(get_close_matches(name, COMMANDS, 1)), None)
        hint = "" if meant is None else f" Did you mean 'fervid {meant}'?"
        from fervid.cli.shared.inputs import unquoted

        whole = unquoted(args)
        if whole is not None:
            hint = f" Put quotes around a name with spaces: '{whole}'."
        ctx.fail(f"There is no command or file {name!r}.{hint}")

    def _with_defaults(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and give it the defaults of fervid.toml, except for help and `doctor`."""
        name, command, rest = super().resolve_command(ctx, args)
        asks_help = not {"-h", "--help"}.isdisjoint(rest)
        is_read = not asks_help and not ctx.resilient_parsing and name != "doctor"
        if is_read and name is not None and command is not None:
            from fervid.cli.shared.defaults import defaults_of

            ctx.default_map = {name: defaults_of(name, command, ctx)}
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{width}}", text) for name, text in commands.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(__version__, "-V", "--version", message="fervid %(version)s")
def fervid() -> None:
    """Timelines of visible facial expression from video: who, when, and what the face shows."""


fervid.params.extend(global_options())


def main() -> NoReturn:
    """Run the program, as the shell calls it."""
    collect_less_often()
    make_errors_lossy()
    code = run()
    skip_last_collections()
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return the exit code; never raise."""
    messages = Messages()
    messages.hide_secrets(sys.argv[1:] if arguments is None else arguments)
    _signals.clear()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # all interrupt; a signal that nohup ignores stays ignored
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _interrupt)
    if "_FERVID_COMPLETE" in os.environ:  # a shell asks for completions
        import_module("fervid.cli.shared.completing").register()
    try:
        code = _run(arguments, messages)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_output()  # the reader has closed the pipe, like `| head`
        return 0
    except OSError as error:  # the rest of the output cannot be written: the disk is full
        _drop_output()
        messages.fail(f"cannot write standard output: {error.strerror}", error)
        return 1
    finally:
        messages.close()


def _run(arguments: Sequence[str] | None, messages: Messages) -> int:
    output = sys.stdout
    try:
        code = fervid.main(arguments, prog_name="fervid", standalone_mode=False, obj=messages)
        return code if isinstance(code, int) else 0
    except SystemExit as stop:  # completion, and click's own way with a closed pipe
        if sys.stdout is not output:  # click replaces it if the reader has closed the pipe
            return 0
        return stop.code if isinstance(stop.code, int) else 1
    except (KeyboardInterrupt, click.Abort) as stop:
        reason = str(stop) or str(stop.__cause__ or "")  # click replaces the interrupt by its own exception
        messages.fail(f"interrupted: {reason}".rstrip(": "), stop, prefix="")
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        from fervid.cli.shared.inputs import unquoted

        text, whole = error.format_message(), unquoted(sys.argv[1:] if arguments is None else arguments)
        if whole is not None and text.startswith("Got unexpected extra argument"):
            text = f"put quotes around a name with spaces: '{whole}'"
        where = "" if error.ctx is None else f" (see {error.ctx.command_path} --help)"
        messages.fail(text + where, error)
        return error.exit_code
    except click.ClickException as error:
        messages.fail(error.format_message(), error)
        return error.exit_code
    except FervidError as error:
        messages.fail(str(error), error)
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None and sys.stdout is not None:
            sys.stdout.flush()  # fails again if standard output cannot be written
        path = f"{error.filename}: " if error.filename else ""
        messages.fail(f"{path}{error.strerror or error}", error)
        return 1
    except Exception as error:
        if _signals:  # an extension module that was loading turned the interrupt into another error
            messages.fail("interrupted", error, prefix="")
            return INTERRUPTED
        reason = f"unexpected {type(error).__name__}: {error}".rstrip(": ")
        hint = (
            ""
            if messages.verbosity > 1
            else "; please report it with the output of the same command with -vv"
        )
        messages.fail(reason + hint, error)
        return 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    if postpone_signal(number, frame):
        return
    _signals.append(number)
    warnings.simplefilter("ignore", ResourceWarning)  # an interrupted import leaves its file open
    raise KeyboardInterrupt


def _drop_output() -> None:
    """Discard buffered output, so that flushing it at exit cannot fail."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
