"""Span results on disk: written whole or not at all, checked when read, gone when no longer needed.

They hold where faces were, whose they may be and what the nets said, never pictures (but for `extract`'s
crops): that is biometric data still, so that it is deleted when a run succeeds unless it is to be kept. What
is kept stays within a limit: the videos that were used longest ago go first, and none that a run is using.

A process that was killed may take its time to end, and its workers longer. What they hold then counts for
nothing, and what they still write must not outlast the run that takes over. So a worker holds in the name of
its program, no worker makes a folder again that was deleted, and a folder is renamed before it is emptied.
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
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing import parent_process
from pathlib import Path

import numpy as np

from fervid import files
from fervid.errors import OutputError, UsageError, WorkerError
from fervid.files import Lock
from fervid.types import Array

VERSION = 5  # of what the files hold; part of every key
DIGEST = 32  # bytes of a SHA-256, with which every file begins
PLACE = "_place"  # the array that tells which entry a file is

FOOTAGE = "footage"  # the folder of strips that training cuts: it stays until it is deleted by hand
LIMIT = 20 * 10**9  # bytes of span results that are kept, where FERVID_CACHE_LIMIT says nothing
TRIM_EVERY = 100  # videos between two looks at the size of everything
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

GONE = ".gone"  # behind the name of a key's folder that is being deleted
LENDER = ".lender"  # behind the name of a program whose workers use the store; a file that it has locked
AT_ONCE = 5.0  # seconds in which whoever deletes a folder is done with it
LOOKS = 5  # at a lock, until it counts as held: others may be looking at the same moment

_KEY = re.compile(r"[0-9a-f]{32}")
_OURS = re.compile(r".*\.lock|.+\.(span|npy|part)")  # what a key's folder, or the footage, may hold
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
    lender: str = ""  # the program in whose name a worker uses it

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

    @contextmanager
    def lent(self) -> Iterator[Store]:
        """The same store for workers of this process: what they hold is free when this process has ended."""
        _sweep(self.folder)
        name = secrets.token_hex(8)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            while (lock := files.take_lock(self.folder / f".{name}{LENDER}")) is None:
                time.sleep(0.01)  # somebody looks whether it is free
        except OSError as failure:
            raise _failure(self.folder, failure) from failure
        try:
            yield replace(self, keep=True, lender=name)
        finally:
            lock.release(remove=True)

    def hold(self, key: str) -> None:
        """Say that a run uses these results: until it forgets them, nobody else deletes them."""
        if self.resume and next(_holds) % TRIM_EVERY == 0:
            self.trim(limit())
        folder = self.folder / key
        until = time.monotonic() + AT_ONCE
        while (lock := self._hold(folder)) is None and time.monotonic() < until:
            time.sleep(0.01)  # somebody is deleting it
        if lock is not None:
            _held.setdefault(folder, []).append(lock)

    def _hold(self, folder: Path) -> Lock | None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as failure:
            raise _failure(self.folder, failure) from failure
        try:
            os.utime(folder)
            lock = files.take_lock(folder / f"{self.lender and '.'}{self.lender}.lock", shared=True)
        except FileNotFoundError:
            return None
        except OSError:  # no right: writing a result will say so
            return Lock(folder, None)
        # Asked when the folder is there: whoever goes on once the program is dead finds it, and deletes it.
        if self.lender and _is_orphan():
            if lock is not None:
                lock.release(remove=True)
            with suppress(OSError):  # results of an earlier run lie there
                folder.rmdir()
            raise WorkerError("the program that this process works for has ended")
        return lock

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
        _sweep(self.folder)
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
        _sweep(folder)
        for key in _keys(folder):
            _delete(key)
    place = folder / FOOTAGE
    if footage and place.is_dir() and not place.is_symlink():
        _remove(place)


def _keys(folder: Path) -> Iterator[Path]:
    """The folders of span results; anything else that lies beside them is not ours."""
    for entry in _entries(folder):
        if _KEY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []


def _sweep(folder: Path) -> None:
    """Delete what killed programs left that nobody goes on with."""
    for entry in _entries(folder):
        name, _, end = entry.name.rpartition(".")
        if f".{end}" == GONE and _KEY.fullmatch(name) and entry.is_dir(follow_symlinks=False):
            _remove(Path(entry.path))
        elif f".{end}" == LENDER and entry.is_file(follow_symlinks=False):
            _is_free(Path(entry.path))


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
    if not any(folder.glob("*.lock")):
        return False
    try:
        taken = _take_all(folder)
    except OSError:
        return False
    for lock in taken or ():
        lock.release()
    return taken is None


def _take_all(folder: Path) -> list[Lock] | None:
    """Every lock on a key's folder, so that nobody holds it; None where a run does that lives."""
    taken: list[Lock] = []
    try:
        for path in [folder / ".lock", *folder.glob(".*.lock")]:
            lock = _take(path)
            if lock is not None:
                taken.append(lock)
            elif path.name == ".lock" or not _is_free(folder.parent / f"{path.stem}{LENDER}"):
                break
        else:
            found, taken = taken, []
            return found
    finally:
        for lock in taken:
            lock.release()
    return None


