"""Footage: the face strips of a dataset, cut as in analysis, once, and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache as cache_once
from pathlib import Path

import numpy as np

from fervid import cache, files
from fervid.errors import FervidError, InputError, OutputError
from fervid.execute import Executor, results
from fervid.train.footage.strips import PictureFinder as PictureFinder
from fervid.train.footage.strips import empty_strip
from fervid.train.footage.strips import strip_of as strip_of
from fervid.types import Array, Bytes, Floats, Ints, Settings
from fervid.types.samples import Drawn, OnDisk, Picture, Sample, Strip

VERSION = 11  # of the strips; part of every key
DECISIVE = ("sample_fps", "faces", "min_face", "detector", "landmarks")  # settings that strips depend on
WHOLE = ("None", "None", None, "None")  # part of the key of pictures and drawings, as in earlier versions
SHARD = 64  # samples that are cut as one task and stored in one file

DIGEST = "digest"  # the array with the SHA-256 of the pictures
NO_FACE = "no face"  # the trouble of a sample without a detected face


@dataclass(frozen=True, eq=False)
class Footage:
    """Samples and their strips; the crops are read from disk when they are used."""

    samples: tuple[Sample, ...]
    pts: tuple[Ints, ...]
    time_bases: tuple[Fraction, ...]
    faces: tuple[Bytes, ...]  # memory-mapped
    landmarks: tuple[Floats, ...]
    quality: tuple[Floats, ...]
    troubles: tuple[str, ...]  # the reason why there is no strip, or ""

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Strip:
        pts, faces, landmarks = self.pts[index], self.faces[index], self.landmarks[index]
        return Strip(self.time_bases[index], pts, faces, landmarks, self.quality[index])

    def take(self, indices: Ints | Sequence[int]) -> Footage:
        """Return some of the samples."""
        chosen = [int(index) for index in indices]
        return Footage(*(tuple(getattr(self, name)[index] for index in chosen) for name in COLUMNS))

    @classmethod
    def joined(cls, parts: Sequence[Footage]) -> Footage:
        """Return the samples of all parts, in order."""
        return cls(*(tuple(value for part in parts for value in getattr(part, name)) for name in COLUMNS))

    @property
    def without_crops(self) -> str | None:
        """The name of the first sample that has only landmarks, if any."""
        pairs = zip(self.samples, self.faces, strict=True)
        return next((sample.name for sample, faces in pairs if faces.shape[-1] == 1), None)

    @property
    def has_strip(self) -> Array:
        """Whether each sample has a strip: (N,) of bool."""
        return np.array([not trouble for trouble in self.troubles], bool)


COLUMNS = tuple(Footage.__dataclass_fields__)


@dataclass(frozen=True)
class Shard:
    """Samples that are cut as one task, to be sent to a worker, and stored in one file."""

    samples: tuple[Sample, ...]
    indices: tuple[int, ...]  # of these samples in the whole list
    settings: Settings
    target: Path

    def footage(self) -> Footage:
        """Return the strips from the file, after making it if necessary."""
        _work(self)
        return _read(self)


def shards(
    samples: Sequence[Sample], settings: Settings | None = None, folder: Path | None = None
) -> list[Shard]:
    """Divide samples into shards, stored in `folder` or the user's cache folder.

    The order of the samples does not matter, so another split of the same data uses the same files.
    """
    wanted = settings or Settings()
    folder = (folder or cache.default_folder()) / "footage"
    groups: dict[tuple[str, str, str], list[int]] = {}
    for index in sorted(range(len(samples)), key=lambda index: samples[index].name):
        sample = samples[index]
        key = (sample.name.split("/")[0], sample.split or "", _drawing(sample))
        groups.setdefault(key, []).append(index)
    parts = []
    for group in groups.values():
        for low in range(0, len(group), SHARD):
            indices = tuple(group[low : low + SHARD])
            chosen = tuple(samples[index] for index in indices)
            parts.append(Shard(chosen, indices, wanted, folder / f"{_key(chosen, wanted)}.span"))
    return parts


def _drawing(sample: Sample) -> str:
    """Return the kind of drawing or motion that `synth` makes, or "": a file has crops of one size only."""
    match sample.pixels:
        case Picture(motion=name) | Drawn(name=name):
            return "/".join(word for word in name.split("/") if not word.isdigit())
    return ""


def cut(
    samples: Sequence[Sample],
    executor: Executor,
    settings: Settings | None = None,
    folder: Path | None = None,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Footage:
    """Return the strips of samples, cut by the workers of the executor."""
    tasks, parts, done = shards(samples, settings, folder), [], 0
    for shard, _ in zip(tasks, results(executor(_work, tasks)), strict=True):
        parts.append(_read(shard))
        done += len(shard.samples)
        tick(done, len(samples))
    order = np.argsort([index for shard in tasks for index in shard.indices])
    return Footage.joined(parts).take(order)


def _work(shard: Shard) -> None:
    if not _is_whole(shard.target):
        _make(shard)


def _key(samples: Sequence[Sample], settings: Settings) -> str:
    """Return a hash of everything that the strips depend on; labels are not part of it."""
    wanted = {name: value for name, value in settings.as_json().items() if name in DECISIVE}
    state = hashlib.sha256(json.dumps([VERSION, wanted], sort_keys=True).encode())
    for sample in samples:
        match sample.pixels:
            case OnDisk() as file:
                part = [str(file.start), str(file.end), file.frames, str(file.rate)]
                what: list[object] = [file.path, "", *part]
                what += [str(file.share)] if file.share else []
                what += [file.box] if file.box else []
                state.update(json.dumps(what + _state(Path(file.path))).encode())
            case Picture(luma, motion, rest):
                moved = [motion] if motion else []
                state.update(json.dumps(["", "", *moved, *WHOLE]).encode())
                for picture in (luma,) if rest is None else (luma, rest):
                    state.update(str(picture.shape).encode() + picture.tobytes())
            case Drawn(name):
                state.update(json.dumps(["", name, *WHOLE]).encode())
    return state.hexdigest()[:32]


def _state(path: Path) -> list[object]:
    """Return name, size and time of change of a file or of each file of a folder; [] if unreadable."""
    try:
        if path.is_dir():
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
            return [[] if entry.is_dir() else _state(Path(entry.path)) for entry in entries]
        status = path.stat()
    except OSError:
        return []
    return [path.name, status.st_size, status.st_mtime_ns]


def _make(shard: Shard) -> None:
    strips: list[Strip] = []
    troubles: list[str] = []
    for sample in shard.samples:
        try:
            strip = strip_of(sample, shard.settings)
            trouble = "" if len(strip) else NO_FACE
        except FervidError as failure:
            strip, trouble = empty_strip(), str(failure)
        strips.append(strip)
        troubles.append(trouble)
    faces = np.concatenate([strip.faces for strip in strips])
    try:
        shard.target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # An array file of its own can be memory-mapped; crops may not fit in memory.
        with files.open_atomic(_pictures(shard.target)) as stream:
            np.save(stream, faces, allow_pickle=False)
    except OSError as failure:  # a full disk has no number in NumPy's error
        raise OutputError(
            f"cannot write faces to the cache {shard.target.parent}: {failure.strerror or failure}; free "
            "some space, or set FERVID_CACHE_DIR to another folder"
        ) from failure
    cache.write(
        shard.target,
        {
            "count": np.array([len(strip) for strip in strips], np.int64),
            "time_base": np.array([[*strip.time_base.as_integer_ratio()] for strip in strips], np.int64),
            "pts": np.concatenate([strip.pts for strip in strips]),
            "landmarks": np.concatenate([strip.landmarks for strip in strips]),
            "quality": np.concatenate([strip.quality for strip in strips]),
            "trouble": np.array(troubles),
            DIGEST: np.frombuffer(_digest(_pictures(shard.target)), np.uint8),
        },
    )


def _pictures(target: Path) -> Path:
    return target.with_suffix(".npy")


def _is_whole(target: Path) -> bool:
    """Return whether a shard is on disk, with the pictures that were written."""
    arrays = cache.read(target)
    if arrays is None or DIGEST not in arrays:
        return False
    try:
        return _digest(_pictures(target)) == arrays[DIGEST].tobytes()
    except OSError:  # missing, or unreadable: writing it again will report why
        return False


def _digest(path: Path) -> bytes:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _read(shard: Shard) -> Footage:
    _allow_more_files()
    try:
        arrays = cache.read(shard.target)
        faces = np.load(_pictures(shard.target), mmap_mode="r", allow_pickle=False)
    except OSError:
        arrays = None
    if arrays is None:
        raise InputError(
            f"the cache {shard.target.parent} changed while it was read: set another FERVID_CACHE_DIR"
        )
    bounds = np.cumsum(arrays["count"])[:-1]
    return Footage(
        samples=shard.samples,
        pts=tuple(np.split(arrays["pts"], bounds)),
        time_bases=tuple(Fraction(int(top), int(bottom)) for top, bottom in arrays["time_base"]),
        faces=tuple(np.split(faces, bounds)),
        landmarks=tuple(np.split(arrays["landmarks"], bounds)),
        quality=tuple(np.split(arrays["quality"], bounds)),
        troubles=tuple(str(trouble) for trouble in arrays["trouble"]),
    )


@cache_once
def _allow_more_files() -> None:
    """Raise the limit of open files to the hard limit: every mapped file stays open."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
