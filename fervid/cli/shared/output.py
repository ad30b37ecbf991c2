"""Outputs: check targets before the work, then write files atomically."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import click

from fervid import files
from fervid.cli.shared.messages import printable
from fervid.errors import OutputError, UsageError
from fervid.export import PARQUET, Format, is_parquet
from fervid.files import open_atomic_folder

STANDARD = "-"  # the name of standard input and output
_folders: set[str] = set()  # that this process writes its outputs in


def check_log(log_file: str, inputs: Iterable[str]) -> None:
    """Raise OutputError if the log file is an input."""
    if any(is_same(log_file, name) for name in inputs):
        raise OutputError(f"the log file {log_file} is an input: name another file")


def check_targets(
    targets: Iterable[str], inputs: Iterable[str], overwrite: bool, log_file: str | None = None
) -> None:
    """Check before any work that every target can be written and is no input and no other target."""
    readable = [name for name in inputs if name != STANDARD]
    taken = [] if log_file is None else [log_file]
    for target in targets:
        if any(is_same(target, other) for other in taken):
            raise UsageError(f"{_name(target)} is named twice: give each output its own file")
        taken.append(target)
        if target == STANDARD:
            _standard_output()
            continue
        for name in readable:
            if is_same(target, name):
                raise OutputError(f"{target} is an input and would be destroyed: name another file")
        _check_target(target, overwrite)


def _check_target(target: str, overwrite: bool) -> None:
    path = Path(os.path.realpath(target))
    _ensure_folder(path.parent)
    if path.is_dir():
        raise OutputError(f"{target} is a folder: name a file")
    if path.exists() and not path.is_file():
        if not os.access(path, os.W_OK):
            raise OutputError(f"{target} cannot be written: no permission")
        return
    if path.is_file() and not overwrite:
        raise OutputError(f"{target} exists already: use -y to overwrite it")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {target}: there is no folder {path.parent}; create it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {target}: no permission to write in {path.parent}")


def check_folder(target: str, overwrite: bool, folders: str, files: str) -> None:
    """Check before any work that a folder can be replaced: it has only `folders` of `files` (patterns)."""
    if not os.path.lexists(target):
        return
    if not os.path.isdir(target):
        raise OutputError(f"{target} is a file, not a folder: move it, or choose another folder")
    if not overwrite:
        raise OutputError(f"{target} exists already: use -y to overwrite it")
    for entry in sorted(Path(target).iterdir()):
        is_ours = re.fullmatch(folders, entry.name) and entry.is_dir() and not entry.is_symlink()
        if not is_ours or not all(re.fullmatch(files, name) for name in os.listdir(entry)):
            raise OutputError(f"fervid did not write {entry}: move it, or choose another folder")


def is_same(path: str, other: str) -> bool:
    """Return whether two paths are the same file, also through links."""
    if STANDARD in (path, other):
        return path == other
    try:
        mode = os.stat(path).st_mode
        # Several outputs may go to /dev/null and other devices.
        return os.path.samefile(path, other) and (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)


def make_folder(folder: str) -> Path:
    """Create the folder for outputs if it is missing, check that it is writable, and return it.

    If it is still empty when the command ends, it is deleted again.
    """
    path = Path(folder)
    missing = [above for above in (path, *path.parents) if not os.path.lexists(above)]
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(partial(_remove_empty, missing))
    _folders.add(os.path.realpath(path))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"{folder} is a file: name a folder") from error
    except OSError as error:
        raise OutputError(f"cannot create the folder {folder}: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write in {folder}: no permission")
    return path


def _remove_empty(folders: Iterable[Path]) -> None:
    """Delete folders, the deepest first, as far as they are empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _ensure_folder(path: Path) -> None:
    """Create the folder of outputs again if another command has made it and then deleted it."""
    if str(path) in _folders:
        with suppress(OSError):  # writing will report it
            path.mkdir(parents=True, exist_ok=True)


