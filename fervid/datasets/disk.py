"""What lies in a dataset's folders: entries without debris, files that are none, and words for both."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from fervid.errors import InputError
from fervid.files import STILLS, natural, shown

# fmt: off
ARCHIVES = frozenset({".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip"})
DEBRIS = frozenset({"$recycle.bin", "@eadir", "__macosx", "__pycache__", "desktop.ini", "lost+found",
                    "system volume information", "thumbs.db"})
# fmt: on

POINTER_HEAD = b"version https://git-lfs"
POINTER_SIZE = 1024  # bytes that no pointer of Git LFS exceeds
NAMED = 6  # entries that a message about a folder names


def place(path: str) -> Path:
    """Where a path leads; a ~ at its head is the person's home, which no shell expands after a colon."""
    return Path(path) if os.path.exists(path) else Path(os.path.expanduser(path))


def folder(path: str, expected: str) -> Path:
    """The folder at `path`, or an error that says what should be there."""
    found = place(path)
    if not found.exists():
        raise InputError(f"there is no folder {shown(path)}; expected {expected}")
    if not found.is_dir():
        hint = "; unpack it and name the folder" if found.suffix.lower() in ARCHIVES else ""
        raise InputError(f"{shown(path)} is a file; expected {expected}{hint}")
    return Path(os.path.abspath(found))


def file(path: str | Path, expected: str) -> Path:
    """The whole file at `path`, or an error that says what should be there."""
    found = place(str(path))
    if found.is_dir():
        raise InputError(f"{shown(path)} is a folder; expected {expected}; {found_in(found)}")
    wrong = fault(found)
    if wrong is not None:
        raise InputError(f"{shown(path)} is {wrong}; expected {expected}")
    return found


def contents(path: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the files of a folder, each in natural order (2 before 10), without debris."""
    try:
        with os.scandir(path) as entries:
            kept = [e for e in entries if not e.name.startswith(".") and e.name.lower() not in DEBRIS]
    except PermissionError as failure:
        raise InputError(
            f"no permission to read the folder {shown(path)}; change its access rights"
        ) from failure
    kept.sort(key=lambda entry: natural(entry.name))
    folders = [Path(entry.path) for entry in kept if entry.is_dir()]
    files = [Path(entry.path) for entry in kept if not entry.is_dir()]
    return folders, files


def folders(path: Path) -> list[Path]:
    """The folders of a folder."""
    return contents(path)[0]


def files(path: Path) -> list[Path]:
    """The files of a folder."""
    return contents(path)[1]


def pictures(path: Path) -> list[Path]:
    """The pictures of a folder, in the order in which they are read as a video."""
    return [file for file in files(path) if file.suffix.lower() in STILLS]


def tree(path: Path, depth: int) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder down to `depth` below `path`, with its files."""
    below, found = contents(path)
    yield path, found
    if depth:
        for each in below:
            yield from tree(each, depth - 1)


def named(path: Path, name: str) -> Path | None:
    """The folder `name`, which may hold slashes, below `path`, in any case."""
    for piece in name.split("/"):
        below = folders(path) if path.is_dir() else []
        match = next((each for each in below if each.name.casefold() == piece.casefold()), None)
        if match is None:
            return None
        path = match
    return path


def fault(path: Path) -> str | None:
    """Why there is nothing to decode at `path`; None where it looks whole."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            found = pictures(path)
            return next(filter(None, map(fault, found)), None) if found else "without pictures"
        if status.st_size == 0:
            return "empty"
        if status.st_size <= POINTER_SIZE and is_pointer(path):
            return "a Git LFS pointer (run `git lfs pull` in its folder)"
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except (OSError, InputError):
        return "unreadable"
    return None


def is_pointer(path: Path) -> bool:
    """Whether a file only names what Git LFS would fetch."""
    with open(path, "rb") as stream:
        return stream.read(len(POINTER_HEAD)) == POINTER_HEAD


def found_in(path: Path) -> str:
    """What a folder holds, for a message."""
    below, there = contents(path)
    names = [f"{shown(each.name)}/" for each in below] + [shown(each.name) for each in there]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"found {', '.join(names[:NAMED])}{more}" if names else "found nothing in it"
