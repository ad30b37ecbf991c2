"""The folders of a cache, one per key: whether a run is using one, and how one is deleted.

A killed process may take some time to end, and its workers longer. Meanwhile their locks must not count, and
what they write must not outlast the run that takes over. So the locks of workers belong to their program,
workers do not recreate a deleted folder, and a folder is renamed before it is emptied.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fervid import files
from fervid.files import Lock

GONE = ".gone"  # suffix of a key's folder that is being deleted
LENDER = ".lender"  # suffix of a file that a program has locked while its workers use the store
DELETED_WITHIN = 5.0  # seconds that deleting a folder, or checking its locks, takes at most
ATTEMPTS = 5  # to take a lock, after which it counts as a run's: another process may be checking it, too

_KEY = re.compile(r"[0-9a-f]{32}")  # strict, because the content of a key's folder is deleted
_OURS = re.compile(r".*\.lock|.+\.(span|npy|part)")  # files in a key's folder or in the footage


def is_key(text: object) -> bool:
    """Return whether a text is the key of span results: 32 hexadecimal digits."""
    return isinstance(text, str) and _KEY.fullmatch(text) is not None


def keys(folder: Path) -> Iterator[Path]:
    """Yield the folders of span results; anything else in the folder is not fervid's."""
    for entry in _entries(folder):
        if _KEY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []


def sweep(folder: Path) -> None:
    """Delete what killed programs have left and no run resumes."""
    for entry in _entries(folder):
        name, _, end = entry.name.rpartition(".")
        if f".{end}" == GONE and _KEY.fullmatch(name) and entry.is_dir(follow_symlinks=False):
            remove(Path(entry.path))
        elif f".{end}" == LENDER and entry.is_file(follow_symlinks=False):
            _is_free(Path(entry.path))
    for key in keys(folder):
        if not results(key):  # its worker was killed before its first result
            delete(key)


def results(folder: Path) -> list[str]:
    """Return the names of the results in a key's folder."""
    return [entry.name for entry in _entries(folder) if entry.name.endswith(".span")]


def size(folder: Path) -> int:
    """Return the bytes of the files in a folder; files that vanish meanwhile do not count."""
    total = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            total += entry.stat(follow_symlinks=False).st_size if entry.is_file() else 0
    return total


def is_used(folder: Path) -> bool:
    """Return whether a living run has locked a key's folder."""
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
    """Take an exclusive lock; return None if a run has it.

    The locks of runs are shared. Processes that only check or delete take exclusive locks for a moment.
    """
    seen, until = 0, time.monotonic() + DELETED_WITHIN
    while (lock := files.take_lock(path)) is None and seen < ATTEMPTS and time.monotonic() < until:
        if (shared := files.take_lock(path, shared=True)) is not None:
            shared.release()
            seen += 1
        time.sleep(0.01)
    return lock


def _is_free(lender: Path) -> bool:
    """Return whether a program that lent the store has ended; delete its file if so."""
    try:
        lock = _take(lender) if lender.exists() else Lock(lender, None)
        if lock is not None:
            lock.release(remove=True)
    except OSError:
        return True
    return lock is not None


def delete(folder: Path) -> bool:
    """Delete a key's folder; return False if a run uses it."""
    gone = folder.with_name(folder.name + GONE)
    if gone.is_dir():
        remove(gone)  # the process that started to delete it was killed
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
            remove(gone)
        else:
            remove(folder)
    finally:
        for lock in taken:
            lock.release()
    return not folder.exists()


def remove(folder: Path) -> None:
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
