"""Files as bytes, before they are decoded: stills of a folder, digests, truncation, copies of streams."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Generator, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from fervid.errors import InputError, OutputError
from fervid.files import STILLS, VIDEOS, display_name, natural_key, no_permission

CHUNK = 1 << 20  # bytes read at once
MOST_BYTES = 2**62  # of a file; a box that ends later is damaged, and there is no seeking to its end
ROOM_LEFT = 64 << 20  # bytes that spooling leaves free on the disk

Tick = Callable[[float], None]  # called with the share done, 0 .. 1
Result = TypeVar("Result")


def stills(folder: Path) -> list[Path]:
    """Return the pictures of a folder in natural order (2 before 10), without hidden files."""
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: natural_key(entry.name))
    except PermissionError as failure:
        raise InputError(no_permission(folder)) from failure
    pictures = [e for e in entries if e.suffix.lower() in STILLS and e.name[0] != "." and e.is_file()]
    if not pictures:
        films = sum(entry.suffix.lower() in VIDEOS for entry in entries)
        advice = f"its videos ({films}) one by one" if films else "a video or a folder of pictures"
        raise InputError(f"the folder {display_name(folder)} contains no pictures: name {advice}")
    return pictures


def check_readable(path: Path) -> None:
    """Raise InputError for a file that cannot be opened or is empty."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would block until it is written to
            raise InputError(
                f"{display_name(path)} is not a regular file: pipe it into standard input and name -"
            )
        with open(path, "rb"):
            pass
    except FileNotFoundError as failure:
        raise InputError(f"there is no file {display_name(path)}: check the name") from failure
    except PermissionError as failure:
        raise InputError(f"no permission to read {display_name(path)}: change its access rights") from failure
    except OSError as failure:
        raise InputError(f"cannot read {display_name(path)}: {failure.strerror}") from failure
    if status.st_size == 0:
        raise InputError(f"{display_name(path)} is empty: copy or download it again")


def undecodable_reason(path: Path) -> str:
    """Return the reason why a file cannot be decoded, from its first bytes, and what to do."""
    with open(path, "rb") as file:
        head = file.read(4096)
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"free", b"wide", b"skip"):
        with open(path, "rb") as file:
            has_index = any(kind == b"moov" for kind, _ in _boxes(file))
        if not has_index:
            return "is an mp4 without its index (moov), so it is truncated: copy or download it again"
        return "is a damaged mp4: copy or download it again"
    try:
        text = head[:-3].decode("utf-8") if len(head) == 4096 else head.decode("utf-8")
    except UnicodeDecodeError:
        return "is not a video that can be read, or its start is damaged: copy it again or convert it to mp4"
    if all(letter.isprintable() or letter.isspace() for letter in text):
        return "is text, not a video: check the name"
    return "is not a video that can be read: check the name"


def digest(path: Path, tick: Tick | None = None) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    total, done, state = max(1, path.stat().st_size), 0, hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            state.update(chunk)
            done += len(chunk)
            if tick:
                tick(done / total)
    return state.hexdigest()


def digest_folder(pictures: list[Path], tick: Tick | None = None) -> str:
    """Return the SHA-256 of the names and contents of stills, in order."""
    state = hashlib.sha256()
    for done, picture in enumerate(pictures, 1):
        state.update(os.fsencode(picture.name) + b"\0" + bytes.fromhex(digest(picture)))
        if tick:
            tick(done / len(pictures))
    return state.hexdigest()


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a video or a folder of stills, cached until a file changes."""
    if not path.is_dir():
        check_readable(path)
    files = stills(path) if path.is_dir() else [path]
    status = [file.stat() for file in files]
    return _content_hash(path, tuple((s.st_size, s.st_mtime_ns, s.st_ino) for s in status))


@lru_cache(maxsize=64)
def _content_hash(path: Path, state: tuple[tuple[int, int, int], ...]) -> str:
    return digest_folder(stills(path)) if path.is_dir() else digest(path)


def ends_early(path: Path) -> bool:
    """Return whether a file is truncated.

    Durations do not show it: sound may outlast the picture, and variable frame rates are declared wrongly. In
    mp4, Matroska and AVI the sizes of the outermost boxes are exact. FLV, GIF and MPEG-TS are truncated if
    they end within a tag or packet.
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
    """Yield the kind of each outermost mp4 box, and its end according to its header."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or not kind.isalnum():  # 0: the box extends to the end of the file; others: not a box
            return
        at += length
        yield kind, at
        if at > MOST_BYTES:
            return


def _matroska_end(head: bytes) -> int:
    """Return the end of a Matroska segment according to its header; 0 if unknown (a live recording)."""
    header, at = _varint(head, 4)
    at += header or 0
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    length, at = _varint(head, at + 4)
    return 0 if length is None else at + length


def _varint(data: bytes, at: int) -> tuple[int | None, int]:
    """Return an EBML length (None if unknown) and the offset of the content."""
    if at >= len(data) or data[at] == 0:
        return None, at
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), at + width


def _riff_ends(file: BinaryIO) -> Iterator[int]:
    """Yield the end of each outermost RIFF chunk according to its header: an AVI over 1 GB has several."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(8)
        if head[:4] != b"RIFF" or len(head) < 8:
            return
        at += 8 + int.from_bytes(head[4:], "little")
        yield at
        at += at % 2


def copied(
    stream: BinaryIO, folder: Path, name: str, length: int | None = None
) -> Generator[float, None, Path]:
    """Copy a stream into a temporary file, which the caller deletes; yield the share done, or 0."""
    try:
        handle, copy = tempfile.mkstemp(prefix="fervid-input-", dir=folder)
    except OSError as failure:
        raise OutputError(
            f"cannot write in {display_name(folder)}: {failure.strerror}; set TMPDIR to another folder"
        ) from failure
    path, size = Path(copy), 0
    try:
        with open(handle, "wb") as file:
            while chunk := stream.read(CHUNK):
                if shutil.disk_usage(folder).free < len(chunk) + ROOM_LEFT:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                file.write(chunk)
                size += len(chunk)
                yield min(1.0, size / length) if length else 0.0
        if size == 0:
            raise InputError(f"{name} is empty: check its source")
    except OSError as failure:
        path.unlink()
        if failure.errno != errno.ENOSPC:
            raise OutputError(
                f"cannot copy {name} to {display_name(folder)}: {failure.strerror or failure}"
            ) from failure
        raise OutputError(
            f"{display_name(folder)} is too full for {name}: free some space or set TMPDIR to another folder"
        ) from failure
    except BaseException:
        path.unlink()
        raise
    return path


def finished(steps: Generator[Any, None, Result]) -> Result:
    """Run a generator to its end and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: Result = stop.value
            return result
