"""Consoles of rich on standard output."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console

PIPED = 120  # columns without a terminal: rich's 80 would break lines that other programs read


class StreamConsole(Console):
    """A console that leaves a closed pipe to `main`, which ends with 0; rich would end with 1."""

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled."""
        raise


def console(stream: TextIO, piped: int = PIPED) -> Console:
    """Return a console on a stream, which has `piped` columns if it is no terminal."""
    width = None if stream.isatty() else piped
    return StreamConsole(file=stream, highlight=False, markup=False, emoji=False, width=width)
