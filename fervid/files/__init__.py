"""Files: names as text, suffixes, URLs, atomic writing, locks, temporary folders."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import IO, AnyStr, BinaryIO

from fervid.files.locks import Lock as Lock
from fervid.files.locks import take_lock as take_lock
from fervid.files.writing import Explain as Explain
from fervid.files.writing import make_folder as make_folder
from fervid.files.writing import open_atomic as open_atomic
from fervid.files.writing import open_atomic_folder as open_atomic_folder
from fervid.files.writing import opened as opened
from fervid.files.writing import sync_folder as sync_folder
from fervid.files.writing import write as write

LONGEST = 200  # bytes of a name: file systems allow 255, with the suffix of a format
PART = 1 << 20  # bytes of a file that are read at once
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

# fmt: off
STILLS = frozenset({".bmp", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
                    ".tif", ".tiff", ".webp"})
VIDEOS = frozenset({".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
                    ".mxf", ".ogv", ".ts", ".webm", ".wmv"})
# fmt: on


def display_name(name: str | Path) -> str:
    """Return a name for messages: one line, with U+FFFD for each character that cannot be printed."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(name))


def read_limited(stream: IO[AnyStr], most: int) -> AnyStr:
    """Return the content of a stream; raise OSError if it is longer than `most`, as a device has no end."""
    empty, parts, length = stream.read(0), [], 0
    while part := stream.read(PART):  # a larger request would take its memory at once
        length += len(part)
        if length > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        parts.append(part)
    return empty.join(parts)


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file; raise OSError for a pipe, a socket or a device, which may never open or never end."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device: copy it into a file")
    return open(path, "rb")


def read_text(path: Path, most: int) -> str:
    """Return the text of a file; raise OSError if it has more than `most` bytes."""
    with open_regular(path) as stream:
        return read_limited(stream, most).decode("utf-8")


def no_permission(folder: Path) -> str:
    """Return the message of the error for a folder that the user may not read."""
    return f"no permission to read the folder {display_name(folder)}: change its access rights"


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


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key for the natural order of names: 2 before 10."""
    pieces = re.split(r"([0-9]+)", name.lower())  # text, digits, text, ...
    return [(int(piece), "") if index % 2 else (0, piece) for index, piece in enumerate(pieces)], name


def shorten(name: str) -> str:
    """Return a file name with room for a suffix; a long one ends in a digest, so that it stays distinct."""
    raw = os.fsencode(name)
    if len(raw) <= LONGEST:
        return name
    cut = raw[: LONGEST - 13].decode("utf-8", "ignore")
    return f"{cut}~{hashlib.sha256(raw).hexdigest()[:12]}"


def parse_size(text: str) -> int:
    """Return a size such as 500MB or 20 GB in bytes; raise ValueError for any other text."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([kmgt]?)b?", text.strip().lower(), re.ASCII)
    if match is None:
        raise ValueError(f"{text[:40]} is not a size: write bytes, or 500MB, 20GB")
    return int(float(match[1]) * UNITS[match[2]])
