"""Atomic writing of files and folders, also if the program is killed or the power fails.

Content is written beside its target under a random name, synced to the disk, and renamed; then the folder is
synced. A file that is being written is locked. A file without a lock was left by a killed program, and the
next program that writes in the folder deletes it.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from fervid.files.locks import Lock, take_lock

PART = re.compile(r"\.fervid-[0-9a-f]{12}\.part")  # the names of what is being written
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # hard links, on this file system
NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF)  # of folders, on this file system
SWEPT = 64  # folders that are remembered as clean

Explain = Callable[[OSError], Exception]  # returns what to raise for a file that cannot be written


def _unchanged(error: OSError) -> OSError:
    return error


def write(path: Path, content: bytes | str) -> None:
    """Write a file atomically; text is UTF-8."""
    with open_atomic(path) as stream:
        stream.write(content if isinstance(content, bytes) else content.encode())


@contextmanager
def open_atomic(
    path: Path, explain: Explain = _unchanged, within: Path | None = None, replaces: bool = True
) -> Iterator[BinaryIO]:
    """Open a file that appears at `path` when the block succeeds; until then it is in `within`, or beside it.

    An existing file is replaced, and the new one gets its access rights; if not `replaces`, it is an error.
    """
    with _explained(explain):
        before = _status(path) if replaces else None
        lock = _make_part(within or path.parent, before)
    try:
        with opened(lock.path, "wb", explain) as stream:
            yield stream
            stream.flush()
            with _explained(explain):
                if before is not None:
                    _set_rights(stream.fileno(), before)
                os.fsync(stream.fileno())
        with _explained(explain):
            if replaces:
                os.replace(lock.path, path)
            else:
                _move_to_free(lock.path, path)
            sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            lock.path.unlink()
        raise
    finally:
        lock.release()


def _status(path: Path) -> os.stat_result | None:
    """Return the status of an existing file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _make_part(folder: Path, before: os.stat_result | None) -> Lock:
    """Create and lock a file to write in, with the access rights of the file that it replaces."""
    _sweep(folder.absolute())
    mode = 0o666 if before is None else before.st_mode & 0o777 | 0o600
    while (lock := take_lock(_name_part(folder), mode=mode)) is None:
        pass  # another program has the lock to check the file, and deletes it
    return lock


def _name_part(folder: Path) -> Path:
    return folder / f".fervid-{secrets.token_hex(6)}.part"


def _set_rights(descriptor: int, before: os.stat_result) -> None:
    """Give a new file the owner and the access rights of the file that it replaces."""
    if sys.platform == "win32":
        return
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        with suppress(PermissionError):
            os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, before.st_mode & 0o777)


def _move_to_free(part: Path, path: Path) -> None:
    """Rename a file; raise FileExistsError if the path is taken."""
    try:
        os.link(part, path)
    except FileExistsError:
        # A network file system may report this for a repeated request, although the first one succeeded.
        if not os.path.samestat(os.lstat(part), os.lstat(path)):
            raise
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _move_to_reserved(part, path)
        return
    part.unlink()


def _move_to_reserved(part: Path, path: Path) -> None:
    """Rename a file where there are no hard links."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))  # reserves the name
    try:
        os.replace(part, path)
    except BaseException:
        path.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk: a power failure after this undoes no rename."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder may be written without being read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, and sync their names to the disk."""
    missing = []
    while not folder.is_dir() and folder.parent != folder:
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


@contextmanager
def open_atomic_folder(path: Path, is_ours: Callable[[str], bool], replaces: bool = True) -> Iterator[Path]:
    """Make a folder that appears at `path` when the block succeeds.

    If it `replaces` a folder, it keeps the files in it for which `is_ours` (of their relative path) is false.
    Otherwise a folder that is not empty is an error.
    """
    lock = _make_part_folder(path.parent)
    try:
        yield lock.path
        if hasattr(os, "sync"):
            os.sync()  # a sync for each of thousands of files takes longer
        if replaces and path.is_dir():
            _replace_folder(lock.path, path, is_ours)
        else:
            os.rename(lock.path, path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(lock.path, ignore_errors=True)  # it no longer exists after success
        lock.release()


def _make_part_folder(folder: Path) -> Lock:
    _sweep(folder.absolute())
    while True:
        part = _name_part(folder)
        part.mkdir()
        lock = take_lock(part)
        if lock is not None and part.is_dir():
            return lock


def _replace_folder(part: Path, path: Path, is_ours: Callable[[str], bool]) -> None:
    old = take_lock(path)  # a lock stays when the folder is renamed: no other program deletes it
    aside = _name_part(path.parent)
    try:
        os.rename(path, aside)
        try:
            os.rename(part, path)
        except BaseException:
            os.rename(aside, path)
            raise
        for file in sorted(aside.rglob("*")):
            name = file.relative_to(aside)
            if (file.is_symlink() or not file.is_dir()) and not is_ours(name.as_posix()):
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                os.rename(file, path / name)
        shutil.rmtree(aside)
    finally:
        if old is not None:
            old.release()


@lru_cache(SWEPT)
def _sweep(folder: Path) -> None:
    """Delete what killed programs were writing in a folder; once per folder, as listing takes time."""
    try:
        names = os.listdir(folder)
    except OSError:  # writing will report it
        return
    for name in names:
        if PART.fullmatch(name):
            with suppress(OSError):
                _remove_orphan(folder / name)


def _remove_orphan(part: Path) -> None:
    lock = take_lock(part)
    if lock is None:
        return
    try:
        if not lock.is_real:
            return
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink()
    finally:
        lock.release()


@contextmanager
def opened(file: Path | int, mode: str, explain: Explain, closefd: bool = True) -> Iterator[BinaryIO]:
    """Open a path or a descriptor for writing; if there are several errors, raise the first."""
    with _explained(explain):
        raw = _Explaining(file, mode, closefd)
    raw.explain = explain
    stream = io.BufferedWriter(raw)
    try:
        yield cast(BinaryIO, stream)
        stream.flush()
    except BaseException:
        with suppress(Exception):
            stream.close()
        raise
    with _explained(explain):  # some network file systems report errors only now
        stream.close()


class _Explaining(io.FileIO):
    """A raw file that passes its own errors to `explain`; errors of the block stay unchanged."""

    explain: Explain

    def write(self, data: Any, /) -> int:
        with _explained(self.explain):
            return super().write(data)


@contextmanager
def _explained(explain: Explain) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        explained = explain(error)
        if explained is error:
            raise
        raise explained from error
