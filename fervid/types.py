"""The nouns that every stage speaks: frozen, checked when built, numpy only.

Time is an integer: a pts in the video stream's own time base. Seconds are made from it at the edges,
counted from the stream's first frame. Boxes are `x, y, width, height` in upright, square pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

LANDMARKS = 68  # iBUG 300-W points
READABLE = 0.3  # quality below which a face is not read: no segment, no peak, rather than a guess
PERSON = re.compile(r"P[0-9]+")  # how persons are counted


def check(name: str, array: Array, shape: tuple[int | None, ...], dtype: type) -> None:
    """Refuse an array whose shape or type differs; None in `shape` accepts any length."""
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        wanted = f"{np.dtype(dtype)} {shape}"
        raise ValueError(f"{name} should be {wanted}, got {array.dtype} {array.shape}")


class Status(IntEnum):
    """What is known of one frame, or of one face in it."""

    OK = 0
    LOW_QUALITY = 1
    NO_FACE = 2
    NOT_SAMPLED = 3

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """What a timeline keeps of its video: where it came from, its clock, its upright size."""

    name: str  # the file's name alone, for outputs
    sha256: str
    container: str
    codec: str
    time_base: Fraction
    start: int  # pts of the first frame: second zero of every time that fervid prints
    duration: int  # ticks from `start` to the end of the last frame
    clock_offset: Fraction  # where the first frame stands on the container's clock, seconds
    rate: Fraction | None  # mean frames per second; None for a single still
    has_variable_rate: bool = False
    timecode: str | None = None  # of the first frame, from the file: HH:MM:SS:FF, ; before FF drops frames
    reel: str | None = None  # the tape or card that the file says it came from
    audio_channels: int = 0  # of all its sound together
    width: int  # upright, square pixels
    height: int
    rotation: int  # degrees clockwise that make the picture upright
    planned: int = 0  # frames

    def __post_init__(self) -> None:
        if self.time_base <= 0:
            raise ValueError(f"time_base should be positive, got {self.time_base}")

    @property
    def end(self) -> int:
        return self.start + self.duration

    def seconds(self, pts: int) -> float:
        """The time of `pts`, counted from the first frame."""
        return float((int(pts) - self.start) * self.time_base)

    def ticks(self, seconds: float | Fraction) -> int:
        """The pts nearest to a time counted from the first frame."""
        return self.start + round(Fraction(seconds) / self.time_base)

    def length(self, seconds: float | Fraction) -> int:
        """How many ticks a duration takes."""
        return round(Fraction(seconds) / self.time_base)


@dataclass(frozen=True, eq=False, kw_only=True)
class Video(Source):
    """A source with its file at hand, as planned: every frame that it promises."""

    path: str
    pts: Ints  # (N,) planned, ascending
    keyframes: Ints  # (K,) ascending
    seekable: bool = True  # False: pts missing, repeated or shuffled; decoded in one serial pass
    rotate: str = "auto"  # as asked for: "auto", "0", "90", "180", "270"
    has_variable_rate: bool = field(init=False)
    planned: int = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check("pts", self.pts, (None,), np.int64)
        check("keyframes", self.keyframes, (None,), np.int64)
        object.__setattr__(self, "has_variable_rate", _varies(self.pts))
        object.__setattr__(self, "planned", len(self.pts))

    def between(self, start: int, stop: int | None) -> Video:
        """The same video with only the plan of [start, stop): what travels to a worker."""
        low = np.searchsorted(self.pts, start)
        high = len(self.pts) if stop is None else np.searchsorted(self.pts, stop)
        return replace(self, pts=self.pts[low:high].copy())


def _varies(pts: Ints) -> bool:
    """Whether some frame stands half a frame or more from where an even rate would put it."""
    count = len(pts) - 1
    if count < 1:
        return False
    position = (pts - pts[0]) / max(1, int(pts[-1] - pts[0])) * count  # (N,) in frames
    return bool((np.abs(position - np.arange(count + 1)) >= 0.5).any())


class Clock(Protocol):
    """What turns pts into seconds: a `Source` is one, and a `Strip`."""

    @property
    def time_base(self) -> Fraction: ...

    @property
    def start(self) -> int: ...


@dataclass(frozen=True)
class Span:
    """A half-open range of pts that is analysed as one piece of work; `stop` None runs to the end."""

    index: int
    start: int
    stop: int | None

    def __contains__(self, pts: int) -> bool:
        return pts >= self.start and (self.stop is None or pts < self.stop)

    def within(self, pts: Ints) -> slice:
        """Return the rows of ascending `pts` that lie in the span."""
        high = len(pts) if self.stop is None else int(np.searchsorted(pts, self.stop))
        return slice(int(np.searchsorted(pts, self.start)), high)


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded picture: upright, square-pixel luma."""

    pts: int
    luma: Bytes  # (H, W)
    cut: bool = False  # the first frame of a shot
    repeated: bool = False  # its pts stood before: keeps its row, joins no track

    def __post_init__(self) -> None:
        check("luma", self.luma, (None, None), np.uint8)


