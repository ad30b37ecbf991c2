"""Span results on disk: written whole or not at all, checked when read, gone when no longer needed.

They hold where faces were, whose they may be and what the nets said, never pictures (but for `extract`'s
crops): that is biometric data still, so that it is deleted when a run succeeds unless it is to be kept. What
is kept stays within a limit: the videos that were used longest ago go first, and none that a run is using.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from fervid import files
from fervid.errors import OutputError, UsageError
from fervid.files import Lock
from fervid.types import Array

VERSION = 5  # of what the files hold; part of every key
DIGEST = 32  # bytes of a SHA-256, with which every file begins
PLACE = "_place"  # the array that tells which entry a file is

FOOTAGE = "footage"  # the folder of strips that training cuts: it stays until it is deleted by hand
LIMIT = 20 * 10**9  # bytes of span results that are kept, where FERVID_CACHE_LIMIT says nothing
TRIM_EVERY = 100  # videos between two looks at the size of everything
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

_KEY = re.compile(r"[0-9a-f]{32}")
_OURS = re.compile(r"\.lock|.+\.(span|npy|part)")  # what a key's folder, or the footage, may hold
_held: dict[Path, list[Lock]] = {}  # by the key's folder
_holds = count()


def default_folder() -> Path:
    """FERVID_CACHE_DIR, or where this platform keeps caches."""
    if own := os.environ.get("FERVID_CACHE_DIR"):
        return Path(own)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fervid"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "fervid" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fervid"


@dataclass(frozen=True)
class Store:
    """A folder of span results, and whether they outlive a run that succeeded, or one that did not."""

    folder: Path
    keep: bool = False
    resume: bool = True

    @classmethod
    def default(cls, keep: bool = False) -> Store:
        """The user's own cache: an interrupted run goes on from it."""
        return cls(default_folder(), keep)

    @classmethod
    def temporary(cls) -> Store:
        """A folder of one run, deleted with it."""
        return cls(Path(tempfile.gettempdir()) / f"fervid-{secrets.token_hex(8)}", resume=False)

    def entry(self, key: str, start: int, stop: int | None) -> Path:
        """Where the result of a span lies."""
        return self.folder / key / f"{start}-{'end' if stop is None else stop}.span"

    def hold(self, key: str) -> None:
        """Say that a run uses these results: until it forgets them, nobody else deletes them."""
        if self.resume and next(_holds) % TRIM_EVERY == 0:
            self.trim(limit())
        folder = self.folder / key
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.utime(folder)
            lock = files.take_lock(folder / ".lock", shared=True)
        except OSError:  # no room, no right: writing a result will say so
            return
        if lock is not None:
            _held.setdefault(folder, []).append(lock)

    def forget(self, key: str, succeeded: bool) -> None:
        """Delete what a run left, where it is of no more use to this run or another."""
        folder = self.folder / key
        if held := _held.pop(folder, []):
            held.pop().release()
            if held:
                _held[folder] = held
        if not self.resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif not _results(folder) or (succeeded and not self.keep):
            _delete(folder)

    def trim(self, limit: int) -> None:
        """Delete the videos used longest ago, until those that stay take no more than `limit` bytes."""
        found = [(folder.stat().st_mtime, folder, _size(folder)) for folder in _keys(self.folder)]
        total = sum(size for _, _, size in found)
        for _, folder, size in sorted(found):
            if total <= limit:
                return
            if _delete(folder):
                total -= size


def limit() -> int:
    """How many bytes of span results are kept: FERVID_CACHE_LIMIT (500MB, 20GB), or the default."""
    text = os.environ.get("FERVID_CACHE_LIMIT", "").strip()
    if not text:
        return LIMIT
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.lower())
    if found is None:
        raise UsageError(f"FERVID_CACHE_LIMIT={text} is no size: write bytes, or 500MB, 20GB")
    return int(float(found[1]) * UNITS[found[2]])


