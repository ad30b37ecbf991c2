"""Read files that fervid wrote: timelines and archives of frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fervid.cli.shared.inputs import label
from fervid.errors import InputError
from fervid.files import open_regular

if TYPE_CHECKING:
    from fervid.types import Timeline

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def is_archive(path: str) -> bool:
    """Return whether a file is a zip archive, like NumPy's .npz."""
    return _head(path).startswith(b"PK")


def is_timeline(path: str) -> bool:
    """Return whether a file is a timeline and not a video, by its suffix or its first byte."""
    if Path(path).suffix.lower() in (".json", ".jsonl"):
        return True
    return Path(path).is_file() and _head(path).removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"{")


def read_timeline(path: str, name: str) -> Timeline:
    """Read the timeline at `path`; `name` is its name in messages."""
    from fervid.export.timelines.reading import read

    head = _head(path).removeprefix(BYTE_ORDER_MARK).strip()
    if head and not is_timeline(path):
        raise InputError(f"{label(name)} is not a timeline: make one with `fervid analyze VIDEO -t out.json`")
    try:
        with open(path, encoding="utf-8") as stream:
            return read(stream)
    except OSError as error:
        raise InputError(f"{label(name)} cannot be read: {error.strerror}") from error


def _head(path: str) -> bytes:
    try:
        with open_regular(path) as stream:
            return stream.read(64)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
