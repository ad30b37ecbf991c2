"""Messages and progress bars on standard error, and the log file."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fervid.errors import OutputError
from fervid.files import encodable, urls

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

log = logging.getLogger("fervid")


# Characters that a terminal obeys: control and escape codes (not the line feed and the tab), and those that
# turn the direction of text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return text that a terminal only prints, whatever a file or a server wrote into it."""
    return _CONTROL.sub("\ufffd", encodable(text))


class _Lossy(io.RawIOBase):
    """A stream that drops what cannot be written."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self._raw.isatty())

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def write(self, data: Any, /) -> int:
        with suppress(OSError):
            return self._raw.write(data) or len(memoryview(data))
        return len(memoryview(data))


def make_errors_lossy() -> None:
    """Let standard error drop what it cannot take: a full disk, or a reader or a terminal that is gone.

    A lost message must not end the work or change its exit code.
    """
    stream = sys.stderr
    if isinstance(stream, io.TextIOWrapper):
        raw = getattr(stream.buffer, "raw", stream.buffer)
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Lossy(raw)), stream.encoding, stream.errors, line_buffering=True
        )


class Bar:
    """A progress bar; without a display its methods do nothing."""

    def __init__(self, progress: Any = None, task: Any = None) -> None:
        self._progress, self._task = progress, task

    def begin(self, total: float) -> None:
        """Show the bar, with the seconds of video to analyze."""
        if self._progress is not None:
            self._progress.reset(self._task, total=total, visible=True)

    def tick(self, done: float) -> None:
        """Show how many seconds of video are done."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done)

    def show(self, **values: Any) -> None:
        """Set values of the columns."""
        values = {key: printable(text) if isinstance(text, str) else text for key, text in values.items()}
        if self._progress is not None:
            self._progress.update(self._task, **values)


@dataclass
class Messages:
    """The output of messages, one per call of the program; the global options set its fields."""

    quiet: bool = False
    verbosity: int = 0
    has_progress: bool = True
    log_file: str | None = None
    _handlers: list[logging.Handler] = field(default_factory=list)
    _console: Console | None = None
    _secrets: set[str] = field(default_factory=set)

    def open(self) -> None:
        """Start printing the program's log, and writing it to the log file."""
        self.close()
        level = logging.ERROR if self.quiet else max(logging.WARNING - 10 * self.verbosity, logging.DEBUG)
        screen = _ScreenHandler(self)
        screen.setLevel(level)
        self._handlers.append(screen)
        if self.log_file is not None:
            try:
                file = _LogFile(self.log_file, self)
            except OSError as error:
                raise OutputError(f"cannot write the log file {self.log_file}: {error.strerror}") from error
            self._handlers.append(file)
        for handler in self._handlers:
            log.addHandler(handler)
        log.setLevel(logging.DEBUG if self.log_file is not None else level)
        log.propagate = False

    def hide_secrets(self, names: Iterable[str]) -> None:
        """Keep the secrets of URLs out of all later messages and out of the log file."""
        for name in names:
            self._secrets |= urls.secrets(name)

    def scrubbed(self, text: str) -> str:
        """Return a text without the secrets of URLs."""
        return urls.scrubbed(text, self._secrets)

    def close(self) -> None:
        """Stop printing, and close the log file."""
        for handler in self._handlers:
            log.removeHandler(handler)
            handler.close()
        self._handlers.clear()

    @property
    def console(self) -> Console:
        """rich's console on standard error, created on first use."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        return self._console

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        text = printable(self.scrubbed(text))
        if self._console is not None:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        elif sys.stderr is not None:
            print(text, file=sys.stderr)

    def fail(self, text: str, error: BaseException, prefix: str = "error: ") -> None:
        """Print an error in one line; its traceback goes to the log file, and with -vv to the screen."""
        if self.verbosity > 1:
            self.say("".join(traceback.format_exception(error)).rstrip())
        line = " ".join(text.split())
        self.say(f"fervid: {prefix}{line}")
        record = log.makeRecord(
            log.name, logging.ERROR, __file__, 0, line, (), (type(error), error, error.__traceback__)
        )
        for handler in self._handlers:
            if not isinstance(handler, _ScreenHandler):
                handler.handle(record)

    @contextmanager
    def bar(
        self, name: str, columns: Callable[[], Sequence[ProgressColumn]] | None = None, **values: Any
    ) -> Iterator[Bar]:
        """Show a bar named `name` while the block runs, on a terminal only."""
        terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        if not terminal or self.quiet or not self.has_progress:
            yield Bar()
            return
        from rich.progress import Progress

        progress = Progress(
            *(columns or _seconds_of_video)(),
            console=self.console,
            transient=True,
            # Standard output must not go to rich's console.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with progress:
            yield Bar(progress, progress.add_task(printable(name), **({"total": None} | values)))


def _seconds_of_video() -> list[ProgressColumn]:
    """Return the columns of a bar over seconds of video."""
    from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class SpeedColumn(ProgressColumn):
        """Speed as a multiple of real time."""

        def render(self, task: Task) -> Text:
            elapsed = task.finished_time or task.elapsed
            # Of the whole run: rich takes the last half minute, which jumps after cached pieces.
            speed = task.completed / elapsed if elapsed and task.completed else None
            return Text("" if speed is None else f"{speed:.1f}x", style="progress.data.speed")

    return [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        SpeedColumn(),
        TimeRemainingColumn(),
    ]


class _LogFile(logging.FileHandler):
    """The log file; there is one warning if it cannot be written any more."""

    def __init__(self, path: str, messages: Messages) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(_LogFormatter(messages))
        self._path, self._messages, self._is_broken = path, messages, False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_broken:
            self._is_broken = True
            if not self._messages.quiet:
                self._messages.say(
                    f"fervid: warning: cannot write the log file {self._path}: {error.strerror}"
                )

    def close(self) -> None:
        with suppress(OSError):
            super().close()


class _LogFormatter(logging.Formatter):
    def __init__(self, messages: Messages) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._messages = messages

    def format(self, record: logging.LogRecord) -> str:
        return printable(self._messages.scrubbed(super().format(record)))


class _ScreenHandler(logging.Handler):
    def __init__(self, messages: Messages) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        self._messages.say(f"fervid: {level}{record.getMessage()}")
