"""Locks on files, which end with their process."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":  # Windows has no flock
    import fcntl

TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)  # another process has the lock
FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


@dataclass
class Lock:
    """A lock on a file or folder, held until it is released or its process ends."""

    path: Path
    _descriptor: int | None
    is_real: bool = True  # False: the system or the file system has no locks, so every process gets this one

    def release(self, remove: bool = False) -> None:
        """Release the lock; `remove` deletes its file first, so no process locks a file about to go."""
        if remove and (self._descriptor is not None or not self.is_real):
            self.path.unlink(missing_ok=True)
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def take_lock(path: Path, shared: bool = False, mode: int = 0o600) -> Lock | None:
    """Lock a file, which is created if needed, or a folder; return None if another process has locked it.

    A lock is exclusive or shared. On a file system without locks every lock is granted, and is not real.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | FLAGS, mode)
        except OSError:
            if not path.is_dir():
                raise
            if sys.platform == "win32":
                return Lock(path, None, is_real=False)
            descriptor = os.open(path, os.O_RDONLY | FLAGS)
        if sys.platform == "win32":
            os.close(descriptor)  # an open file can be neither renamed nor deleted
            return Lock(path, None, is_real=False)
        is_real = True
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as failure:
            if failure.errno in TAKEN:
                os.close(descriptor)
                return None
            is_real = False
        if _is_there(path, descriptor):
            return Lock(path, descriptor, is_real)
        os.close(descriptor)  # its last holder deleted it between open and flock


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
