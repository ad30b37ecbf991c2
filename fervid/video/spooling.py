"""Standard input, copied into a temporary file: only what can be a video or a timeline, up to a limit."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, cast

from fervid.errors import InputError
from fervid.files.urls import LIMIT, Limit
from fervid.process import callback
from fervid.video import source

NAME = "standard input"
HEAD = 1 << 21  # bytes that are checked; FFmpeg needs at most half of them to recognize a format
MOST_TEXT = 1 << 32  # bytes of a timeline
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def spool(stream: BinaryIO, folder: Path, limit: Limit = LIMIT) -> Path:
    """Copy standard input into a temporary file in a folder; the caller deletes it.

    Raise InputError as soon as its first bytes show that it is no video, or when it exceeds the limit.
    """
    head = stream.read(HEAD)
    is_text = head.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"{")
    is_archive = head.startswith(b"PK")
    if len(head) == HEAD and not (is_text or is_archive or is_recognized(head)):
        raise InputError(f"{NAME} is neither a video nor a timeline: check the command that writes it")
    most = min(limit.size, MOST_TEXT) if is_text else limit.size
    limited = cast(BinaryIO, _Limited(stream, head, most, limit.seconds, is_text))
    return source.finished(source.copied(limited, folder, NAME))


def is_recognized(head: bytes) -> bool:
    """Return whether FFmpeg recognizes the format of a file by its first bytes."""
    import av

    position = 0

    @callback
    def read(size: int) -> bytes:
        nonlocal position
        position += size
        return head[position - size : position]

    try:
        with av.open(SimpleNamespace(read=read), "r", options={"protocol_whitelist": "none"}):
            return True
    except av.FFmpegError:
        return position > len(head)  # the format is known, but its index is further on


class _Limited:
    """A stream of which some bytes are read already; raises InputError for too many bytes or seconds."""

    def __init__(self, stream: BinaryIO, head: bytes, most: int, seconds: float, is_text: bool) -> None:
        self._stream, self._head, self._most, self._is_text = stream, head, most, is_text
        self._seconds, self._began = seconds, time.monotonic()
        self._done = 0

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes."""
        piece, self._head = self._head[:size], self._head[size:]
        piece = piece or self._stream.read(size)
        self._done += len(piece)
        if self._done > self._most:
            hint = "a timeline is smaller" if self._is_text else "if it may have more, set --max-download"
            raise InputError(f"{NAME} has more than {self._most:,} bytes: {hint}")
        if time.monotonic() - self._began > self._seconds:
            raise InputError(
                f"{NAME} takes longer than {self._seconds:g} s: if it may take more, set --max-download"
            )
        return piece