@dataclass(frozen=True, eq=False)
class Track:
    """One face within one shot, as arrays over its frames."""

    id: int
    pts: Ints  # (N,) strictly ascending
    box: Floats  # (N, 4)
    landmarks: Floats  # (N, 68, 2)
    pose: Floats  # (N, 3) degrees: yaw, pitch, roll
    quality: Floats  # (N,) 0 unreadable .. 1 good
    status: Bytes  # (N,) Status.OK or Status.LOW_QUALITY

    def __post_init__(self) -> None:
        count = len(self.pts)
        check("pts", self.pts, (None,), np.int64)
        check("box", self.box, (count, 4), np.float32)
        check("landmarks", self.landmarks, (count, LANDMARKS, 2), np.float32)
        check("pose", self.pose, (count, 3), np.float32)
        check("quality", self.quality, (count,), np.float32)
        check("status", self.status, (count,), np.uint8)
        if count == 0 or (np.diff(self.pts) <= 0).any():
            raise ValueError("a track needs at least one frame, in strictly ascending pts")

    def __len__(self) -> int:
        return len(self.pts)

    def take(self, rows: slice | Array) -> Track:
        """The same track at some of its frames."""
        return replace(
            self,
            pts=self.pts[rows],
            box=self.box[rows],
            landmarks=self.landmarks[rows],
            pose=self.pose[rows],
            quality=self.quality[rows],
            status=self.status[rows],
        )


@dataclass(frozen=True, eq=False)
class Descriptors:
    """The descriptors of a track's best faces: biometric data, which no output contains."""

    pts: Ints  # (N,)
    box: Floats  # (N, 4)
    worth: Floats  # (N,) how well the face is seen, 0 .. 1
    descriptor: Floats  # (N, 128)

    def __post_init__(self) -> None:
        count = len(self.pts)
        check("pts", self.pts, (None,), np.int64)
        check("box", self.box, (count, 4), np.float32)
        check("worth", self.worth, (count,), np.float32)
        check("descriptor", self.descriptor, (count, 128), np.float32)

    def __len__(self) -> int:
        return len(self.pts)

    def take(self, rows: Array) -> Descriptors:
        """Some of the faces."""
        return Descriptors(self.pts[rows], self.box[rows], self.worth[rows], self.descriptor[rows])


