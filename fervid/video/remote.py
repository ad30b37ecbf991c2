"""Inputs named by a URL: they are copied to the temporary folder first."""

from __future__ import annotations

import http.client
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import Request, urlopen

from fervid.errors import FervidError, InputError, UsageError
from fervid.files import shown
from fervid.video import source

WAIT = 60  # seconds without data after which a server has failed
PLAIN = ("http", "https", "ftp", "file")  # read by the standard library
LIVE = ("hls", "mms", "mmsh", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "udp")
PLAYLISTS = (".m3u8", ".mpd")

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://", re.ASCII)


def is_remote(name: str) -> bool:
    """Return whether an input's name is a URL."""
    return _URL.match(name) is not None


def redacted(url: str) -> str:
    """Return a URL without its secrets: password and query."""
    parts = _split(url)
    host = parts.netloc.rpartition("@")[2]
    return shown(f"{parts.scheme}://{host}{parts.path}")


def path_parts(url: str) -> tuple[str, ...]:
    """Return the host and the pieces of the path as file names."""
    parts = _split(url)
    names = [parts.netloc.rpartition("@")[2].replace(":", "_"), *map(unquote, parts.path.split("/"))]
    plain = [re.sub(r"[\0/\\]", "_", name) for name in names]
    return tuple(name for name in plain if name.strip(".")) or ("remote",)


@contextmanager
def fetched(url: str) -> Iterator[str]:
    """Copy the content for the block; yield the path of the copy, which has the file's own name."""
    parts = _split(url)
    if parts.scheme in LIVE or parts.path.lower().endswith(PLAYLISTS):
        raise InputError(
            f"{redacted(url)} is a stream, not a file: pipe it, "
            "`ffmpeg -i URL -c copy -f matroska - | fervid analyze -`"
        )
    with tempfile.TemporaryDirectory(prefix="fervid-") as folder:
        opened = _plain(url) if parts.scheme in PLAIN else _by_fsspec(url, parts.scheme)
        with opened as stream:
            copy = source.spool(stream, Path(folder), redacted(url))
        yield str(copy.rename(Path(folder) / path_parts(url)[-1]))  # the timeline contains the name


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as failure:
        raise UsageError(f"{shown(url)} is not a valid URL: {failure}") from failure
    if parts.scheme in ("http", "https"):
        return parts
    # bucket#1/film.mp4: elsewhere, what looks like a query or a fragment is part of the path.
    return parts._replace(path=url.partition("://")[2].removeprefix(parts.netloc))


@contextmanager
def _plain(url: str) -> Iterator[BinaryIO]:
    try:
        with urlopen(Request(url, headers={"User-Agent": "fervid"}), timeout=WAIT) as answer:
            watched = _Watched(answer, redacted(url), answer.headers.get("Content-Length"))
            yield cast(BinaryIO, watched)
    except HTTPError as failure:
        with failure:
            raise InputError(
                f"cannot fetch {redacted(url)}: the server answers {failure.code} {failure.reason}"
            ) from failure
    except (URLError, OSError, ValueError, http.client.HTTPException) as failure:
        reason = getattr(failure, "reason", None) or getattr(failure, "strerror", None) or failure
        raise InputError(
            f"cannot fetch {redacted(url)}: {reason}; check the address and the network"
        ) from failure


class _Watched:
    """A stream that raises InputError if reading fails or it ends before the declared length."""

    def __init__(self, stream: BinaryIO, name: str, length: str | None = None) -> None:
        self._stream, self._name, self._done = stream, name, 0
        self._length = int(length) if length is not None and length.isdigit() else None

    def read(self, size: int) -> bytes:
        try:
            piece = self._stream.read(size)
        except Exception as failure:  # each store has its own errors
            raise InputError(f"cannot read {self._name}: {type(failure).__name__}: {failure}") from failure
        self._done += len(piece)
        if not piece and self._length is not None and self._done < self._length:
            raise InputError(
                f"{self._name} ended after {self._done} of {self._length} bytes: run the command again"
            )
        return piece


@contextmanager
def _by_fsspec(url: str, scheme: str) -> Iterator[BinaryIO]:
    try:
        import fsspec
    except ImportError as failure:
        raise UsageError(
            f"{scheme}:// needs fsspec: pip install 'fervid[remote]' and the library for {scheme}"
        ) from failure
    try:
        with cast(AbstractContextManager[BinaryIO], fsspec.open(url, "rb")) as stream:
            yield cast(BinaryIO, _Watched(stream, redacted(url)))
    except FervidError:
        raise
    except ImportError as failure:  # fsspec needs a library for this store
        raise UsageError(f"{scheme}:// needs one more library: {failure}") from failure
    except FileNotFoundError as failure:
        raise InputError(f"there is no {redacted(url)}: check the name") from failure
    except Exception as failure:  # each store has its own errors
        raise InputError(f"cannot read {redacted(url)}: {type(failure).__name__}: {failure}") from failure
