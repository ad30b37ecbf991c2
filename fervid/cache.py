"""Span results on disk: written atomically, checked when read, deleted when no longer needed.

They contain faces' positions and descriptors and the nets' logits, and no pictures except `extract`'s crops.
This is biometric data, so a run deletes it when it succeeds, unless it is to be kept. What is kept is limited
in size: the videos used longest ago are deleted first, and none that a run is using.

A killed process may take some time to end, and its workers longer. Their locks must not count then, and what
they still write must not outlast the run that takes over. So the locks of workers belong to their program,
workers do not recreate a deleted folder, and a folder is renamed before it is emptied.
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

VERSION = 5  # of the files' content; part of every key
DIGEST = 32  # bytes of a SHA-256, at the start of every file
NAME = "_place"  # the array with the name of the file's entry

FOOTAGE = "footage"  # the folder of strips that training cuts; only the user deletes it
LIMIT = 20 * 10**9  # bytes of span results that are kept unless FERVID_CACHE_LIMIT is set
TRIM_EVERY = 100  # videos between two checks of the total size
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

GONE = ".gone"  # suffix of a key's folder that is being deleted
LENDER = ".lender"  # suffix of a file that a program has locked while its workers use the store
DELETED_WITHIN = 5.0  # seconds that deleting a folder takes at most
ATTEMPTS = 5  # at a lock until it counts as taken: another process may just be checking it

_KEY = re.compile(r"[0-9a-f]{32}")
_OURS = re.compile(r".*\.lock|.+\.(span|npy|part)")  # files in a key's folder or in the footage
_held: dict[Path, list[Lock]] = {}  # by the folder of the key
_holds = count()


def default_folder() -> Path:
    """Return FERVID_CACHE_DIR, or the platform's folder for caches."""
    if own := os.environ.get("FERVID_CACHE_DIR"):
        return Path(own)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fervid"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "fervid" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fervid"


@dataclass(frozen=True)
class Store:
    """A folder of span results, and whether they outlive a successful (`keep`) or failed (`resume`) run."""

    folder: Path
    keep: bool = False
    resume: bool = True
    lender: str = ""  # names the program that a worker belongs to

    @classmethod
    def default(cls, keep: bool = False) -> Store:
        """Return the user's cache, from which an interrupted run resumes."""
        return cls(default_folder(), keep)

    @classmethod
    def temporary(cls) -> Store:
        """Return a folder for one run, deleted at its end."""
        return cls(Path(tempfile.gettempdir()) / f"fervid-{secrets.token_hex(8)}", resume=False)

    def entry(self, key: str, start: int, stop: int | None) -> Path:
        """Return the path of a span's result."""
        return self.folder / key / f"{start}-{'end' if stop is None else stop}.span"

    @contextmanager
    def lent(self) -> Iterator[Store]:
        """Yield this store for workers: their locks count only as long as this process lives."""
        _sweep(self.folder)
        name = secrets.token_hex(8)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            while (lock := files.take_lock(self.folder / f".{name}{LENDER}")) is None:
                time.sleep(0.01)  # another process is checking the lock
        except OSError as failure:
            raise _failure(self.folder, failure) from failure
        try:
            yield replace(self, keep=True, lender=name)
        finally:
            lock.release(remove=True)

    def hold(self, key: str) -> None:
        """Lock the results of a key: no other run deletes them until this one forgets them."""
        if self.resume and next(_holds) % TRIM_EVERY == 0:
            self.trim(limit())
        folder = self.folder / key
        until = time.monotonic() + DELETED_WITHIN
        while (lock := self._hold(folder)) is None and time.monotonic() < until:
            time.sleep(0.01)  # another run is deleting it
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
        except OSError:  # no permission: writing a result will report it
            return Lock(folder, None)
        # Checked after making the folder: a run that takes over from a dead program finds and deletes it.
        if self.lender and _is_orphan():
            if lock is not None:
                lock.release(remove=True)
            with suppress(OSError):  # it contains results of an earlier run
                folder.rmdir()
            raise WorkerError("the program of this worker process has ended")
        return lock

    def forget(self, key: str, succeeded: bool) -> None:
        """Delete the results of a run unless they are to be kept or another run uses them."""
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
        """Delete the videos used longest ago until the others take at most `limit` bytes."""
        _sweep(self.folder)
        videos = [(folder.stat().st_mtime, folder, _size(folder)) for folder in _keys(self.folder)]
        total = sum(size for _, _, size in videos)
        for _, folder, size in sorted(videos):
            if total <= limit:
                return
            if _delete(folder):
                total -= size


def limit() -> int:
    """Return how many bytes of span results are kept: FERVID_CACHE_LIMIT (500MB, 20GB), or LIMIT."""
    text = os.environ.get("FERVID_CACHE_LIMIT", "").strip()
    if not text:
        return LIMIT
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.lower())
    if match is None:
        raise UsageError(f"FERVID_CACHE_LIMIT={text} is not a size: write bytes, or 500MB, 20GB")
    return int(float(match[1]) * UNITS[match[2]])


