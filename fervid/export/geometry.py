"""The per-frame geometry as a NumPy archive of flat columns, streamed column by column, and read back."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import IO, BinaryIO

import numpy as np
from numpy.lib import format as npy

from fervid.errors import InputError
from fervid.export.shapes import NOTE
from fervid.types import LANDMARKS, Array, Rows, Status, Video

LAYOUT = (
    "A row per frame and face, one for a frame without a face (track -1, nan geometry). "
    "seconds = (pts - start) * time_base[0] / time_base[1], from the video's first frame. "
    "status: " + ", ".join(f"{status.value} {status.label}" for status in Status) + ". "
    "box: x, y, width, height; landmarks: 68 points x, y; both in pixels of the upright picture. "
    "pose: yaw, pitch, roll in degrees. quality: 0 unreadable to 1 good. scores: a column per label. " + NOTE
)


CHUNK = 4096  # rows that are read at once


def write(
    chunks: Callable[[], Iterable[Rows]],
    count: int,
    video: Video,
    labels: Sequence[str],
    destination: BinaryIO | str | os.PathLike[str],
) -> None:
    """Write an archive that `numpy.load` opens without pickle, in memory bounded by a chunk.

    `chunks` is called once per column and gives the same rows each time; `count` is their number, which
    stands before them in the file.
    """
    columns: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
        "frame": (np.int64, ()),
        "pts": (np.int64, ()),
        "track": (np.int64, ()),
        "status": (np.uint8, ()),
        "box": (np.float32, (4,)),
        "landmarks": (np.float32, (LANDMARKS, 2)),
        "pose": (np.float32, (3,)),
        "quality": (np.float32, ()),
        "scores": (np.float32, (len(labels),)),
    }
    facts: dict[str, Array] = {
        "labels": np.array(labels, dtype=np.str_),
        "time_base": np.array([video.time_base.numerator, video.time_base.denominator], np.int64),
        "start": np.array(video.start, np.int64),
        "note": np.array(LAYOUT),
    }
    with zipfile.ZipFile(destination, "w") as archive:
        for name, value in facts.items():
            with _member(archive, name) as member:
                npy.write_array(member, value, version=(1, 0), allow_pickle=False)
        for name, (kind, shape) in columns.items():
            stored = np.dtype(kind).newbyteorder("<")
            header = {"descr": npy.dtype_to_descr(stored), "fortran_order": False, "shape": (count, *shape)}
            with _member(archive, name) as member:
                npy.write_array_header_1_0(member, header)
                written = 0
                for rows in chunks():
                    values = np.ascontiguousarray(getattr(rows, name), stored)
                    if values.shape[1:] != shape:
                        raise ValueError(f"{name} should have rows of shape {shape}, got {values.shape[1:]}")
                    member.write(values.data)
                    written += len(values)
            if written != count:
                raise ValueError(f"{count} rows were promised, {written} came")


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A stored member whose bytes depend on nothing but its content."""
    entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3  # the same on every system
    return archive.open(entry, "w", force_zip64=True)


def read(path: str) -> Iterator[Rows]:
    """The rows of an archive, in chunks: memory does not grow with the video."""
    try:
        with zipfile.ZipFile(path) as archive, ExitStack() as stack:
            columns: dict[str, tuple[IO[bytes], np.dtype[np.generic], tuple[int, ...]]] = {}
            for name in Rows.__dataclass_fields__:
                member = stack.enter_context(archive.open(f"{name}.npy"))
                npy.read_magic(member)
                shape, is_fortran, kind = npy.read_array_header_1_0(member)
                if is_fortran or kind.hasobject:
                    raise ValueError(f"{name} is stored in another way")
                columns[name] = (member, kind, shape)
            count = columns["frame"][2][0]
            for start in range(0, count, CHUNK):
                length = min(CHUNK, count - start)
                yield Rows(**{name: _rows(*column, length) for name, column in columns.items()})
    except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is no archive that `fervid analyze --tracks` wrote, or it is damaged: write it again"
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _rows(member: IO[bytes], kind: np.dtype[np.generic], shape: tuple[int, ...], length: int) -> Array:
    """The next rows of a column."""
    size = length * int(np.prod(shape[1:], dtype=np.int64)) * kind.itemsize
    data = member.read(size)
    if len(data) < size:
        raise EOFError
    return np.frombuffer(data, kind).reshape(length, *shape[1:]).astype(kind.newbyteorder("="))