@dataclass(frozen=True)
class Usage:
    """What a cache folder holds."""

    videos: int  # of which there are span results
    in_use: int  # of those, by a run under way
    spans: int
    span_bytes: int
    footage_bytes: int


def usage(folder: Path) -> Usage:
    """Count what is there; nothing is deleted."""
    keys = [key for key in _keys(folder) if _results(key)]
    return Usage(
        videos=len(keys),
        in_use=sum(_is_used(key) for key in keys),
        spans=sum(len(_results(key)) for key in keys),
        span_bytes=sum(map(_size, keys)),
        footage_bytes=_size(folder / FOOTAGE),
    )


def clear(folder: Path, spans: bool = True, footage: bool = True) -> None:
    """Delete what fervid keeps there, and nothing else; what a run is using stays."""
    if spans:
        for key in _keys(folder):
            _delete(key)
    place = folder / FOOTAGE
    if footage and place.is_dir() and not place.is_symlink():
        _remove(place)


def _keys(folder: Path) -> Iterator[Path]:
    """The folders of span results; anything else that lies beside them is not ours."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if _KEY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)


def _results(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".span")]
    except OSError:
        return []


def _size(folder: Path) -> int:
    """Bytes of the files in a folder, as far as they are still there."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                total += entry.stat(follow_symlinks=False).st_size if entry.is_file() else 0
    except OSError:
        return total
    return total


def _is_used(folder: Path) -> bool:
    if not (folder / ".lock").exists():
        return False
    lock = files.take_lock(folder / ".lock")
    if lock is None:
        return True
    lock.release()
    return False


def _delete(folder: Path) -> bool:
    """Delete a key's folder; False where a run uses it."""
    if not folder.is_dir():
        return True
    try:
        lock = files.take_lock(folder / ".lock")
    except OSError:  # deleted by another, or not ours to delete
        return not folder.is_dir()
    if lock is None:
        return False
    _remove(folder)
    lock.release()
    return not folder.exists()


def _remove(folder: Path) -> None:
    """Delete what is ours in a folder, and the folder where nothing else is left in it."""
    for name in os.listdir(folder):
        if _OURS.fullmatch(name):
            (folder / name).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError as failure:  # somebody keeps something of theirs there, or has just come back
        if failure.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise


def write(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a result, whole or not at all, after the digest of what follows."""
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays, **{PLACE: np.array(_place(path))})
    try:
        try:
            _write_whole(path, packed)
        except FileNotFoundError:  # another run has just deleted the folder
            _write_whole(path, packed)
    except OSError as failure:
        advice = "free some space" if failure.errno == errno.ENOSPC else "check its access rights"
        raise OutputError(
            f"cannot write to the cache {path.parent.parent}: {failure.strerror}; "
            f"{advice}, or set FERVID_CACHE_DIR"
        ) from failure


def _write_whole(path: Path, packed: io.BytesIO) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with files.whole(path) as stream:
        stream.write(hashlib.sha256(packed.getbuffer()).digest())
        stream.write(packed.getbuffer())


def _place(path: Path) -> str:
    """What an entry is called: a file that was moved or copied to another's name is not that other."""
    return f"{path.parent.name}/{path.name}"


def read(path: Path) -> dict[str, Array] | None:
    """A result, or None where there is none that is whole."""
    try:
        content = path.read_bytes()
    except OSError:  # none there; or one that cannot be read, and writing it again will tell
        return None
    # A flipped bit in a zip's directory can raise nearly anything, so that its own checksums are not enough.
    if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
        path.unlink(missing_ok=True)  # cut off, damaged, or not ours
        return None
    with np.load(io.BytesIO(content[DIGEST:]), allow_pickle=False) as pack:
        arrays = {name: pack[name] for name in pack.files}
    if str(arrays.pop(PLACE, "")) != _place(path):
        path.unlink(missing_ok=True)  # another's
        return None
    return arrays
