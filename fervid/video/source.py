"""What lies on the disk, before any decoder looks at it: stills, contents, wholeness, standard input.

Only bytes are read here; what they mean as pictures is `video`'s affair.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from fervid.errors import InputError, OutputError
from fervid.files import STILLS, VIDEOS, natural, shown

CHUNK = 1 << 20  # bytes read at once
ROOM_LEFT = 64 << 20  # bytes that spooling leaves free for everyone else on the disk

Tick = Callable[[float], None]  # told the share done, 0 .. 1


def stills(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order (2 before 10); debris and hidden files are left out."""
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: natural(entry.name))
    except PermissionError as failure:
        raise InputError(
            f"no permission to read the folder {shown(folder)}; change its access rights"
        ) from failure
    pictures = [
        e for e in entries if e.suffix.lower() in STILLS and not e.name.startswith(".") and e.is_file()
    ]
    if not pictures:
        films = sum(entry.suffix.lower() in VIDEOS for entry in entries)
        hint = (
            f"it holds {films} video files: name them one by one"
            if films
            else "name a video, or a folder of stills"
        )
        raise InputError(f"the folder {shown(folder)} holds no pictures; {hint}")
    return pictures


def readable(path: Path) -> None:
    """Raise an error that says what to do about a file that cannot be opened or is empty."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for whoever writes into it
            raise InputError(f"{shown(path)} is not a regular file; send it to standard input and name it -")
        with open(path, "rb"):
            pass
    except FileNotFoundError as failure:
        raise InputError(f"there is no file {shown(path)}; check the name") from failure
    except PermissionError as failure:
        raise InputError(f"no permission to read {shown(path)}; change its access rights") from failure
    except OSError as failure:
        raise InputError(f"cannot read {shown(path)}: {failure.strerror}") from failure
    if status.st_size == 0:
        raise InputError(f"{shown(path)} is empty; copy or download it again")


def complaint(path: Path) -> str:
    """Why no decoder wants this file, as far as its first bytes tell, and what to do."""
    with open(path, "rb") as file:
        head = file.read(4096)
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"free", b"wide", b"skip"):
        with open(path, "rb") as file:
            has_index = any(kind == b"moov" for kind, _ in _boxes(file))
        if not has_index:
            return (
                "is an mp4 without its index (moov), cut off while it was written; copy or download it again"
            )
        return "is a damaged mp4; copy or download it again"
    try:
        text = head[:-3].decode("utf-8") if len(head) == 4096 else head.decode("utf-8")
    except UnicodeDecodeError:
        return (
            "is no video that can be read, or its beginning is damaged; copy it again, or convert it to mp4"
        )
    if all(letter.isprintable() or letter.isspace() for letter in text):
        return "is text, not a video; check the name"
    return "is no video that can be read; check the name"


def digest(path: Path, tick: Tick | None = None) -> str:
    """The SHA-256 of a file's contents, in hexadecimal."""
    total, done, state = max(1, path.stat().st_size), 0, hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            state.update(chunk)
            done += len(chunk)
            if tick:
                tick(done / total)
    return state.hexdigest()


def digest_folder(pictures: list[Path], tick: Tick | None = None) -> str:
    """The SHA-256 over the names and contents of stills, in their order."""
    state = hashlib.sha256()
    for done, picture in enumerate(pictures, 1):
        state.update(os.fsencode(picture.name) + b"\0" + bytes.fromhex(digest(picture)))
        if tick:
            tick(done / len(pictures))
    return state.hexdigest()


def content(path: Path) -> str:
    """Return the SHA-256 of a video or of a folder of stills; one that has not changed is read once."""
    if not path.is_dir():
        readable(path)
    files = stills(path) if path.is_dir() else [path]
    status = [file.stat() for file in files]
    return _content(path, tuple((each.st_size, each.st_mtime_ns, each.st_ino) for each in status))


@lru_cache(maxsize=64)
def _content(path: Path, state: tuple[tuple[int, int, int], ...]) -> str:
    return digest_folder(stills(path)) if path.is_dir() else digest(path)


def ends_early(path: Path) -> bool:
    """Whether the file is shorter than its own outermost headers promise.

    Durations are no evidence: sound may outlast the picture, and variable rates are declared wrongly. The
    sizes of the outermost boxes are exact where the container has them: mp4, Matroska, AVI. And FLV, GIF and
    MPEG-TS show it when they stop in the middle of a tag or packet.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(512)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
            return any(end > size for _, end in _boxes(file))
        if head[:4] == b"\x1aE\xdf\xa3":
            return _matroska_end(head) > size
        if head[:4] == b"RIFF":
            return any(end > size for end in _riff_ends(file))
        if head[:3] == b"FLV":
            file.seek(size - 4)
            tag = size - 4 - int.from_bytes(file.read(4), "big")
            file.seek(max(0, tag))
            return tag < 13 or tag + 11 + int.from_bytes(file.read(4)[1:], "big") + 4 != size
        if head[:4] == b"GIF8":
            file.seek(max(0, size - 64))
            return not file.read().rstrip(b"\0").endswith(b";")
        for length, first in ((188, 0), (192, 4)):
            if head[first::length][:2] == b"GG":
                return size % length != 0
    return False


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The kind and promised end of each outermost mp4 box."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or not kind.isalnum():  # 0: it runs to the end of the file; else no box at all
            return
        at += length
        yield kind, at


def _matroska_end(head: bytes) -> int:
    """Where the segment of a Matroska file promises to end; 0 where it does not say (a live recording)."""
    header, at = _varint(head, 4)
    at += header or 0
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    length, at = _varint(head, at + 4)
    return 0 if length is None else at + length


def _varint(data: bytes, at: int) -> tuple[int | None, int]:
    """An EBML length, None where it is unknown, and where the content begins."""
    if at >= len(data) or data[at] == 0:
        return None, at
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), at + width


def _riff_ends(file: BinaryIO) -> Iterator[int]:
    """The promised end of each outermost RIFF chunk: an AVI over 1 GB has several."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(8)
        if head[:4] != b"RIFF" or len(head) < 8:
            return
        at += 8 + int.from_bytes(head[4:], "little")
        yield at
        at += at % 2


def spool(stream: BinaryIO, folder: Path, what: str = "standard input") -> Path:
    """Copy a stream into a temporary file of the folder, which the caller deletes."""
    try:
        handle, name = tempfile.mkstemp(prefix="fervid-input-", dir=folder)
    except OSError as failure:
        raise OutputError(
            f"cannot write in {shown(folder)}: {failure.strerror}; set TMPDIR elsewhere"
        ) from failure
    path, size = Path(name), 0
    try:
        with open(handle, "wb") as file:
            while chunk := stream.read(CHUNK):
                if shutil.disk_usage(folder).free < len(chunk) + ROOM_LEFT:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                file.write(chunk)
                size += len(chunk)
        if size == 0:
            raise InputError(f"{what} is empty; check where it comes from")
    except OSError as failure:
        path.unlink()
        if failure.errno != errno.ENOSPC:
            raise OutputError(
                f"cannot copy {what} to {shown(folder)}: {failure.strerror or failure}"
            ) from failure
        message = f"{shown(folder)} is full: {what} does not fit; free some space or set TMPDIR elsewhere"
        raise OutputError(message) from failure
    except BaseException:
        path.unlink()
        raise
    return path