@dataclass(frozen=True, eq=False)
class Curve:
    """One track's summary: where and when, and what its face showed, a row per window."""

    track: int
    start: int  # half-open [start, end) in pts
    end: int
    frames: int
    hull: Floats  # (4,) the box that holds all its boxes
    pts: Ints  # (N,) window centres
    scores: Floats  # (N, C) calibrated, rows sum to 1
    quality: Floats  # (N,)
    valence: Floats  # (N,) -1 .. 1
    arousal: Floats  # (N,) -1 .. 1
    intensity: Floats  # (N,) 1 - neutral
    person: str | None = None
    mean_quality: float | None = None  # as a timeline tells it; None: the mean of `quality`

    def __post_init__(self) -> None:
        count = len(self.pts)
        check("hull", self.hull, (4,), np.float32)
        check("pts", self.pts, (None,), np.int64)
        check("scores", self.scores, (count, None), np.float32)
        for name in ("quality", "valence", "arousal", "intensity"):
            check(name, getattr(self, name), (count,), np.float32)


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch of one track that shows one emotion, half-open [start, end)."""

    track: int
    start: int
    end: int
    emotion: str
    scores: Floats  # (C,) mean over the stretch
    confidence: float
    valence: float
    arousal: float
    intensity: float
    frames: int
    person: str | None = None


@dataclass(frozen=True)
class Peak:
    """A moment at which one emotion of one track stands out."""

    track: int
    emotion: str
    onset: int
    apex: int
    offset: int
    score: float
    prominence: float
    valence: float
    arousal: float
    intensity: float
    person: str | None = None


@dataclass(frozen=True, eq=False)
class Person:
    """One person over all shots."""

    id: str  # P1, P2, ...: P1 is on screen longest
    name: str | None  # None until somebody gives one
    tracks: tuple[int, ...]  # ascending
    ticks: int  # on screen
    pts: int  # the moment at which the face is seen best
    box: Floats  # (4,) where it is then

    def __post_init__(self) -> None:
        check("box", self.box, (4,), np.float32)


@dataclass(frozen=True)
class ModelInfo:
    """What a timeline says of the model that made it."""

    name: str
    sha256: str
    trained: bool
    labels: tuple[str, ...]
    streams: tuple[str, ...]
    licences: Mapping[str, str]  # what it covers -> terms


@dataclass(frozen=True)
class Tally:
    """How the frames of a video fared; tallies add."""

    decoded: int = 0
    with_faces: int = 0
    undecodable: int = 0
    complete: bool = True

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.decoded + other.decoded,
            self.with_faces + other.with_faces,
            self.undecodable + other.undecodable,
            self.complete and other.complete,
        )


@dataclass(frozen=True, eq=False)
class Timeline:
    """Everything that is told of one analysed video, just made or read back."""

    source: Source
    model: ModelInfo
    settings: Mapping[str, Any]  # of `Settings`, as JSON holds them
    tally: Tally
    shots: Ints  # (K,) pts of each shot's first frame, ascending
    curves: tuple[Curve, ...]
    segments: tuple[Segment, ...]
    peaks: tuple[Peak, ...]
    people: tuple[Person, ...] = ()
    has_curves: bool = True  # False: read from JSON Lines, so that curves have no rows

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of every row of scores."""
        return self.model.labels

    @property
    def names(self) -> dict[str, str]:
        """What to call each person, by id: the name that was given, else the id."""
        return {person.id: person.name or person.id for person in self.people}

    @property
    def end(self) -> int:
        """The pts at which the analysis ended."""
        end = self.settings.get("end")
        return self.source.end if end is None else min(self.source.end, self.source.ticks(float(end)))


@dataclass(frozen=True)
class Settings:
    """What was asked for that changes the result: part of every cache key and of the timeline."""

    start: Fraction | None = None  # seconds from the first frame
    end: Fraction | None = None
    sample_fps: Fraction | None = None  # None: every frame
    faces: str = "all"  # or "largest": only the largest face of each moment
    min_face: float = 0.1  # share of the frame's height
    detector: str = "hog"
    landmarks: str = "dlib"  # the predictor that places the 68 points
    min_segment: float = 0.3  # seconds
    people: bool = True  # whether tracks of one person are joined

    def as_json(self) -> dict[str, object]:
        """Return the settings as JSON holds them; exact fractions become numbers."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {k: float(v) if isinstance(v, Fraction) else v for k, v in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """Read what `as_json` wrote; fractions are exact again, and unknown settings a TypeError."""
        names = [name for name, field in cls.__dataclass_fields__.items() if field.type == "Fraction | None"]
        exact = {
            name: Fraction(values[name]).limit_denominator(1_000_000)
            for name in names
            if values.get(name) is not None
        }
        return cls(**{**values, **exact})


@dataclass(frozen=True, eq=False)
class Rows:
    """A chunk of the per-frame result: a row per frame and face, one when there is no face."""

    frame: Ints  # (N,) index in the planned list of frames
    pts: Ints  # (N,)
    track: Ints  # (N,) -1 where there is none
    status: Bytes  # (N,) Status
    box: Floats  # (N, 4) nan where there is no face, and so below
    landmarks: Floats  # (N, 68, 2)
    pose: Floats  # (N, 3)
    quality: Floats  # (N,)
    scores: Floats  # (N, C)

    def __post_init__(self) -> None:
        count = len(self.frame)
        for name, shape, dtype in (
            ("frame", (), np.int64),
            ("pts", (), np.int64),
            ("track", (), np.int64),
            ("status", (), np.uint8),
            ("box", (4,), np.float32),
            ("landmarks", (LANDMARKS, 2), np.float32),
            ("pose", (3,), np.float32),
            ("quality", (), np.float32),
            ("scores", (None,), np.float32),
        ):
            check(name, getattr(self, name), (count, *shape), dtype)

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, eq=False)
class Crops:
    """A chunk of one track's aligned faces."""

    track: int
    pts: Ints  # (N,)
    faces: Bytes  # (N, S, S)

    def __post_init__(self) -> None:
        check("pts", self.pts, (None,), np.int64)
        check("faces", self.faces, (len(self.pts), None, None), np.uint8)


