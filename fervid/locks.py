"""Locks between processes: held on a file, gone with the process that held them, however it ended."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":  # which has no such locks: there, nothing is refused
    import fcntl

TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


@dataclass
class Lock:
    """A lock that is held until it is released."""

    path: Path
    _descriptor: int | None

    def release(self, remove: bool = False) -> None:
        """Let go; `remove` deletes the file first, so that nobody takes a lock that is about to go."""
        if self._descriptor is None:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None


def take(path: Path, shared: bool = False) -> Lock | None:
    """Lock a file, made where it is missing; None where another process has it.

    Many may share a lock, or one have it alone. A file system that knows no locks refuses nobody.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if sys.platform == "win32":
            return Lock(path, descriptor)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as failure:
            if failure.errno in TAKEN:
                os.close(descriptor)
                return None
        if _is_there(path, descriptor):
            return Lock(path, descriptor)
        os.close(descriptor)  # deleted by its last holder between our two steps


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
