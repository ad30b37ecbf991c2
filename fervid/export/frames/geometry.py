"""The geometry of faces as a NumPy archive of columns, written and read in chunks."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from tokenize import TokenError
from typing import IO, BinaryIO

import numpy as np
from numpy.lib import format as npy

from fervid.errors import InputError
from fervid.export.timelines.fields import NOTE
from fervid.files import open_regular
from fervid.types import LANDMARKS, Array, Rows, Status, Video

# The errors that zipfile, zlib and NumPy raise for damaged files.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    TokenError,
    OSError,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
)
FACTS = ("time_base", "start", "labels", "person_tracks", "persons")  # arrays that have no row per face
MOST_FACTS = 1 << 28  # bytes of them
CHUNK = 4096  # rows read at once: about 2.5 MB

LAYOUT = (
    "A row per frame and face, one for a frame without a face (track -1, nan geometry). "
    "seconds = (pts - start) * time_base[0] / time_base[1], from the video's first frame. "
    "status: " + ", ".join(f"{status.value} {status.label}" for status in Status) + ". "
    "box: x, y, width, height; landmarks: 68 points x, y; both in pixels of the upright picture. "
    "pose: yaw, pitch, roll in degrees. quality: 0 unreadable to 1 good. scores: a column per label. "
    "person_tracks and persons, if people were identified: the person of each of these tracks. " + NOTE
)


def write(
    chunks: Callable[[], Iterable[Rows]],
    count: int,
    video: Video,
    labels: Sequence[str],
    destination: BinaryIO | str | os.PathLike[str],
    people: Mapping[int, str] | None = None,
) -> None:
    """Write an archive that `numpy.load` opens without pickle, one chunk in memory at a time.

    `chunks` is called once per column and must give the same `count` rows each time; `people` gives the
    person of a track.
    """
    columns = _columns(len(labels))
    facts: dict[str, Array] = {
        "labels": np.array(labels, dtype=np.str_),
        "time_base": np.array([video.time_base.numerator, video.time_base.denominator], np.int64),
        "start": np.array(video.start, np.int64),
        "note": np.array(LAYOUT),
    }
    if people:
        facts["person_tracks"] = np.array(list(people), np.int64)
        facts["persons"] = np.array(list(people.values()), dtype=np.str_)
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
                raise ValueError(f"there should be {count} rows, got {written}")


@dataclass(frozen=True)
class Geometry:
    """An archive on disk: its clock, its labels, and its rows in chunks."""

    path: str
    time_base: Fraction
    start: int
    labels: tuple[str, ...]
    people: Mapping[int, str]  # track -> person

    def rows(self) -> Iterator[Rows]:
        """Yield the rows in chunks."""
        with _readable(self.path), zipfile.ZipFile(self.path) as archive, ExitStack() as stack:
            streams = {}
            counts = set()
            for name, (kind, shape) in _columns(len(self.labels)).items():
                stream = stack.enter_context(archive.open(f"{name}.npy"))
                (length, *rest), is_fortran, stored = _header(stream)
                if tuple(rest) != shape or is_fortran or stored.newbyteorder("=") != np.dtype(kind):
                    raise ValueError(f"its {name} are {stored} {(length, *rest)}")
                streams[name] = (stream, kind, shape, stored)
                counts.add(length)
            (count,) = counts
            for start in range(0, count, CHUNK):
                length = min(CHUNK, count - start)
                yield Rows(
                    **{
                        name: np.frombuffer(
                            _exactly(stream, length * int(np.prod(shape)) * stored.itemsize), stored
                        )
                        .astype(kind)
                        .reshape(length, *shape)
                        for name, (stream, kind, shape, stored) in streams.items()
                    }
                )


def read(path: str) -> Geometry:
    """Open an archive that `write` wrote; raise InputError for any other file."""
    # Opened here, since NumPy would not close a damaged file.
    with _readable(path), open_regular(path) as file, np.load(file, allow_pickle=False) as archive:
        sizes = {member.filename: member.file_size for member in archive.zip.infolist()}
        if sum(sizes.get(f"{name}.npy", 0) for name in FACTS) > MOST_FACTS:
            raise ValueError("it has labels or persons beyond number")
        time_base = Fraction(*(int(part) for part in archive["time_base"]))
        if time_base <= 0:
            raise ValueError(f"its time base is {time_base}")
        labels = tuple(str(label) for label in archive["labels"])
        people = {}
        if "persons" in archive:
            tracks, persons = archive["person_tracks"].tolist(), archive["persons"].tolist()
            people = {int(track): str(person) for track, person in zip(tracks, persons, strict=True)}
        return Geometry(path, time_base, int(archive["start"]), labels, people)


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Raise InputError for the errors that a damaged archive causes."""
    try:
        yield
    except DAMAGE as error:
        raise InputError(
            f"{path} is not an archive of `fervid analyze --tracks`, or is damaged ({error}): write it again"
        ) from error


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = npy.read_magic(stream)
    if version == (1, 0):
        return npy.read_array_header_1_0(stream)
    return npy.read_array_header_2_0(stream)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ValueError("it ends early")
    return data


def _columns(labels: int) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
    """Return each column's type and the shape of its rows, as in `Rows`."""
    return {
        "frame": (np.int64, ()),
        "pts": (np.int64, ()),
        "track": (np.int64, ()),
        "status": (np.uint8, ()),
        "box": (np.float32, (4,)),
        "landmarks": (np.float32, (LANDMARKS, 2)),
        "pose": (np.float32, (3,)),
        "quality": (np.float32, ()),
        "scores": (np.float32, (labels,)),
    }


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open an uncompressed member, with bytes that depend only on its content."""
    entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3  # the same on every system
    return archive.open(entry, "w", force_zip64=True)
