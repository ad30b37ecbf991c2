"""Files and folders of datasets: list them without debris, detect damage, and describe them in errors."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from fervid.errors import InputError
from fervid.files import STILLS, display_name, natural_key, no_permission

# fmt: off
ARCHIVES = frozenset({".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip"})
DEBRIS = frozenset({"$recycle.bin", "@eadir", "__macosx", "__pycache__", "desktop.ini", "lost+found",
                    "system volume information", "thumbs.db"})
# fmt: on

POINTER_HEAD = b"version https://git-lfs"
POINTER_SIZE = 1024  # most bytes of a Git LFS pointer
LONGEST_LINE = 1 << 20  # characters of a table's line
NAMED = 6  # most entries in a message about a folder


def expand(path: str) -> Path:
    """Return a path with a leading ~ expanded: shells do not expand it after a colon."""
    return Path(path) if os.path.exists(path) else Path(os.path.expanduser(path))


def folder(path: str, expected: str) -> Path:
    """Return the absolute path of a folder; raise InputError, with the expected layout, if it is none."""
    root = expand(path)
    if not root.exists():
        raise InputError(f"there is no folder {display_name(path)}; expected {expected}")
    if not root.is_dir():
        hint = "; unpack it and give the folder" if root.suffix.lower() in ARCHIVES else ""
        raise InputError(f"{display_name(path)} is a file; expected {expected}{hint}")
    return Path(os.path.abspath(root))


def file(path: str | Path, expected: str) -> Path:
    """Return the path of a file; raise InputError, with the expected layout, if it is missing or damaged."""
    expanded = expand(str(path))
    if expanded.is_dir():
        raise InputError(f"{display_name(path)} is a folder; expected {expected}; {listing(expanded)}")
    wrong = undecodable_reason(expanded)
    if wrong is not None:
        raise InputError(f"{display_name(path)} is {wrong}; expected {expected}")
    return expanded


def contents(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files in a folder, in natural order (2 before 10), without debris."""
    try:
        with os.scandir(path) as entries:
            kept = [e for e in entries if not e.name.startswith(".") and e.name.lower() not in DEBRIS]
    except PermissionError as failure:
        raise InputError(no_permission(path)) from failure
    kept.sort(key=lambda entry: natural_key(entry.name))
    folders = [Path(entry.path) for entry in kept if entry.is_dir()]
    files = [Path(entry.path) for entry in kept if not entry.is_dir()]
    return folders, files


def folders(path: Path) -> list[Path]:
    """Return the folders in a folder."""
    return contents(path)[0]


def files(path: Path) -> list[Path]:
    """Return the files in a folder."""
    return contents(path)[1]


def pictures(path: Path) -> list[Path]:
    """Return the pictures in a folder, in the order in which they are read as a video."""
    return [file for file in files(path) if file.suffix.lower() in STILLS]


def tree(path: Path, depth: int) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder down to `depth` below `path`, with its files."""
    below, own = contents(path)
    yield path, own
    if depth:
        for nested in below:
            yield from tree(nested, depth - 1)


def find_path(path: Path, name: str) -> Path | None:
    """Return the folder `name` (which may have slashes) below `path`, in upper or lower case, or None."""
    for piece in name.split("/"):
        below = folders(path) if path.is_dir() else []
        match = next((entry for entry in below if entry.name.casefold() == piece.casefold()), None)
        if match is None:
            return None
        path = match
    return path


def undecodable_reason(path: Path) -> str | None:
    """Return the reason why `path` cannot be decoded, or None if it looks complete."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            stills = pictures(path)
            return next(filter(None, map(undecodable_reason, stills)), None) if stills else "without pictures"
        if not stat.S_ISREG(status.st_mode):
            return "a pipe or a device"
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
    """Return whether a file is a Git LFS pointer."""
    with open(path, "rb") as stream:
        return stream.read(len(POINTER_HEAD)) == POINTER_HEAD


def lines(stream: TextIO) -> Iterator[str]:
    """Yield the lines of a table; raise csv.Error for a line without an end."""
    while line := stream.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise csv.Error(f"a line has more than {LONGEST_LINE:,} characters")
        yield line


def listing(path: Path) -> str:
    """Return a description of the contents of a folder, for errors."""
    below, own = contents(path)
    names = [f"{display_name(entry.name)}/" for entry in below] + [display_name(entry.name) for entry in own]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"found {', '.join(names[:NAMED])}{more}" if names else "found nothing in it"
