"""URLs: names that are URLs, their parts, and text without their secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

WEB = ("http", "https")  # elsewhere, what looks like a query or a fragment may be part of a name
WITH_USER = (*WEB, "ftp", "ftps", "sftp", "ssh", "smb", "webdav")  # schemes with a user before the host
HIDDEN = "***"
# Shorter values of a query, such as json or true, are common words: only the whole query is hidden.
SECRET_LENGTH = 8
PASSWORD_LENGTH = 4


@dataclass(frozen=True)
class Limit:
    """The most that a download may take."""

    size: int = 100 * 10**9  # bytes
    seconds: float = 24 * 3600


LIMIT = Limit()


# Limited, as otherwise the search in a long word would take the square of its length.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{1,40}"
_START = rf"(?:{_SCHEME}::){{0,8}}{_SCHEME}://"  # fsspec chains protocols: simplecache::https://host/film.mp4
_URL = re.compile(_START, re.ASCII)
_IN_TEXT = re.compile(rf"{_START}(?:[^\s'\"<>]*[^\s'\"<>.,:;)])?", re.ASCII)
_NEXT = re.compile(rf"::(?={_SCHEME}(?:://|::|$))", re.ASCII)  # not the :: of an IPv6 address
_LINK = re.compile(rf"({_SCHEME})://(?:([^/?#]*)@)?([^/?#]*)(.*)", re.ASCII | re.DOTALL)
_QUERY = re.compile(r"\?[\w.%~-]+=.*", re.DOTALL)
_PORT = re.compile(r"[^:\[\]]*(?:\[[^\[\]]*\])?(?::\d*)?")


@dataclass(frozen=True)
class Link:
    """A URL, or a part of a chain of URLs."""

    scheme: str  # lower case
    user: str  # with the password
    host: str  # with the port; of other stores, a bucket or the first folder
    path: str
    query: str  # with the ? or # before it

    @property
    def is_valid(self) -> bool:
        """Whether the port is a number: it is not if a password contains an unescaped /, ? or #."""
        return self.scheme not in WITH_USER or _PORT.fullmatch(self.host) is not None

    @property
    def redacted(self) -> str:
        """The link without its secrets."""
        return f"{self.scheme}://{self.host}{self.path}" if self.is_valid else f"{self.scheme}://{HIDDEN}"

    def secrets(self) -> Iterator[str]:
        """Yield the texts that must not be shown: passwords, and values of the query."""
        if not self.is_valid:
            yield f"{self.host}{self.path}"
        if self.user and (":" in self.user or self.scheme in WITH_USER):
            password = self.user.partition(":")[2] or self.user
            yield from (f"{self.user}@", f"{password}@", f"{unquote(password)}@")
            yield from (text for text in (password, unquote(password)) if len(text) >= PASSWORD_LENGTH)
        if len(self.query) > 1:
            yield from (self.query[1:], unquote(self.query[1:]))
            for pair in re.split("[?&;#]", self.query):
                name, _, value = pair.partition("=")
                for text in (value or name, unquote(value or name)):
                    if len(text) >= SECRET_LENGTH:
                        yield text


def is_url(name: str) -> bool:
    """Return whether the name of an input is a URL, or a chain of them; an existing file is a file."""
    return _URL.match(name) is not None and not os.path.lexists(name)


def chain(url: str) -> list[Link | str]:
    """Return the links of a chain of URLs, and the names of protocols between them."""
    return [_link(part) for part in _NEXT.split(url)]


def file_link(url: str) -> Link:
    """Return the link that names the file: the first of a chain, as in zip://film.mp4::https://host/a.zip."""
    return next(link for link in chain(url) if isinstance(link, Link))


def _link(text: str) -> Link | str:
    match = _LINK.fullmatch(text)
    if match is None:
        return text
    scheme, path = match[1].lower(), match[4]
    query = re.search(r"[?#].*", path, re.DOTALL) if scheme in WEB else _QUERY.search(path)
    at = len(path) if query is None else query.start()
    return Link(scheme, match[2] or "", match[3], path[:at], path[at:])


def redacted(url: str) -> str:
    """Return a URL without its secrets: user, password and query."""
    return "::".join(link if isinstance(link, str) else link.redacted for link in chain(url))


def secrets(text: str) -> set[str]:
    """Return the secrets of the URL in a text, which extends to the end of the text."""
    match = _URL.search(text)
    links = [] if match is None else chain(text[match.start() :])
    return {secret for link in links if isinstance(link, Link) for secret in link.secrets()}


def scrubbed(text: str, hidden: Iterable[str] = ()) -> str:
    """Return a text with its URLs redacted, and without the hidden texts."""
    text = _IN_TEXT.sub(lambda match: redacted(match[0]), text)
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text
