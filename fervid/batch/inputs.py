"""Which inputs a batch has: folders are searched, each file is taken once, each has outputs of its own."""

from __future__ import annotations

import glob
import hashlib
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fervid.batch.lists import Listed
from fervid.errors import InputError
from fervid.files import STILLS, VIDEOS
from fervid.video import remote

LONGEST = 200  # bytes of a name; file systems take 255, and a format's suffix comes behind
RESERVED = (
    "manifest",
    "emotions",
    "predictions",
    "accuracy",
    ".fervid-batch",
)  # what the folder itself holds


@dataclass(frozen=True)
class Input:
    """One thing to analyse."""

    path: str  # as this process finds it; or a URL
    name: str  # from where outputs are mirrored: what manifests and messages call it
    place: str  # of its outputs below the folder of results, without a format's suffix
    size: int = 0  # bytes, as far as they are known
    trouble: str = ""  # why it cannot be analysed


@dataclass(frozen=True)
class Chosen:
    """The inputs of a batch, and the rows of the list that named them."""

    inputs: tuple[Input, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]  # place of the input, further cells
    columns: tuple[str, ...] = ()  # of these cells

    @property
    def repeats(self) -> int:
        """How often an input was named again."""
        return len(self.rows) - len(self.inputs)


@dataclass
class _Found:
    """A path as it was found, before all are known."""

    path: str
    real: str
    size: int = 0
    trouble: str = ""


@dataclass
class _Search:
    skip: str | None  # the folder of results, if it lies in what is searched
    anchors: set[str] = field(default_factory=set)  # folders that hold what was named

    def named(self, name: str) -> Iterator[_Found]:
        """What an argument stands for: a file, a URL, the videos of a folder, or what a pattern matches."""
        if remote.is_remote(name) and not os.path.lexists(name):
            yield _Found(name, name)
            return
        if not os.path.lexists(name) and glob.has_magic(name):
            matches = sorted(glob.glob(name, recursive=True))
            if not matches:
                yield self._trouble(name, "no file matches this pattern")
            for match in matches:
                yield from self.named(match)
            return
        path = os.path.abspath(name)
        self.anchors.add(os.path.dirname(path))
        if not os.path.isdir(path):
            yield _Found(path, os.path.realpath(path), _size(path))
            return
        found = list(self._walk(path, os.path.realpath(path), set()))
        yield from found or [self._trouble(name, "the folder holds no videos")]

    def _trouble(self, name: str, reason: str) -> _Found:
        path = os.path.abspath(name)
        self.anchors.add(os.path.dirname(path))
        return _Found(path, path, 0, reason)

    def _walk(self, path: str, real: str, seen: set[str]) -> Iterator[_Found]:
        """Videos in the order of their names, links followed, no folder twice; a folder of stills is one."""
        if real in seen or real == self.skip:
            return
        seen.add(real)
        try:
            entries = sorted(os.scandir(path), key=lambda entry: os.fsencode(entry.name))
        except OSError as failure:
            yield _Found(path, real, 0, f"the folder cannot be read: {failure.strerror}")
            return
        entries = [entry for entry in entries if not entry.name.startswith(".")]
        folders = [entry for entry in entries if _is_folder(entry)]
        suffixes = [os.path.splitext(entry.name)[1].lower() for entry in entries]
        if not folders and not VIDEOS & set(suffixes) and STILLS & set(suffixes):
            yield _Found(path, real, sum(map(_entry_size, entries)))
            return
        for entry, suffix in zip(entries, suffixes, strict=True):
            own = os.path.realpath(entry.path) if entry.is_symlink() else os.path.join(real, entry.name)
            if _is_folder(entry):
                yield from self._walk(entry.path, own, seen)
            elif suffix in VIDEOS:
                yield _Found(entry.path, own, _entry_size(entry))


def choose(named: Sequence[str], listed: Listed | None, results: str) -> Chosen:
    """The inputs that names and a list stand for, each resolved path once, in order."""
    folder = os.path.realpath(results)
    tops = {os.path.realpath(name) for name in [*named, *(listed.paths if listed else ())]}
    search = _Search(None if folder in tops else folder)
    found: dict[str, _Found] = {}
    rows: list[tuple[str, Mapping[str, str]]] = []
    cells: Iterable[Mapping[str, str]] = [{}] * len(named)
    names = list(named)
    if listed is not None:
        names, cells = [*names, *listed.paths], [*cells, *listed.cells]
    for name, row in zip(names, cells, strict=True):
        for one in search.named(name):
            found.setdefault(one.real, one)
            rows.append((one.real, row))
    at = {real: place for place, real in enumerate(found)}
    return Chosen(
        tuple(_placed(found.values(), _base(search.anchors))),
        tuple((at[real], row) for real, row in rows),
        () if listed is None else listed.columns,
    )


def _base(anchors: set[str]) -> str:
    """The folder that outputs are mirrored from: where we are if it holds all, else the deepest that does."""
    try:
        shared = os.path.commonpath([os.getcwd(), *anchors])
        return os.getcwd() if shared == os.getcwd() else os.path.commonpath(list(anchors))
    except ValueError as failure:  # Windows: on several drives
        raise InputError("the inputs lie on several drives: run one batch for each") from failure


def _placed(found: Iterable[_Found], base: str) -> Iterator[Input]:
    taken = {name.casefold() for name in RESERVED}
    for one in found:
        if remote.is_remote(one.path):
            name, parts = remote.redacted(one.path), remote.path_parts(one.path)
        else:
            name = os.path.relpath(one.path, base).replace(os.sep, "/")
            parts = tuple(name.split("/"))
        short = "/".join(map(_short, parts))
        place, number = short, 2
        # Folded: what differs in case or in the composition of its accents is one file on some systems.
        while unicodedata.normalize("NFC", place).casefold() in taken:
            place, number = f"{short}.{number}", number + 1
        taken.add(unicodedata.normalize("NFC", place).casefold())
        yield Input(one.path, name, place, one.size, one.trouble)


def _short(name: str) -> str:
    """A name that leaves room for a suffix, still one's own."""
    raw = os.fsencode(name)
    if len(raw) <= LONGEST:
        return name
    cut = raw[: LONGEST - 13].decode("utf-8", "ignore")
    return f"{cut}~{hashlib.sha256(raw).hexdigest()[:12]}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _entry_size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a dangling link: reading it will tell
        return 0


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