@dataclass(frozen=True)
class OnDisk:
    """A face on disk: in a video, a picture or a folder of pictures, or in a part of one."""

    path: str
    start: Fraction | None = None  # seconds, where only a part of a video is meant
    end: Fraction | None = None
    frames: tuple[int, int] | None = None  # half-open range of a folder's pictures, where only some are meant
    rate: Fraction | None = None  # pictures per second of a folder of them
    share: tuple[Fraction, Fraction] | None = None  # of all frames: those meant, where nobody counted them
    box: tuple[int, int, int, int] | None = None  # left, top, width, height: the face meant, in a picture
    is_upright: bool = True  # False: it may lie on its side, and is to be turned until there is a face

    def __post_init__(self) -> None:
        if self.share is not None and not 0 <= self.share[0] < self.share[1] <= 1:
            raise ValueError(f"the share of {self.path} should be within 0 and 1, got {self.share}")
        if self.box is not None and min(self.box[2:]) < 1:
            raise ValueError(f"the box in {self.path} should hold pixels, got {self.box}")


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in memory, where a dataset has no file for it."""

    luma: Bytes  # (H, W)
    motion: str = ""  # how `synth` sets it in motion; empty: not at all

    def __post_init__(self) -> None:
        check("luma", self.luma, (None, None), np.uint8)


@dataclass(frozen=True)
class Drawn:
    """A face that `synth` draws, where there are no pixels at all."""

    name: str  # what to draw


@dataclass(frozen=True, eq=False)
class Sample:
    """One row of a dataset: what a face shows, whose face it is, and where its pixels come from."""

    name: str  # unique within the dataset, and the same on every machine: never an absolute path
    label: str
    pixels: OnDisk | Picture | Drawn
    votes: Mapping[str, float] = field(default_factory=dict)  # label -> share; empty: all for `label`
    subject: str | None = None  # None: unknown
    split: str | None = None  # the dataset's own part, as it calls it
    origin: str = ""  # which dataset it is of, where several are read at once

    def __post_init__(self) -> None:
        if self.votes and abs(sum(self.votes.values()) - 1) > 1e-6:
            raise ValueError(f"the votes of sample {self.name} should sum to 1, got {self.votes}")


@dataclass(frozen=True, eq=False)
class Strip:
    """The face of one sample over time, cut as analysis cuts it, with a margin to move it about in."""

    time_base: Fraction
    pts: Ints  # (N,) strictly ascending; (0,) where no face was found
    faces: Bytes  # (N, M, M) aligned crops
    landmarks: Floats  # (N, 68, 2) in the pixels of the crops
    quality: Floats | None = None  # (N,) 0 unreadable .. 1 good; None: all good

    def __post_init__(self) -> None:
        count = len(self.pts)
        if self.quality is None:
            object.__setattr__(self, "quality", np.ones(count, np.float32))
        assert self.quality is not None
        check("quality", self.quality, (count,), np.float32)
        check("pts", self.pts, (None,), np.int64)
        side = self.faces.shape[-1]
        check("faces", self.faces, (count, side, side), np.uint8)
        check("landmarks", self.landmarks, (count, LANDMARKS, 2), np.float32)
        if (np.diff(self.pts) <= 0).any():
            raise ValueError("a strip's pts should be strictly ascending")

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def start(self) -> int:
        return int(self.pts[0]) if len(self.pts) else 0