def _take(path: Path) -> Lock | None:
    """A lock for oneself; who only looks whether it is free is waited for."""
    for is_again in range(LOOKS):
        if is_again:
            time.sleep(0.01)
        if (lock := files.take_lock(path)) is not None:
            return lock
    return None


def _is_free(lender: Path) -> bool:
    """Whether a program that lent the store has ended; its file goes then."""
    try:
        lock = _take(lender) if lender.exists() else Lock(lender, None)
        if lock is not None:
            lock.release(remove=True)
    except OSError:
        return True
    return lock is not None


def _is_orphan() -> bool:
    parent = parent_process()
    return parent is not None and not parent.is_alive()


def _delete(folder: Path) -> bool:
    """Delete a key's folder; False where a run uses it."""
    gone = folder.with_name(folder.name + GONE)
    if gone.is_dir():
        _remove(gone)  # whoever began it was killed
    if not folder.is_dir():
        return True
    try:
        taken = _take_all(folder)
    except OSError:  # deleted by another, or not ours to delete
        return not folder.is_dir()
    if taken is None:
        return False
    try:
        if all(_OURS.fullmatch(name) for name in os.listdir(folder)):
            # Whoever comes now makes another, and what still writes there does so in this one.
            os.replace(folder, gone)
            _remove(gone)
        else:
            _remove(folder)
    finally:
        for lock in taken:
            lock.release()
    return not folder.exists()


def _remove(folder: Path) -> None:
    """Delete what is ours in a folder, and the folder where nothing else is left in it."""
    while folder.is_dir():
        for name in (names := [name for name in os.listdir(folder) if _OURS.fullmatch(name)]):
            (folder / name).unlink(missing_ok=True)
        try:
            folder.rmdir()
        except OSError as failure:
            if failure.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
            if not names:  # somebody keeps something of theirs there
                return


def write(path: Path, arrays: Mapping[str, Array], makes_folder: bool = True) -> bool:
    """Write a result, whole or not at all, after the digest of what follows.

    False where its folder is gone, and is not to be made again.
    """
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays, **{PLACE: np.array(_place(path))})
    for is_last in (False, True):
        try:
            if makes_folder:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_whole(path, packed)
            break
        except OSError as failure:
            if not isinstance(failure, FileNotFoundError) or (makes_folder and is_last):
                raise _failure(path.parent.parent, failure) from failure
            if not makes_folder:
                return False
            # Another run has just deleted the folder: once more.
    return True


def _failure(folder: Path, failure: OSError) -> OutputError:
    advice = "free some space" if failure.errno == errno.ENOSPC else "check its access rights"
    return OutputError(
        f"cannot write to the cache {folder}: {failure.strerror}; {advice}, or set FERVID_CACHE_DIR"
    )


def _write_whole(path: Path, packed: io.BytesIO) -> None:
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
