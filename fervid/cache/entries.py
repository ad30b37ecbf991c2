"""The files of span results: written atomically, with a digest that is checked when they are read."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fervid import files
from fervid.errors import OutputError
from fervid.types import Array

VERSION = 20  # of the files' content; part of every key
DIGEST = 32  # bytes of a SHA-256, at the start of every file
NAME = "_place"  # the array with the name of the file's entry


def write(path: Path, arrays: Mapping[str, Array], makes_folder: bool = True) -> bool:
    """Write a result atomically, after a digest of it.

    Return False if its folder is gone and `makes_folder` is false.
    """
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays, **{NAME: np.array(_name(path))})
    for is_last in (False, True):
        try:
            if makes_folder:
                make_folder(path.parent)
            _write_atomically(path, packed)
            break
        except OSError as error:
            if not isinstance(error, FileNotFoundError) or (makes_folder and is_last):
                raise failure(path.parent.parent, error) from error
            if not makes_folder:
                return False
            # Another run has just deleted the folder: try again.
    return True


def make_folder(folder: Path) -> None:
    """Make the folder of a key; only the user may enter it and the folder above."""
    for path in (folder.parent, folder):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)


def failure(folder: Path, error: OSError) -> OutputError:
    """Return the error for a cache folder that cannot be written."""
    advice = "free some space" if error.errno == errno.ENOSPC else "check its access rights"
    return OutputError(
        f"cannot write to the cache {folder}: {error.strerror}; {advice}, or set FERVID_CACHE_DIR"
    )


def _write_atomically(path: Path, packed: io.BytesIO) -> None:
    with files.open_atomic(path) as stream:
        if sys.platform != "win32":
            os.fchmod(stream.fileno(), 0o600)  # biometric data
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
    try:
        with np.load(io.BytesIO(content[DIGEST:]), allow_pickle=False) as pack:
            arrays = {name: pack[name] for name in pack.files}
    except Exception:  # it has a right digest, but fervid has not written it
        arrays = {}
    if str(arrays.pop(NAME, "")) != _name(path):
        path.unlink(missing_ok=True)  # of another entry
        return None
    return arrays
