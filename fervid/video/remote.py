"""Inputs named by a URL: they are copied to the temporary folder first."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote
from urllib.request import (
    HTTPBasicAuthHandler,
    HTTPPasswordMgrWithPriorAuth,
    OpenerDirector,
    Request,
    build_opener,
)

from fervid.errors import FervidError, InputError, UsageError
from fervid.files import display_name, one_line, shorten, temporary, urls
from fervid.files.urls import LIMIT, Limit, Link
from fervid.video import source

WAIT = 60  # seconds without data, or with little of it, after which a server has failed
SLOWEST = 1_000  # bytes a second
PLAIN = (*urls.WEB, "ftp", "file")  # read by the standard library
LIVE = ("hls", "mms", "mmsh", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "udp")
PLAYLISTS = (".m3u8", ".mpd")
SAFE = "%/:@!$&'()*+,;=~"  # characters that are not escaped in a path; % begins an escape


def redacted(url: str) -> str:
    """Return a URL for messages: on one line, without its secrets."""
    return display_name(urls.redacted(url))


def path_parts(url: str) -> tuple[str, ...]:
    """Return the host and the pieces of the path as file names."""
    link = urls.file_link(url)
    if not link.is_valid:
        return ("remote",)  # the host may be a part of a password
    names = [link.host.replace(":", "_"), *map(unquote, link.path.split("/"))]
    plain = [re.sub(r"[\0/\\]", "_", name) for name in names]
    return tuple(shorten(name) for name in plain if name.strip(".")) or ("remote",)


@contextmanager
def fetched(url: str, limit: Limit = LIMIT) -> Iterator[str]:
    """Copy the content for the block; yield the path of the copy, which has the file's own name."""
    with temporary.folder() as path:
        yield str(source.finished(fetch(url, path, limit)))


def fetch(url: str, folder: Path, limit: Limit) -> Generator[float, None, Path]:
    """Copy the content into a folder; yield the share that is done (0 if the size is unknown)."""
    link = _checked(url)
    if link.scheme in LIVE or link.path.lower().endswith(PLAYLISTS):
        raise InputError(
            f"{redacted(url)} is a stream, not a file: use `fervid live`, or pipe it, "
            "`ffmpeg -i URL -c copy -f matroska - | fervid analyze -`"
        )
    is_plain = link.scheme in PLAIN and len(urls.chain(url)) == 1
    with _plain(url, link, limit) if is_plain else _by_fsspec(url, limit) as stream:
        copied = cast(BinaryIO, stream)
        copy = yield from source.copied(copied, folder, redacted(url), stream.length)
    return copy.rename(folder / path_parts(url)[-1])  # the timeline contains the name


def _checked(url: str) -> Link:
    """Return the link that names the file."""
    for link in urls.chain(url):
        if isinstance(link, Link) and not link.is_valid:
            raise UsageError(
                f"{redacted(url)} is not a valid URL: its host or port is wrong; in a password, write "
                "/ as %2F, ? as %3F and # as %23"
            )
    return urls.file_link(url)


@contextmanager
def _plain(url: str, link: Link, limit: Limit) -> Iterator[_Watched]:
    try:
        opener, request = _request(link)
        with opener.open(request, timeout=WAIT) as answer:
            yield _Watched(answer, url, limit, answer.headers.get("Content-Length"))
    except HTTPError as failure:
        with failure:
            answered = f"{failure.code} {_reason(failure.reason, url)}"
            raise InputError(f"cannot fetch {redacted(url)}: the server answers {answered}") from failure
    except (URLError, OSError, ValueError, http.client.HTTPException) as failure:
        reason = getattr(failure, "reason", None) or getattr(failure, "strerror", None) or failure
        raise InputError(
            f"cannot fetch {redacted(url)}: {_reason(reason, url)}; check the address and the network"
        ) from failure


def _request(link: Link) -> tuple[OpenerDirector, Request]:
    """Return an opener and a request; a password is sent only to its own host, also after redirections."""
    is_web = link.scheme in urls.WEB
    user = f"{link.user}@" if link.user and not is_web else ""
    host, path, query = f"{link.scheme}://{user}{link.host}", quote(link.path, SAFE), ""
    if is_web:
        query = quote(link.query.partition("#")[0], f"{SAFE}?")
    elif link.query:
        path += quote(link.query, SAFE)
    passwords = HTTPPasswordMgrWithPriorAuth()
    if is_web and link.user:
        name, _, password = map(unquote, link.user.partition(":"))
        passwords.add_password(None, f"{host}/", name, password, is_authenticated=True)
    opener = build_opener(HTTPBasicAuthHandler(passwords))
    return opener, Request(f"{host}{path}{query}", headers={"User-Agent": "fervid"})


def _reason(failure: object, url: str) -> str:
    """Return an error of a library or a server on one line, without the secrets of the URL."""
    return one_line(urls.scrubbed(str(failure), urls.secrets(url)), "\ufffd")


class _Watched:
    """A stream that raises InputError if reading fails, ends early, or takes more than the limit."""

    def __init__(self, stream: BinaryIO, url: str, limit: Limit, length: str | None = None) -> None:
        # With read1 the bytes of a slow server arrive one by one, and not when there are `size` of them.
        self._read = getattr(stream, "read1", stream.read)
        self._url, self._name, self._limit = url, redacted(url), limit
        self.length = int(length) if length is not None and re.fullmatch("[0-9]{1,18}", length) else None
        self._done = self._recent = 0
        self._began = self._since = time.monotonic()
        self._check(self.length or 0)

    def read(self, size: int) -> bytes:
        try:
            piece: bytes = self._read(size)
        except Exception as failure:  # each store has its own errors
            reason = f"{type(failure).__name__}: {_reason(failure, self._url)}"
            raise InputError(f"cannot read {self._name}: {reason}") from failure
        self._done += len(piece)
        self._recent += len(piece)
        if piece:
            self._check(self._done)
        elif self.length is not None and self._done < self.length:
            raise InputError(
                f"{self._name} ended after {self._done} of {self.length} bytes: run the command again"
            )
        return piece

    def _check(self, size: int) -> None:
        now = time.monotonic()
        if size > self._limit.size:
            problem = f"is larger than {self._limit.size:,} bytes"
        elif now - self._began > self._limit.seconds:
            problem = f"takes longer than {self._limit.seconds:g} s"
        elif now - self._since > WAIT:
            if self._recent < SLOWEST * (now - self._since):
                raise InputError(f"{self._name} sends less than {SLOWEST:,} bytes a second: try again later")
            self._since, self._recent = now, 0
            return
        else:
            return
        raise InputError(f"{self._name} {problem}: if it may take more, set --max-download")


@contextmanager
def _by_fsspec(url: str, limit: Limit) -> Iterator[_Watched]:
    scheme = url.partition(":")[0]
    try:
        import fsspec
    except ImportError as failure:
        raise UsageError(
            f"{scheme}:// needs fsspec: pip install 'fervid[remote]' and the library for {scheme}"
        ) from failure
    try:
        with cast(AbstractContextManager[BinaryIO], fsspec.open(url, "rb")) as stream:
            yield _Watched(stream, url, limit)
    except FervidError:
        raise
    except ImportError as failure:  # fsspec needs a library for this store
        raise UsageError(f"{scheme}:// needs one more library: {_reason(failure, url)}") from failure
    except FileNotFoundError as failure:
        raise InputError(f"there is no {redacted(url)}: check the name") from failure
    except Exception as failure:  # each store has its own errors
        reason = f"{type(failure).__name__}: {_reason(failure, url)}"
        raise InputError(f"cannot read {redacted(url)}: {reason}") from failure
