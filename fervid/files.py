"""Files: names that can be shown and written, and locks between processes."""

from __future__ import annotations

import errno
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":  # which has no such locks: there, nothing is refused
    import fcntl

TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


def shown(name: str | Path) -> str:
    """Return a name for a message: on one line, with a sign for each letter that cannot be printed."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(name))


def encodable(name: str) -> str:
    r"""Return a name for a file in UTF-8: bytes of it that are not UTF-8 become `\xNN`, and none is lost."""

    def escape(found: re.Match[str]) -> str:
        code = ord(found[0])
        return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"

    return re.sub("[\ud800-\udfff]", escape, name)


def one_line(text: str, instead: str = "") -> str:
    """Return text for a format that is read line by line; `instead` stands for what cannot be seen."""
    seen = (letter if letter.isprintable() or letter.isspace() else instead for letter in text)
    return " ".join("".join(seen).split())


@dataclass
class Lock:
    """A lock that is held until it is released, or its process ends, however that ends."""

    path: Path
    _descriptor: int | None

    def release(self, remove: bool = False) -> None:
        """Release the lock; `remove` deletes the file first, so that nobody takes a lock that is going."""
        if self._descriptor is None:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None


def take_lock(path: Path, shared: bool = False) -> Lock | None:
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
