"""Temporary folders, which contain faces and are deleted soon after their program ends.

A program deletes its folders when it ends, also by a signal. A killed program cannot. So each folder has a
lock beside it, and the next program that makes a folder, or calls `sweep`, deletes those without an owner.
The folder of a worker process belongs to the program that may kill the worker.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fervid.errors import OutputError
from fervid.files import Lock, display_name, take_lock

NAME = re.compile(r"(fervid-run-[0-9a-f]{16})(\.gone|\.lock)?")
GONE, LOCK = ".gone", ".lock"


def new_path() -> Path:
    """Return the path of a folder that does not exist yet."""
    return Path(tempfile.gettempdir()) / f"fervid-run-{secrets.token_hex(8)}"


class Temporary:
    """A temporary folder with an owner; it is deleted at the latest when the owner's process ends."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = new_path() if path is None else path
        sweep(self.path.parent)
        try:
            # Locked first, so that no other program takes it for one without an owner.
            while (lock := take_lock(self.path.with_suffix(LOCK))) is None:
                time.sleep(0.01)  # another program is checking it
            self._end = weakref.finalize(self, _end, self.path, lock)
            self.path.mkdir(mode=0o700)
        except OSError as failure:
            raise OutputError(
                f"cannot write in {display_name(self.path.parent)}: {failure.strerror}; set TMPDIR to "
                "another folder"
            ) from failure

    def remove(self) -> None:
        """Delete the folder and everything in it."""
        self._end()


@contextmanager
def folder() -> Iterator[Path]:
    """Make a temporary folder for the block."""
    made = Temporary()
    try:
        yield made.path
    finally:
        made.remove()


def sweep(top: Path | None = None) -> None:
    """Delete what killed programs of this user have left in the folder for temporary files."""
    top = Path(tempfile.gettempdir()) if top is None else top
    try:
        with os.scandir(top) as entries:
            matches = [match for entry in entries if (match := NAME.fullmatch(entry.name))]
    except OSError:  # making a folder will report it
        return
    for name in dict.fromkeys(match[1] for match in matches):
        with suppress(OSError):  # another sweep is faster
            if _is_mine(top, name):
                _sweep_one(top / name)


def _is_mine(top: Path, name: str) -> bool:
    """Return whether all files of this name belong to this user; other users may have put links there."""
    if not hasattr(os, "geteuid"):
        return True
    paths = [top / f"{name}{suffix}" for suffix in ("", GONE, LOCK)]
    return all(path.lstat().st_uid == os.geteuid() for path in paths if os.path.lexists(path))


def _sweep_one(path: Path) -> None:
    lock = take_lock(path.with_suffix(LOCK))
    if lock is None:
        return
    if lock.is_real:
        _end(path, lock)
    else:
        lock.release()


def _end(path: Path, lock: Lock) -> None:
    try:
        _delete(path)
    except BaseException:  # a second signal: once more, so that nothing stays
        _delete(path)
        raise
    finally:
        lock.release(remove=True)


def _delete(path: Path) -> None:
    gone = path.with_suffix(GONE)
    shutil.rmtree(gone, ignore_errors=True)
    # Workers of a killed program may still write: without the folder they fail, as they make none.
    with suppress(OSError):
        os.rename(path, gone)
    shutil.rmtree(gone, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)
