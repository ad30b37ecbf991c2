"""Span results on disk: written whole or not at all, checked when read, gone when no longer needed.

They hold where faces were, whose they may be and what the nets said, never pictures (but for `extract`'s
crops): that is biometric data still, so that it is deleted when a run succeeds unless it is to be kept.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fervid.errors import OutputError
from fervid.types import Array

VERSION = 3  # of what the files hold; part of every key
DIGEST = 32  # bytes of a SHA-256, with which every file begins


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

    def forget(self, key: str, succeeded: bool) -> None:
        """Delete what a run left, where it is of no more use."""
        if (succeeded and not self.keep) or not self.resume:
            shutil.rmtree(self.folder / key, ignore_errors=True)
        if not self.resume:
            shutil.rmtree(self.folder, ignore_errors=True)


def write(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a result, whole or not at all, behind the digest of what follows."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, **arrays)
        with beside.open("wb") as stream:
            stream.write(hashlib.sha256(packed.getbuffer()).digest())
            stream.write(packed.getbuffer())
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as failure:
        beside.unlink(missing_ok=True)
        advice = "free some space" if failure.errno == errno.ENOSPC else "check its access rights"
        raise OutputError(
            f"cannot write to the cache {path.parent.parent}: {failure.strerror}; "
            f"{advice}, or set FERVID_CACHE_DIR"
        ) from failure


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
        return {name: pack[name] for name in pack.files}
