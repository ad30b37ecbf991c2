"""The program: its commands, and how every failure becomes one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from fervid import __version__
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.options import global_options
from fervid.errors import FervidError

INTERRUPTED = 130
_signals: list[int] = []  # by which this run was told to end

# Help is told here so that showing it loads no command.
COMMANDS = {
    "analyze": "Turn videos into timelines of visible expression.",
    "batch": "Analyze many videos into one folder, and go on after an interruption.",
    "extract": "Write landmarks and aligned face crops of a video.",
    "peaks": "List the moments at which an expression stands out.",
    "export": "Write a timeline in another format: subtitles, tables, TextGrid, EAF.",
    "compare": "Compare a timeline with annotations made by hand.",
    "report": "Write a page that shows a timeline.",
    "plot": "Draw a timeline as a picture, for papers.",
    "show": "Show a timeline in the terminal.",
    "annotate": "Draw what an analysis saw into the video.",
    "people": "List, name and merge the persons of a timeline.",
    "info": "Tell what a video file holds.",
    "train": "Train a model on labelled data.",
    "finetune": "Go on training a model on your own clips.",
    "eval": "Score a model on labelled data.",
    "bench": "Train and compare systems on the same clips.",
    "models": "List and verify the installed models.",
    "datasets": "List the dataset layouts that can be read, and check a dataset.",
    "cache": "Tell what the cache holds, and clear it.",
    "schema": "Print the JSON Schema of the timeline.",
    "doctor": "Check the installation.",
    "completion": "Print a shell's completion script.",
}

EPILOG = """\
\b
Examples:
  fervid analyze movie.mp4 --timeline out.json
  fervid analyze movie.mp4 -t - -f jsonl | head
  fervid peaks out.json --emotion happiness --top 10
  fervid analyze --help

Scores describe visible facial expression, not what a person feels."""


class Commands(click.Group):
    """A group that loads a command's file when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = getattr(import_module(f"fervid.cli.{cmd_name}"), cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(__version__, "--version", message="fervid %(version)s")
def fervid() -> None:
    """Timelines of visible facial expression from video: who, when, and what the face shows."""


fervid.params.extend(global_options())


def main() -> NoReturn:
    """What the shell calls."""
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the program; never raises, and returns the exit code."""
    messages = Messages()
    _signals.clear()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # all end the program alike; nohup's wish is kept
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _interrupt)
    try:
        code = _run(arguments, messages)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_output()  # whoever read has seen enough
        return 1
    except OSError as error:  # standard output cannot take what is left: a full disk
        _drop_output()
        messages.fail(f"cannot write standard output: {error.strerror}", error)
        return 1
    finally:
        messages.close()


def _run(arguments: Sequence[str] | None, messages: Messages) -> int:
    try:
        code = fervid.main(arguments, prog_name="fervid", standalone_mode=False, obj=messages)
        return code if isinstance(code, int) else 0
    except SystemExit as stop:  # completion, and click's own way with a closed pipe
        return stop.code if isinstance(stop.code, int) else 1
    except (KeyboardInterrupt, click.Abort) as stop:
        messages.fail("interrupted", stop, prefix="")
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        where = "" if error.ctx is None else f" (see {error.ctx.command_path} --help)"
        messages.fail(error.format_message() + where, error)
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
        place = f"{error.filename}: " if error.filename else ""
        messages.fail(f"{place}{error.strerror or error}", error)
        return 1
    except Exception as error:
        if _signals:  # an extension that was being loaded makes another error of the interruption
            messages.fail("interrupted", error, prefix="")
            return INTERRUPTED
        reason = f"unexpected {type(error).__name__}: {error}".rstrip(": ")
        hint = "" if messages.verbosity > 1 else "; please report it with what the same command says with -vv"
        messages.fail(reason + hint, error)
        return 1


def _interrupt(number: int, frame: Any) -> None:
    _signals.append(number)
    warnings.simplefilter("ignore", ResourceWarning)  # an import cut short leaves its file to the collector
    raise KeyboardInterrupt


def _drop_output() -> None:
    """Let nothing that is still buffered for standard output fail at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
