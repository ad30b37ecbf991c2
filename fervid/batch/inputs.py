"""The inputs of a batch: folders are searched, each file is taken once, and outputs have distinct paths."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from fervid.batch.lists import PathList
from fervid.batch.stems import Stems
from fervid.errors import InputError
from fervid.files import STILLS, VIDEOS, encodable, urls
from fervid.files.urls import Link, is_url
from fervid.video import remote

# Parameters of signed URLs: they change whenever a URL is signed, and the video does not.
SIGNATURES = {"signature", "sig", "x-amz-signature", "x-goog-signature"}
SIGNED = re.compile(
    r"x-(amz|goog)-.*|awsaccesskeyid|googleaccessid|signature|expires|key-pair-id|policy"  # Amazon, Google
    r"|s(v|r|e|t|p|pr|ip|s|rt|ig)|sk(oid|tid|t|e|s|v)"  # Azure
)


@dataclass(frozen=True)
class Input:
    """One video to analyze."""

    path: str  # absolute, or a URL
    name: str  # in manifests and messages: relative to the folder that outputs mirror
    stem: str  # the path of its outputs below the folder of results, without a format's suffix
    size: int = 0  # bytes; 0: unknown
    error: str = ""  # why it cannot be analyzed


@dataclass(frozen=True)
class InputList:
    """The inputs of a batch, and the rows of the table that listed them."""

    inputs: tuple[Input, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]  # index of the input, further cells
    columns: tuple[str, ...] = ()  # of these cells

    @property
    def repeats(self) -> int:
        """The number of times that an input was named again."""
        return len(self.rows) - len(self.inputs)


@dataclass
class _Match:
    """The path of an input, before its name and stem are known."""

    path: str
    real: str
    size: int = 0
    error: str = ""


@dataclass
class _Folder:
    """A folder to search."""

    path: str
    real: str


@dataclass
class _Search:
    skip: str | None  # the folder of results, unless it is itself an input
    anchors: set[str] = field(default_factory=set)  # the parent folders of named paths

    def resolve(self, name: str) -> Iterator[_Match]:
        """Yield the videos of an argument: a file, a URL, a folder of videos, or the matches of a pattern."""
        if is_url(name):
            yield _Match(name, _identity(name))
            return
        if not os.path.lexists(name) and glob.has_magic(name):
            try:
                matches = sorted(glob.glob(name, recursive=True))
            except RecursionError:
                yield self._failed(name, "its folders are too deep for a pattern: name the folder")
                return
            if not matches:
                yield self._failed(name, "no file matches this pattern")
            for match in matches:
                yield from self.resolve(match)
            return
        path = os.path.abspath(name)
        self.anchors.add(os.path.dirname(path))
        if not os.path.isdir(path):
            yield _Match(path, os.path.realpath(path), _size(path))
            return
        videos = list(self._walk(path))
        yield from videos or [self._failed(name, "the folder contains no videos")]

    def _failed(self, name: str, reason: str) -> _Match:
        path = os.path.abspath(name)
        self.anchors.add(os.path.dirname(path))
        return _Match(path, path, 0, reason)

    def _walk(self, path: str) -> Iterator[_Match]:
        """Yield videos in the order of names; links are followed, and a folder of stills is one video."""
        seen: set[str] = set()
        waiting: list[_Match | _Folder] = [_Folder(path, os.path.realpath(path))]
        while waiting:  # a stack, not recursion: folders may be nested deeper than calls can be
            entry = waiting.pop()
            if isinstance(entry, _Match):
                yield entry
            elif entry.real not in seen and entry.real != self.skip:
                seen.add(entry.real)
                waiting += reversed(list(_contents(entry)))


def _contents(folder: _Folder) -> Iterator[_Match | _Folder]:
    """Yield the videos and folders in a folder, or the folder itself as a video if it has only stills."""
    try:
        entries = sorted(os.scandir(folder.path), key=lambda entry: os.fsencode(entry.name))
    except OSError as failure:
        yield _Match(folder.path, folder.real, 0, f"the folder cannot be read: {failure.strerror}")
        return
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    folders = [entry for entry in entries if _is_folder(entry)]
    suffixes = [os.path.splitext(entry.name)[1].lower() for entry in entries]
    if not folders and not VIDEOS & set(suffixes) and STILLS & set(suffixes):
        yield _Match(folder.path, folder.real, sum(map(_entry_size, entries)))
        return
    for entry, suffix in zip(entries, suffixes, strict=True):
        real = os.path.realpath(entry.path) if entry.is_symlink() else os.path.join(folder.real, entry.name)
        if _is_folder(entry):
            yield _Folder(entry.path, real)
        elif suffix in VIDEOS:
            yield _Match(entry.path, real, _entry_size(entry))


def find_inputs(named: Sequence[str], listed: PathList | None, results: str) -> InputList:
    """Find the inputs of arguments and a list, in order, each real path once."""
    folder = os.path.realpath(results)
    tops = {os.path.realpath(name) for name in [*named, *(listed.paths if listed else ())]}
    search = _Search(None if folder in tops else folder)
    matches: dict[str, _Match] = {}
    rows: list[tuple[str, Mapping[str, str]]] = []
    cells: Iterable[Mapping[str, str]] = [{}] * len(named)
    names = list(named)
    if listed is not None:
        names, cells = [*names, *listed.paths], [*cells, *listed.cells]
    for name, row in zip(names, cells, strict=True):
        for match in search.resolve(name):
            matches.setdefault(match.real, match)
            rows.append((match.real, row))
    indices = {real: index for index, real in enumerate(matches)}
    return InputList(
        tuple(_inputs(matches.values(), _base(search.anchors))),
        tuple((indices[real], row) for real, row in rows),
        () if listed is None else listed.columns,
    )


def _base(anchors: set[str]) -> str:
    """Return the folder that outputs mirror: the current one, or else the deepest with all inputs in it."""
    try:
        shared = os.path.commonpath([os.getcwd(), *anchors])
        return os.getcwd() if shared == os.getcwd() else os.path.commonpath(list(anchors))
    except ValueError as failure:  # Windows: on several drives
        raise InputError("the inputs are on several drives: run one batch for each") from failure


def _inputs(matches: Iterable[_Match], base: str) -> Iterator[Input]:
    stems, names = Stems(), Counter[str]()
    for match in matches:
        if is_url(match.path):
            name, parts = remote.redacted(match.path), remote.path_parts(match.path)
            if query := "&".join(map(_query, _links(match.path))):  # it may contain secrets
                name, parts = name + _mark(query), (*parts[:-1], parts[-1] + _mark(query))
        else:
            name = os.path.relpath(match.path, base).replace(os.sep, "/")
            parts = tuple(name.split("/"))
        names[encodable(name)] += 1
        if (number := names[encodable(name)]) > 1:  # they differ in parts that names do not contain
            name += f"~{number}"
        yield Input(match.path, name, stems.take(parts), match.size, match.error)


def _links(url: str) -> list[Link]:
    return [link for link in urls.chain(url) if isinstance(link, Link)]


def _query(link: Link) -> str:
    """Return the query of a link, without the parameters of its signature."""
    query = link.query.partition("#")[0] if link.scheme in urls.WEB else link.query
    pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    if any(name.lower() in SIGNATURES for name, _ in pairs):
        pairs = [(name, value) for name, value in pairs if not SIGNED.fullmatch(name.lower())]
    return urlencode(pairs)


def _identity(url: str) -> str:
    """Return a key that is equal for URLs of the same video."""
    parts = [
        (link.scheme, link.user.partition(":")[0], link.host, link.path, _query(link)) for link in _links(url)
    ]
    return repr(parts)


def _mark(text: str) -> str:
    return f"~{hashlib.sha256(os.fsencode(text)).hexdigest()[:12]}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _entry_size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a dangling link: reading it reports the error
        return 0


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