def _name(target: str) -> str:
    return "standard output" if target == STANDARD else target


def _failure(target: str, error: OSError) -> OutputError:
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
        return OutputError(
            f"{target} was made by another program meanwhile: use -y to overwrite it, or name another path"
        )
    return OutputError(f"cannot write {_name(target)}: {error.strerror or error}")


@contextmanager
def open_binary(target: str, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a stream to `target`; the complete file appears when the block ends, and no file after an error.

    A file that another program has made meanwhile is replaced only with `overwrite`. Standard output, pipes
    and devices are written directly.
    """
    path = Path(os.path.realpath(target))  # a link stays a link; its file is replaced
    _ensure_folder(path.parent)

    def explain(error: OSError) -> Exception:
        if target == STANDARD and isinstance(error, BrokenPipeError):
            return error  # the reader closed the pipe, like `| head`
        return _failure(target, error)

    if target == STANDARD:
        opened = files.opened(_standard_output(), "wb", explain, closefd=False)
    elif path.exists() and not path.is_file():
        opened = files.opened(path, "wb", explain)
    else:
        opened = files.open_atomic(path, explain, replaces=overwrite)
    with opened as stream:
        yield stream


@contextmanager
def open_growing(target: str, overwrite: bool = False) -> Iterator[TextIO]:
    """Open a text stream like `open_text`, but to a file that others can read while it is written."""
    path = Path(os.path.realpath(target))
    if target == STANDARD or (path.exists() and not path.is_file()):
        with open_text(target) as stream:
            yield stream
        return
    mode = "wb" if overwrite else "xb"
    with (
        files.opened(path, mode, lambda error: _failure(target, error)) as binary,
        _as_text(binary) as stream,
    ):
        yield stream


def _standard_output() -> int:
    if sys.stdout is None:
        raise OutputError("standard output is closed: name a file")
    return sys.stdout.fileno()


@contextmanager
def open_text(target: str, overwrite: bool = False) -> Iterator[TextIO]:
    """Open a text stream like `open_binary`: UTF-8, with line feeds on every system."""
    with open_binary(target, overwrite) as binary, _as_text(binary) as stream:
        yield stream


def write_format(
    formats: Mapping[str, Format], form: str, target: str, overwrite: bool, *values: Any, **options: Any
) -> None:
    """Write values to `target` in one of the formats, or as Parquet if its name says so."""
    if form == "parquet" or is_parquet(target):
        writer = formats[form] if form == "parquet" else PARQUET[form]
        with open_binary(target, overwrite) as binary:
            writer.write(*values, binary, **options)
    else:
        with open_text(target, overwrite) as stream:
            formats[form].write(*values, stream, **options)


@contextmanager
def _as_text(binary: BinaryIO) -> Iterator[TextIO]:
    """Write text to a binary stream: UTF-8, with line feeds on every system."""
    stream = io.TextIOWrapper(binary, encoding="utf-8", newline="")
    try:
        yield stream
        stream.flush()
    finally:
        # Everything is written, or discarded after an error: do not write the buffer again.
        with suppress(OSError, OutputError, ValueError):
            stream.detach()


def show(text: str) -> None:
    """Write a line to standard output at once."""
    with open_text(STANDARD) as stream:
        stream.write(printable(text) + "\n")


@contextmanager
def open_folder(target: str, overwrite: bool, folders: str, files: str) -> Iterator[Path]:
    """Open a folder that appears at `target` when the block ends; it does not appear after an error.

    With `overwrite` it replaces what `check_folder` accepts; other files that have come meanwhile stay.
    """
    is_ours = re.compile(f"(?:{folders})/(?:{files})").fullmatch
    path = Path(os.path.realpath(target))
    _ensure_folder(path.parent)
    try:
        with open_atomic_folder(path, lambda name: is_ours(name) is not None, overwrite) as folder:
            yield folder
    except OSError as error:
        raise _failure(target, error) from error
