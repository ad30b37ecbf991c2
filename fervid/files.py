"""Files: names as text, suffixes, atomic writes, locks."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

if sys.platform != "win32":  # Windows has no flock: there, every lock is granted
    import fcntl

TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)  # another process has the lock
Explain = Callable[[OSError], Exception]  # returns what to raise for a file that cannot be written

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

# fmt: off
STILLS = frozenset({".bmp", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
                    ".tif", ".tiff", ".webp"})
VIDEOS = frozenset({".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
                    ".mxf", ".ogv", ".ts", ".webm", ".wmv"})
# fmt: on


def shown(name: str | Path) -> str:
    """Return a name for a message: one line, with U+FFFD for each character that cannot be printed."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(name))


def encodable(name: str) -> str:
    r"""Return a name that can be encoded in UTF-8: other bytes become `\xNN`."""

    def escape(match: re.Match[str]) -> str:
        code = ord(match[0])
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"

    return re.sub("[\ud800-\udfff]", escape, name)


def one_line(text: str, instead: str = "") -> str:
    """Return text on one line with single spaces; `instead` replaces what cannot be printed."""
    printable = (letter if letter.isprintable() or letter.isspace() else instead for letter in text)
    return " ".join("".join(printable).split())


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key for the natural order of names: 2 before 10."""
    pieces = re.split(r"([0-9]+)", name.lower())  # text, digits, text, ...
    return [(int(piece), "") if index % 2 else (0, piece) for index, piece in enumerate(pieces)], name


def byte_count(text: str) -> int:
    """Return a size such as 500MB or 20 GB in bytes; raise ValueError for any other text."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kmgt]?)b?", text.strip().lower(), re.ASCII)
    if match is None:
        raise ValueError(f"{text[:40]} is not a size: write bytes, or 500MB, 20GB")
    return int(float(match[1]) * UNITS[match[2]])


def _itself(error: OSError) -> OSError:
    return error


def write(path: Path, content: bytes | str) -> None:
    """Write a file atomically; text is UTF-8."""
    with whole(path) as stream:
        stream.write(content if isinstance(content, bytes) else content.encode())


@contextmanager
def whole(path: Path, explain: Explain = _itself, within: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the block succeeds; it is written in `within`, or beside it."""
    beside = _beside(path, within)
    try:
        with opened(beside, "xb", explain) as stream:
            yield stream
            stream.flush()
            with _explained(explain):
                os.fsync(stream.fileno())
        with _explained(explain):
            os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Make a folder that replaces `path` when the block succeeds."""
    beside = _beside(path)
    try:
        beside.mkdir()
        yield beside
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # it no longer exists after success


def _beside(path: Path, within: Path | None = None) -> Path:
    return (within or path.parent) / f".fervid-{secrets.token_hex(6)}.part"


@contextmanager
def opened(file: Path | int, mode: str, explain: Explain, closefd: bool = True) -> Iterator[BinaryIO]:
    """Open a path or a descriptor for writing; of several errors the first is raised."""
    with _explained(explain):
        raw = _Explaining(file, mode, closefd)
    raw.explain = explain
    stream = io.BufferedWriter(raw)
    try:
        yield cast(BinaryIO, stream)
        stream.flush()
    except BaseException:
        with suppress(Exception):
            stream.close()
        raise
    with _explained(explain):  # some network file systems report errors only now
        stream.close()


class _Explaining(io.FileIO):
    """A raw file that passes its own errors to `explain`; those of the block stay as they are."""

    explain: Explain

    def write(self, data: Any, /) -> int:
        with _explained(self.explain):
            return super().write(data)


@contextmanager
def _explained(explain: Explain) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        explained = explain(error)
        if explained is error:
            raise
        raise explained from error


@dataclass
class Lock:
    """A file lock, held until it is released or its process ends."""

    path: Path
    _descriptor: int | None

    def release(self, remove: bool = False) -> None:
        """Release the lock; `remove` deletes its file first, so that no process locks a file about to go."""
        if self._descriptor is None:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None


def take_lock(path: Path, shared: bool = False) -> Lock | None:
    """Lock a file, creating it if needed; return None if another process has locked it.

    A lock is exclusive or shared. On a file system without locks every lock is granted.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if sys.platform == "win32":
            return Lock(path, descriptor)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as failure:
            if failure.errno in TAKEN:
                os.close(descriptor)
                return None
        if _is_there(path, descriptor):
            return Lock(path, descriptor)
        os.close(descriptor)  # its last holder deleted it between open and flock


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
