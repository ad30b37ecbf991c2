"""Inputs that fervid itself wrote: a timeline, or the archive of every frame's geometry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fervid.errors import InputError

if TYPE_CHECKING:
    from fervid.export.reading import Document

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def is_archive(path: str) -> bool:
    """Whether a file is a zip archive, as NumPy's .npz is."""
    return _head(path).startswith(b"PK")


def read_timeline(path: str, name: str) -> Document:
    """The timeline in a file; `name` is what the user called it."""
    from fervid.export.reading import read

    is_named_so = Path(path).suffix.lower() in (".json", ".jsonl")
    head = _head(path).removeprefix(BYTE_ORDER_MARK).strip()
    if head and not head.startswith(b"{") and not is_named_so:
        what = "what is piped in" if name == "-" else name
        raise InputError(
            f"{what} is no timeline: make one of a video with `fervid analyze VIDEO -t out.json`"
        )
    try:
        with open(path, encoding="utf-8") as stream:
            return read(stream)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from error


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(64)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
