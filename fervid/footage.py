"""From a dataset's samples to strips of faces: by the road of analysis, once, kept on disk.

A strip holds the main face of its sample: the one that is largest for longest. Where a sample is a picture of
a face, and the detector does not find it, a border is put around it, and at last the whole picture is taken
for the face's box.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache as cache_once
from pathlib import Path

import cv2
import numpy as np

from fervid import cache, shots, synth, tracks, video
from fervid.errors import FervidError, InputError
from fervid.execute import Executor, results
from fervid.faces import FaceFinder, Found
from fervid.shape import CROP, MARGIN, alignment
from fervid.types import Array, Bytes, Floats, Frame, Ints, Sample, Settings, Strip, Video

VERSION = 1  # of what the road makes of a sample; part of every key
DECISIVE = ("sample_fps", "faces", "min_face", "detector", "landmarks")  # settings that strips depend on
SHARD = 64  # samples that are cut as one task and lie in one file
FACE_PICTURE = 256  # pixels: a picture no larger than this is one of a face, whatever the detector says
BORDER = 0.25  # of the side, put around a picture whose face fills it
ENLARGED = 160  # pixels: the side of such a picture before the border, which the detector is good at
TURNS = ("auto", "90", "270")  # as the file says; then, where a clip may lie on its side, either way
STEADY = 0.5  # the share of frames with a face that shows which way is up

NO_FACE, UNREADABLE = "no face", "unreadable"


@dataclass(frozen=True)
class PictureFinder(FaceFinder):
    """A finder for pictures of one face: it looks harder."""

    def detect(self, luma: Bytes) -> list[Found]:
        found = super().detect(luma)
        if found or max(luma.shape) > FACE_PICTURE:
            return found
        scale = ENLARGED / max(luma.shape)
        large = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        border = int(BORDER * ENLARGED)
        around = cv2.copyMakeBorder(large, border, border, border, border, cv2.BORDER_REPLICATE)
        within = replace(self, min_face=FaceFinder.min_face)
        found = [
            (np.concatenate([(box[:2] - border) / scale, box[2:] / scale]).astype(np.float32), score)
            for box, score in FaceFinder.detect(within, np.asarray(around, np.uint8))
        ]
        height, width = luma.shape
        return found or [(np.array([0, 0, width, height], np.float32), 0.0)]


def strip_of(sample: Sample, settings: Settings | None = None) -> Strip:
    """The main face of a sample; a strip of no frames where there is none."""
    if sample.drawn:
        return synth.strip_of(sample)
    wanted = settings or Settings()
    best: Strip | None = None
    for rotate in TURNS[:1] if sample.is_upright else TURNS:
        planned, frames = _frames(sample, rotate)
        strip = _followed(planned, frames, wanted)
        if best is None or len(strip) > len(best):
            best = strip
        if len(best) >= STEADY * len(planned.pts):
            break
    assert best is not None
    return synth.in_motion(best, sample.motion) if sample.motion and len(best) else best


def _followed(planned: Video, frames: Iterator[Frame], wanted: Settings) -> Strip:
    """The main face of a planned video."""
    kind = PictureFinder if len(planned.pts) == 1 else FaceFinder
    finder = kind.of(wanted)
    wide: dict[tuple[int, int], tuple[Bytes, np.ndarray]] = {}

    def watched(frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            now[0] = frame
            yield frame

    now: list[Frame] = [Frame(0, np.zeros((1, 1), np.uint8))]
    observed = []
    for one in tracks.follow(planned, shots.mark(watched(frames)), finder, wanted):
        observed.append(one)
        for seen in one.faces:
            # Here the picture is still at hand; the narrow crop that tracking made is the middle of this one.
            matrix, _ = alignment(seen.landmarks, MARGIN)
            wide[seen.track, one.pts] = (finder.crop(now[0].luma, seen.landmarks, MARGIN), matrix)
    return _main_strip(planned, tracks.collect(planned, observed), wide)


def _main_strip(
    planned: Video,
    followed: Sequence[tracks.Followed],
    wide: dict[tuple[int, int], tuple[Bytes, np.ndarray]],
) -> Strip:
    side = CROP + 2 * MARGIN
    if not followed:
        empty = np.empty((0, side, side), np.uint8)
        return Strip(planned.time_base, np.empty(0, np.int64), empty, np.empty((0, 68, 2), np.float32))
    main = max(followed, key=lambda one: (float(one.track.box[:, 2:].prod(1).sum()), -one.track.id)).track
    cut = [wide[main.id, pts] for pts in main.pts.tolist()]
    landmarks = [
        points @ matrix[:, :2].T + matrix[:, 2]
        for points, (_, matrix) in zip(main.landmarks, cut, strict=True)
    ]
    return Strip(
        planned.time_base,
        main.pts,
        np.stack([crop for crop, _ in cut]),
        np.stack(landmarks).astype(np.float32),
        main.quality,
    )


def _frames(sample: Sample, rotate: str) -> tuple[Video, Iterator[Frame]]:
    """The planned video of a sample, and the frames of the part that is meant."""
    if sample.picture is not None or sample.box is not None:
        luma = np.ascontiguousarray(_boxed(sample) if sample.picture is None else sample.picture)
        return _picture(sample.name, luma), iter([Frame(0, luma)])
    planned = video.plan(sample.path, rotate, sample.rate)
    start = None if sample.start is None else planned.ticks(sample.start)
    stop = None if sample.end is None else planned.ticks(sample.end)
    if sample.frames is not None or sample.share is not None:
        low, high = sample.frames or _counted(sample.share, len(planned.pts))
        if not 0 <= low < high <= len(planned.pts):
            raise InputError(f"{sample.name}: there are no frames {low} to {high} in {sample.path}")
        start = int(planned.pts[low])
        stop = int(planned.pts[high]) if high < len(planned.pts) else None
        planned = planned.between(start, stop)
    return planned, video.frames(planned, start, stop)


def _counted(share: tuple[Fraction, Fraction] | None, count: int) -> tuple[int, int]:
    """Which of so many frames a share means: at least one."""
    assert share is not None
    low = min(math.floor(share[0] * count), count - 1)
    return low, max(low + 1, math.ceil(share[1] * count))


def _boxed(sample: Sample) -> Bytes:
    """What the box of a sample holds of its picture, no larger than a picture of a face."""
    first = next(video.frames(video.plan(sample.path)), None)
    if first is None:
        raise InputError(f"{sample.name}: {sample.path} cannot be decoded; copy it again")
    assert sample.box is not None
    left, top, width, height = sample.box
    luma = first.luma[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
    if not luma.size:
        raise InputError(f"{sample.name}: the box {sample.box} lies outside of the picture {sample.path}")
    scale = FACE_PICTURE / max(luma.shape)
    if scale < 1:
        size = [max(1, round(scale * side)) for side in reversed(luma.shape)]
        luma = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
    return luma


def _picture(name: str, luma: Bytes) -> Video:
    """A picture as a video of one frame."""
    pts = np.zeros(1, np.int64)
    height, width = luma.shape
    return Video(
        path=name,
        name=name,
        sha256="",
        time_base=Fraction(1, 25),
        start=0,
        duration=1,
        width=width,
        height=height,
        rotation=0,
        container="picture",
        codec="none",
        rate=None,
        clock_offset=Fraction(0),
        pts=pts,
        keyframes=pts,
    )


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
        # Made alike, for crops of several sizes cannot lie in one file.
        kind = "/".join(word for word in (one.motion or one.drawn).split("/") if not word.isdigit())
        groups.setdefault((one.name.split("/")[0], one.split or "", kind), []).append(at)
    parts = []
    for group in groups.values():
        for low in range(0, len(group), SHARD):
            places = tuple(group[low : low + SHARD])
            own = tuple(samples[at] for at in places)
            parts.append(Shard(own, places, wanted, place / f"{_key(own, wanted)}.span"))
    return parts


def cut(
    samples: Sequence[Sample],
    executor: Executor,
    settings: Settings | None = None,
    folder: Path | None = None,
    tick: Callable[[int], None] | None = None,
) -> Footage:
    """The strips of samples, made by as many workers as the executor has."""
    tasks, parts, done = shards(samples, settings, folder), [], 0
    for shard, _ in zip(tasks, results(executor(_work, tasks)), strict=True):
        parts.append(shard.footage())
        done += len(shard.samples)
        if tick is not None:
            tick(done)
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
        what: list[object] = [
            sample.path,
            sample.drawn,
            *([sample.motion] if sample.motion else []),
            str(sample.start),
            str(sample.end),
            sample.frames,
            str(sample.rate),
            *([str(sample.share)] if sample.share else []),
            *([sample.box] if sample.box else []),
            *([] if sample.is_upright else TURNS),
        ]
        if sample.path:
            what += _state(Path(sample.path))
        state.update(json.dumps(what).encode())
        if sample.picture is not None:
            state.update(str(sample.picture.shape).encode() + sample.picture.tobytes())
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
            strip, trouble = _main_strip(_picture("", np.zeros((1, 1), np.uint8)), [], {}), str(failure)
        strips.append(strip)
        troubles.append(trouble)
    faces = np.concatenate([strip.faces for strip in strips])
    shard.target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = shard.target.with_suffix(f".{os.getpid()}.part")
    with beside.open("wb") as stream:  # a plain array, so that it can be mapped: crops outgrow memory
        np.save(stream, faces, allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(_pictures(shard.target))
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
