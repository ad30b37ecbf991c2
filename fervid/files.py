"""Files: names as text, suffixes, files and folders that appear whole or not at all, locks."""

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

if sys.platform != "win32":  # which has no such locks: there, nothing is refused
    import fcntl

TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)  # how a lock that another process has is refused
# What to raise for a file that cannot be written: errors of the block itself are passed on as they are.
Explain = Callable[[OSError], Exception]


# fmt: off
STILLS = frozenset({".bmp", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
                    ".tif", ".tiff", ".webp"})
VIDEOS = frozenset({".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
                    ".mxf", ".ogv", ".ts", ".webm", ".wmv"})
# fmt: on


def shown(name: str | Path) -> str:
    """Return a name for a message: on one line, with a sign for each letter that cannot be printed."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(name))


def encodable(name: str) -> str:
    r"""Return a name for a file in UTF-8: bytes of it that are not UTF-8 become `\xNN`, and none is lost."""

    def escape(found: re.Match[str]) -> str:
        code = ord(found[0])
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"

    return re.sub("[\ud800-\udfff]", escape, name)


def one_line(text: str, instead: str = "") -> str:
    """Return text for a format that is read line by line; `instead` stands for what cannot be seen."""
    seen = (letter if letter.isprintable() or letter.isspace() else instead for letter in text)
    return " ".join("".join(seen).split())


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return what sorts names as people do: 2 before 10."""
    pieces = re.split(r"([0-9]+)", name.lower())  # text, digits, text, ...
    return [(int(piece), "") if at % 2 else (0, piece) for at, piece in enumerate(pieces)], name


def _itself(error: OSError) -> OSError:
    return error


def write(path: Path, content: bytes | str) -> None:
    """Write a file, whole or not at all; text is UTF-8."""
    with whole(path) as stream:
        stream.write(content if isinstance(content, bytes) else content.encode())


@contextmanager
def whole(path: Path, explain: Explain = _itself, within: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file that appears at `path` once the block ends well; `within` is the folder it waits in."""
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
    """Make a folder that appears at `path` once the block ends well; what stood there is replaced."""
    beside = _beside(path)
    try:
        beside.mkdir()
        yield beside
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # gone by now where all went well


def _beside(path: Path, within: Path | None = None) -> Path:
    return (within or path.parent) / f".fervid-{secrets.token_hex(6)}.part"


@contextmanager
def opened(file: Path | int, mode: str, explain: Explain, closefd: bool = True) -> Iterator[BinaryIO]:
    """Open a path or a descriptor for writing; of several failures the first is told."""
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
    with _explained(explain):  # some network file systems tell only now
        stream.close()


class _Explaining(io.FileIO):
    """A raw file: its own failures are explained, while those of whoever writes into it are not."""

    explain: Explain

    def write(self, data: Any, /) -> int:
        with _explained(self.explain):
            return super().write(data)


@contextmanager
def _explained(explain: Explain) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = explain(error)
        if reason is error:
            raise
        raise reason from error


@dataclass
class Lock:
    """A lock that is held until it is released, or its process ends, however that ends."""

    path: Path
    _descriptor: int | None

    def release(self, remove: bool = False) -> None:
        """Release the lock; `remove` deletes the file first, so that nobody takes a lock that is going."""
        if self._descriptor is None:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None


def take_lock(path: Path, shared: bool = False) -> Lock | None:
    """Lock a file, made where it is missing; None where another process has it.

    Many may share a lock, or one have it alone. A file system that knows no locks refuses nobody.
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
        os.close(descriptor)  # deleted by its last holder between our two steps


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
