"""Where results go: checked before the work, whole or not at all; standard output and pipes directly."""

from __future__ import annotations

import io
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from fervid import files
from fervid.errors import OutputError, UsageError

STANDARD = "-"  # the name of standard input and output


def check_log(log_file: str, inputs: Iterable[str]) -> None:
    """Refuse to append a log to an input."""
    if any(_is_same(log_file, name) for name in inputs):
        raise OutputError(f"the log file {log_file} is an input: name another file")


def check_targets(
    targets: Iterable[str], inputs: Iterable[str], overwrite: bool, log_file: str | None = None
) -> None:
    """Refuse, before any work, a target that cannot be written or must not be."""
    readable = [name for name in inputs if name != STANDARD]
    taken: list[str] = []
    if log_file is not None:
        taken.append(log_file)
    for target in targets:
        if any(_is_same(target, other) for other in taken):
            raise UsageError(f"{_name(target)} is asked for twice: give each output a place of its own")
        taken.append(target)
        if target == STANDARD:
            _standard_output()
            continue
        for name in readable:
            if _is_same(target, name):
                raise OutputError(f"{target} is an input: writing there would destroy it; name another file")
        _check_place(target, overwrite)


def _check_place(target: str, overwrite: bool) -> None:
    path = Path(os.path.realpath(target))
    if path.is_dir():
        raise OutputError(f"{target} is a folder: name a file")
    if path.exists() and not path.is_file():
        if not os.access(path, os.W_OK):
            raise OutputError(f"{target} cannot be written: no permission")
        return
    if path.is_file() and not overwrite:
        raise OutputError(f"{target} exists already: use -y to overwrite it")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {target}: there is no folder {path.parent}; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {target}: no permission to write in {path.parent}")


def check_folder(target: str, overwrite: bool, folders: str, files: str) -> None:
    """Refuse, before any work, to replace a folder of anything but `folders` of `files` (patterns)."""
    if not os.path.lexists(target):
        return
    if not os.path.isdir(target):
        raise OutputError(f"{target} is a file, and a folder should go there: move it away")
    if not overwrite:
        raise OutputError(f"{target} exists already: use -y to overwrite it")
    for entry in sorted(Path(target).iterdir()):
        is_ours = re.fullmatch(folders, entry.name) and entry.is_dir() and not entry.is_symlink()
        if not is_ours or not all(re.fullmatch(files, name) for name in os.listdir(entry)):
            raise OutputError(f"{entry} is nothing that fervid wrote: move it away, or choose another folder")


def _is_same(one: str, other: str) -> bool:
    """Whether two names mean one file, through links of either kind."""
    if STANDARD in (one, other):
        return one == other
    try:
        if os.path.samefile(one, other):
            # /dev/null and the like take any number of outputs
            return stat.S_ISREG(os.stat(one).st_mode) or stat.S_ISDIR(os.stat(one).st_mode)
        return False
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def make_folder(folder: str) -> Path:
    """The folder that outputs go to, made where it is missing, and writable."""
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"{folder} is a file: name a folder") from error
    except OSError as error:
        raise OutputError(f"cannot create the folder {folder}: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write in {folder}: no permission")
    return path


def _name(target: str) -> str:
    return "standard output" if target == STANDARD else target


def _failure(target: str, error: OSError) -> OutputError:
    return OutputError(f"cannot write {_name(target)}: {error.strerror or error}")


@contextmanager
def open_binary(target: str) -> Iterator[BinaryIO]:
    """Open a stream whose content appears at `target` whole, when the block ends well, or not at all.

    Standard output and what is no regular file (a pipe, a device) are written directly.
    """
    path = Path(os.path.realpath(target))  # a link stays a link; the file that it names is replaced

    def explain(error: OSError) -> Exception:
        if target == STANDARD and isinstance(error, BrokenPipeError):
            return error  # the reader has seen enough: `| head` is no failure
        return _failure(target, error)

    if target == STANDARD:
        opened = files.opened(_standard_output(), "wb", explain, closefd=False)
    elif path.exists() and not path.is_file():
        opened = files.opened(path, "wb", explain)
    else:
        opened = files.whole(path, explain)
    with opened as stream:
        yield stream


def _standard_output() -> int:
    if sys.stdout is None:
        raise OutputError("standard output is closed: name a file")
    return sys.stdout.fileno()


@contextmanager
def open_text(target: str) -> Iterator[TextIO]:
    """Do the same for text: UTF-8, lines ended by a line feed on every system."""
    with open_binary(target) as binary:
        stream = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        try:
            yield stream
            stream.flush()
        finally:
            # Whole already, or thrown away: what is left in the buffer must not be tried again.
            with suppress(OSError, OutputError, ValueError):
                stream.detach()


def show(text: str) -> None:
    """Write a line to standard output, now."""
    with open_text(STANDARD) as stream:
        stream.write(text + "\n")


@contextmanager
def open_folder(target: str) -> Iterator[Path]:
    """Make a folder whose content appears at `target` whole or not at all; what stood there is replaced."""
    try:
        with files.whole_folder(Path(os.path.realpath(target))) as folder:
            yield folder
    except OSError as error:
        raise _failure(target, error) from error
