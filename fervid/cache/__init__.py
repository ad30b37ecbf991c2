"""Span results on disk: written atomically, checked when read, deleted when no longer needed.

They contain faces' positions and descriptors and the nets' logits, and no pictures except `extract`'s crops.
This is biometric data, so a run deletes it when it succeeds, unless the user keeps it. The size of the cache
is limited: the videos used longest ago are deleted first, except those that a run is using.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing import parent_process
from pathlib import Path

from fervid import files
from fervid.cache import folders
from fervid.cache.entries import VERSION as VERSION
from fervid.cache.entries import failure, make_folder
from fervid.cache.entries import read as read
from fervid.cache.entries import write as write
from fervid.cache.folders import is_key as is_key
from fervid.errors import UsageError, WorkerError
from fervid.files import Lock, temporary
from fervid.files.temporary import Temporary

FOOTAGE = "footage"  # the folder of strips that training cuts; only the user deletes it
LIMIT = 20 * 10**9  # bytes of span results that are kept unless FERVID_CACHE_LIMIT is set
TRIM_EVERY = 100  # videos between two checks of the total size
ORPHANED = "the program of this worker process has ended"

_held: dict[Path, list[Lock]] = {}  # by the folder of the key
_temporary: dict[Path, Temporary] = {}  # folders of stores that are not resumed
_videos = count()


def default_folder() -> Path:
    """Return FERVID_CACHE_DIR, or the platform's folder for caches."""
    if own := os.environ.get("FERVID_CACHE_DIR"):
        return Path(own)
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "fervid"
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "fervid" / "Cache"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fervid"
    except RuntimeError as error:  # as in a container with a user of its own
        raise UsageError(
            "this user has no home folder for the cache: set FERVID_CACHE_DIR, or use --no-cache"
        ) from error


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
        return cls(temporary.new_path(), resume=False)

    def entry(self, key: str, start: int, stop: int | None) -> Path:
        """Return the path of a span's result."""
        return self._folder_of(key) / f"{start}-{'end' if stop is None else stop}.span"

    @property
    def may_make_folders(self) -> bool:
        """Whether a result may be written after its folder was deleted: not by a worker without a parent."""
        return self.resume and not self.lender

    @contextmanager
    def lend(self) -> Iterator[Store]:
        """Yield this store for workers; their locks count only while this process is alive."""
        folders.sweep(self.folder)
        name = secrets.token_hex(8)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            while (lock := files.take_lock(self.folder / f".{name}{folders.LENDER}", shared=True)) is None:
                time.sleep(0.01)  # another process is checking the lock
        except OSError as error:
            raise failure(self.folder, error) from error
        try:
            yield replace(self, keep=True, lender=name)
        finally:
            lock.release(remove=True)
            folders.sweep(self.folder)  # workers delete nothing

    def lock(self, key: str) -> None:
        """Lock the results of a key, so that no other run deletes them before this run calls `forget`."""
        if not self.resume:
            if self.folder not in _temporary:
                _temporary[self.folder] = Temporary(self.folder)
        elif not self.lender:
            self.limit_size()
        folder = self._folder_of(key)
        until = time.monotonic() + folders.DELETED_WITHIN
        while (lock := self._take_lock(folder)) is None and time.monotonic() < until:
            time.sleep(0.01)  # another run is deleting it
        if lock is not None:
            _held.setdefault(folder, []).append(lock)

    def _take_lock(self, folder: Path) -> Lock | None:
        if self.lender and _is_orphan():
            raise WorkerError(ORPHANED)
        try:
            if self.resume:
                make_folder(folder)
            else:  # a folder for one run that has been deleted is not made again
                folder.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise failure(self.folder, error) from error
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
            raise WorkerError(ORPHANED)
        return lock

    def forget(self, key: str, succeeded: bool) -> None:
        """Release the lock, and delete the results of a run unless they are kept or another run uses them.

        A worker deletes nothing: if it were stopped meanwhile, it would keep a lock longer than its program.
        """
        folder = self._folder_of(key)
        if held := _held.pop(folder, []):
            held.pop().release()
            if held:
                _held[folder] = held
        if not self.resume:
            if made := _temporary.pop(self.folder, None):
                made.remove()
        elif self.lender:
            return
        elif not folders.results(folder) or (succeeded and not self.keep):
            folders.delete(folder)

    def sync(self) -> None:
        """Sync deletions to the disk: a power failure after this restores nothing that was deleted."""
        try:
            files.sync_folder(self.folder)
        except FileNotFoundError:  # nothing has been stored
            return
        except OSError as error:
            raise failure(self.folder, error) from error

    def _folder_of(self, key: str) -> Path:
        if not folders.is_key(key):
            raise ValueError(f"{key!r} is not the key of a cache entry")
        return self.folder / key

    def limit_size(self) -> None:
        """Apply the size limit, once in TRIM_EVERY calls; it is called for each video."""
        if self.resume and next(_videos) % TRIM_EVERY == 0:
            self.trim(limit())

    def trim(self, limit: int) -> None:
        """Delete the videos used longest ago until the others take at most `limit` bytes."""
        folders.sweep(self.folder)
        videos = [
            (folder.stat().st_mtime, folder, folders.size(folder)) for folder in folders.keys(self.folder)
        ]
        total = sum(size for _, _, size in videos)
        for _, folder, size in sorted(videos):
            if total <= limit:
                return
            if folders.delete(folder):
                total -= size


def _is_orphan() -> bool:
    parent = parent_process()
    return parent is not None and not parent.is_alive()


def limit() -> int:
    """Return how many bytes of span results are kept: FERVID_CACHE_LIMIT (500MB, 20GB), or LIMIT."""
    text = os.environ.get("FERVID_CACHE_LIMIT", "").strip()
    if not text:
        return LIMIT
    try:
        return files.parse_size(text)
    except ValueError as error:
        raise UsageError(f"FERVID_CACHE_LIMIT={error}") from error


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
    keys = [key for key in folders.keys(folder) if folders.results(key)]
    return Usage(
        videos=len(keys),
        in_use=sum(folders.is_used(key) for key in keys),
        spans=sum(len(folders.results(key)) for key in keys),
        span_bytes=sum(map(folders.size, keys)),
        footage_bytes=folders.size(folder / FOOTAGE),
    )


def clear(folder: Path, spans: bool = True, footage: bool = True) -> None:
    """Delete fervid's files in a cache folder, except those that a run is using."""
    if spans:
        folders.sweep(folder)
        for key in folders.keys(folder):
            folders.delete(key)
    strips = folder / FOOTAGE
    if footage and strips.is_dir() and not strips.is_symlink():
        folders.remove(strips)