@dataclass(frozen=True)
class Usage:
    """The content of a cache folder."""

    videos: int  # that have span results
    in_use: int  # of these videos, by a run
    spans: int
    span_bytes: int
    footage_bytes: int


def usage(folder: Path) -> Usage:
    """Return the content of a cache folder; nothing is deleted."""
    keys = [key for key in _keys(folder) if _results(key)]
    return Usage(
        videos=len(keys),
        in_use=sum(_is_used(key) for key in keys),
        spans=sum(len(_results(key)) for key in keys),
        span_bytes=sum(map(_size, keys)),
        footage_bytes=_size(folder / FOOTAGE),
    )


def clear(folder: Path, spans: bool = True, footage: bool = True) -> None:
    """Delete fervid's files in a cache folder, except those that a run is using."""
    if spans:
        _sweep(folder)
        for key in _keys(folder):
            _delete(key)
    strips = folder / FOOTAGE
    if footage and strips.is_dir() and not strips.is_symlink():
        _remove(strips)


def _keys(folder: Path) -> Iterator[Path]:
    """Yield the folders of span results; anything else in the folder is not fervid's."""
    for entry in _entries(folder):
        if _KEY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []


def _sweep(folder: Path) -> None:
    """Delete what killed programs left behind that no run resumes."""
    for entry in _entries(folder):
        name, _, end = entry.name.rpartition(".")
        if f".{end}" == GONE and _KEY.fullmatch(name) and entry.is_dir(follow_symlinks=False):
            _remove(Path(entry.path))
        elif f".{end}" == LENDER and entry.is_file(follow_symlinks=False):
            _is_free(Path(entry.path))


def _results(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.name.endswith(".span")]


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder; files that vanish meanwhile do not count."""
    total = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            total += entry.stat(follow_symlinks=False).st_size if entry.is_file() else 0
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
    """Take every lock on a key's folder; return None if a living run has one."""
    taken: list[Lock] = []
    try:
        for path in [folder / ".lock", *folder.glob(".*.lock")]:
            lock = _take(path)
            if lock is not None:
                taken.append(lock)
            elif path.name == ".lock" or not _is_free(folder.parent / f"{path.stem}{LENDER}"):
                break
        else:
            kept, taken = taken, []  # not released below
            return kept
    finally:
        for lock in taken:
            lock.release()
    return None


def _take(path: Path) -> Lock | None:
    """Take an exclusive lock; wait for processes that only check whether it is free."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.01)
        if (lock := files.take_lock(path)) is not None:
            return lock
    return None


def _is_free(lender: Path) -> bool:
    """Return whether a program that lent the store has ended; delete its file if so."""
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
    """Delete a key's folder; return False if a run uses it."""
    gone = folder.with_name(folder.name + GONE)
    if gone.is_dir():
        _remove(gone)  # the process that started to delete it was killed
    if not folder.is_dir():
        return True
    try:
        taken = _take_all(folder)
    except OSError:  # deleted by another run, or no permission
        return not folder.is_dir()
    if taken is None:
        return False
    try:
        if all(_OURS.fullmatch(name) for name in os.listdir(folder)):
            # From now on a new run makes a new folder, and old workers write into the renamed one.
            os.replace(folder, gone)
            _remove(gone)
        else:
            _remove(folder)
    finally:
        for lock in taken:
            lock.release()
    return not folder.exists()


def _remove(folder: Path) -> None:
    """Delete fervid's files in a folder, and the folder if nothing else is in it."""
    while folder.is_dir():
        for name in (names := [name for name in os.listdir(folder) if _OURS.fullmatch(name)]):
            (folder / name).unlink(missing_ok=True)
        try:
            folder.rmdir()
        except OSError as failure:
            if failure.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
            if not names:  # only other files are left
                return


def write(path: Path, arrays: Mapping[str, Array], makes_folder: bool = True) -> bool:
    """Write a result atomically, after a digest of it.

    Return False if its folder is gone and `makes_folder` is false.
    """
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays, **{NAME: np.array(_name(path))})
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
            # Another run has just deleted the folder: try again.
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


def _name(path: Path) -> str:
    """Return the name of an entry. It is stored in the file too, so that a renamed file is not accepted."""
    return f"{path.parent.name}/{path.name}"


def read(path: Path) -> dict[str, Array] | None:
    """Return a result; None if it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:  # missing, or unreadable: writing it again will report why
        return None
    # A zip's own checksums are not enough: a flipped bit in its directory can raise nearly any exception.
    if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
        path.unlink(missing_ok=True)  # truncated, damaged, or not written by fervid
        return None
    with np.load(io.BytesIO(content[DIGEST:]), allow_pickle=False) as pack:
        arrays = {name: pack[name] for name in pack.files}
    if str(arrays.pop(NAME, "")) != _name(path):
        path.unlink(missing_ok=True)  # of another entry
        return None
    return arrays
