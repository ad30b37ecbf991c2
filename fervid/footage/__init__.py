"""From a dataset's samples to strips of faces: by the road of analysis, once, kept on disk."""

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
from fervid.errors import FervidError, InputError
from fervid.execute import Executor, results
from fervid.footage.strips import TURNS, nothing
from fervid.footage.strips import PictureFinder as PictureFinder
from fervid.footage.strips import strip_of as strip_of
from fervid.samples import Drawn, OnDisk, Picture, Sample, Strip
from fervid.types import Array, Bytes, Floats, Ints, Settings

VERSION = 2  # of what the road makes of a sample; part of every key
DECISIVE = ("sample_fps", "faces", "min_face", "detector", "landmarks")  # settings that strips depend on
WHOLE = ("None", "None", None, "None")  # where only files have parts; so that keys stay as they were
SHARD = 64  # samples that are cut as one task and lie in one file

NO_FACE = "no face"  # the trouble of a sample in which none was found


@dataclass(frozen=True, eq=False)
class Footage:
    """Samples with their strips, which stay on disk until they are looked at."""

    samples: tuple[Sample, ...]
    pts: tuple[Ints, ...]
    time_bases: tuple[Fraction, ...]
    faces: tuple[Bytes, ...]  # memory-mapped
    landmarks: tuple[Floats, ...]
    quality: tuple[Floats, ...]
    troubles: tuple[str, ...]  # "" or why there is no strip

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: int) -> Strip:
        return Strip(
            self.time_bases[place],
            self.pts[place],
            self.faces[place],
            self.landmarks[place],
            self.quality[place],
        )

    def take(self, places: Ints | Sequence[int]) -> Footage:
        """Some of the samples."""
        chosen = [int(place) for place in places]
        names = ("samples", "pts", "time_bases", "faces", "landmarks", "quality", "troubles")
        return Footage(*(tuple(getattr(self, name)[place] for place in chosen) for name in names))

    @classmethod
    def joined(cls, parts: Sequence[Footage]) -> Footage:
        """The samples of several datasets, one after the other."""
        names = ("samples", "pts", "time_bases", "faces", "landmarks", "quality", "troubles")
        return cls(*(tuple(value for part in parts for value in getattr(part, name)) for name in names))

    @property
    def bare(self) -> str | None:
        """The name of a sample that has landmarks alone, if there is one."""
        pairs = zip(self.samples, self.faces, strict=True)
        return next((sample.name for sample, faces in pairs if faces.shape[-1] == 1), None)

    @property
    def found(self) -> Array:
        """Which samples have a strip: (N,) of bool."""
        return np.array([not trouble for trouble in self.troubles], bool)


@dataclass(frozen=True)
class Shard:
    """Samples that are cut as one task and lie in one file: what travels to a worker."""

    samples: tuple[Sample, ...]
    places: tuple[int, ...]  # of these samples among all that were asked for
    settings: Settings
    target: Path

    def footage(self) -> Footage:
        """The strips, read where an earlier call left them, made where not."""
        if not _is_whole(self.target):
            _make(self)
        return _read(self)


def shards(
    samples: Sequence[Sample], settings: Settings | None = None, folder: Path | None = None
) -> list[Shard]:
    """Samples in parts that can be cut one by one.

    Strips lie in `folder`, or with the user's other caches, until they are deleted. The parts depend on which
    samples there are, and not on their order: another split of the same data finds what the first one cut.
    """
    wanted = settings or Settings()
    place = (folder or cache.default_folder()) / "footage"
    groups: dict[tuple[str, str, str], list[int]] = {}
    for at in sorted(range(len(samples)), key=lambda at: samples[at].name):
        one = samples[at]
        groups.setdefault((one.name.split("/")[0], one.split or "", _made(one)), []).append(at)
    parts = []
    for group in groups.values():
        for low in range(0, len(group), SHARD):
            places = tuple(group[low : low + SHARD])
            own = tuple(samples[at] for at in places)
            parts.append(Shard(own, places, wanted, place / f"{_key(own, wanted)}.span"))
    return parts


def _made(sample: Sample) -> str:
    """Say how `synth` makes a sample, if it does: crops of several sizes cannot lie in one file."""
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
    """The strips of samples, made by as many workers as the executor has."""
    tasks, parts, done = shards(samples, settings, folder), [], 0
    for shard, _ in zip(tasks, results(executor(_work, tasks)), strict=True):
        parts.append(shard.footage())
        done += len(shard.samples)
        tick(done, len(samples))
    back = np.argsort([place for shard in tasks for place in shard.places])
    return Footage.joined(parts).take(back)


def _work(shard: Shard) -> None:
    if not _is_whole(shard.target):
        _make(shard)


def _key(samples: Sequence[Sample], settings: Settings) -> str:
    """A name that changes with whatever changes the strips; labels do not."""
    wanted = {name: value for name, value in settings.as_json().items() if name in DECISIVE}
    state = hashlib.sha256(json.dumps([VERSION, wanted], sort_keys=True).encode())
    for sample in samples:
        match sample.pixels:
            case OnDisk() as file:
                part = [str(file.start), str(file.end), file.frames, str(file.rate)]
                what: list[object] = [file.path, "", *part]
                what += [str(file.share)] if file.share else []
                what += [file.box] if file.box else []
                what += [] if file.is_upright else TURNS
                state.update(json.dumps(what + _state(Path(file.path))).encode())
            case Picture(luma, motion):
                moved = [motion] if motion else []
                state.update(json.dumps(["", "", *moved, *WHOLE]).encode())
                state.update(str(luma.shape).encode() + luma.tobytes())
            case Drawn(name):
                state.update(json.dumps(["", name, *WHOLE]).encode())
    return state.hexdigest()[:32]


def _state(path: Path) -> list[object]:
    """Size and time of change of a file, or of each picture of a folder; nothing where it cannot be told."""
    try:
        if path.is_dir():
            return [_state(Path(entry.path)) for entry in sorted(os.scandir(path), key=lambda e: e.name)]
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
            strip, trouble = nothing(), str(failure)
        strips.append(strip)
        troubles.append(trouble)
    faces = np.concatenate([strip.faces for strip in strips])
    shard.target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A plain array, so that it can be mapped: crops outgrow memory.
    with files.whole(_pictures(shard.target)) as stream:
        np.save(stream, faces, allow_pickle=False)
    cache.write(
        shard.target,
        {
            "count": np.array([len(strip) for strip in strips], np.int64),
            "time_base": np.array([[*strip.time_base.as_integer_ratio()] for strip in strips], np.int64),
            "pts": np.concatenate([strip.pts for strip in strips]),
            "landmarks": np.concatenate([strip.landmarks for strip in strips]),
            "quality": np.concatenate([strip.quality for strip in strips]),
            "trouble": np.array(troubles),
            "size": np.array(_pictures(shard.target).stat().st_size, np.int64),
        },
    )


def _pictures(target: Path) -> Path:
    return target.with_suffix(".npy")


def _is_whole(target: Path) -> bool:
    arrays = cache.read(target)
    if arrays is None:
        return False
    pictures = _pictures(target)
    return pictures.is_file() and pictures.stat().st_size == int(arrays["size"])


def _read(shard: Shard) -> Footage:
    arrays = cache.read(shard.target)
    if arrays is None:
        raise InputError(
            f"the cache {shard.target.parent} changes while it is read; set FERVID_CACHE_DIR elsewhere"
        )
    _allow_more_files()
    faces = np.load(_pictures(shard.target), mmap_mode="r", allow_pickle=False)
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
    """Every mapped file stays open, and the usual limit is low where the hard one is not."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
