"""The data types that stages pass to each other: frozen, with checked shapes, made of numpy arrays.

A time is an integer, a pts in the time base of the video stream. Only exporters and the command line convert
it to seconds, counted from the first frame. Boxes are `x, y, width, height` in upright, square pixels.
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
READABLE = 0.3  # a face of lower quality is not scored: it has no segment and no peak
CERTAIN = 0.5  # a segment of lower confidence is uncertain: all other labels together are likelier
PERSON = re.compile(r"P[0-9]+")  # the id of a person


def check(name: str, array: Array, shape: tuple[int | None, ...], dtype: type) -> None:
    """Raise ValueError if an array has another shape or type; None in `shape` stands for any length."""
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        raise ValueError(f"{name} should be {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}")


class Status(IntEnum):
    """The status of a frame, or of a face in it, as the outputs name it."""

    OK = 0
    LOW_QUALITY = 1
    NO_FACE = 2
    NOT_SAMPLED = 3

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """The facts about a video that a timeline contains: its name, format, clock and size."""

    name: str  # the file's name alone, for outputs
    sha256: str
    container: str
    codec: str
    time_base: Fraction
    start: int  # pts of the first frame, from which seconds are counted
    duration: int  # ticks from `start` to the end of the last frame
    clock_offset: Fraction  # seconds on the container's clock at the first frame
    rate: Fraction | None  # mean frames per second; None for a single still
    has_variable_rate: bool = False
    timecode: str | None = None  # of the first frame: HH:MM:SS:FF, or ;FF for drop-frame
    reel: str | None = None  # the tape or card named in the file
    audio_channels: int = 0  # of all audio streams
    width: int  # upright, square pixels
    height: int
    rotation: int  # degrees clockwise that turn the picture upright
    planned: int = 0  # frames in the file, decodable or not

    def __post_init__(self) -> None:
        if self.time_base <= 0:
            raise ValueError(f"time_base should be positive, got {self.time_base}")

    @property
    def end(self) -> int:
        return self.start + self.duration

    def seconds(self, pts: int) -> float:
        """Return the seconds from the first frame to `pts`."""
        return float((int(pts) - self.start) * self.time_base)

    def ticks(self, seconds: float | Fraction) -> int:
        """Return the pts nearest to a time in seconds from the first frame."""
        return self.start + round(Fraction(seconds) / self.time_base)

    def length(self, seconds: float | Fraction) -> int:
        """Return a duration in ticks."""
        return round(Fraction(seconds) / self.time_base)


@dataclass(frozen=True, eq=False, kw_only=True)
class Video(Source):
    """A source that can be decoded: its path, and the pts of every frame, read without decoding."""

    path: str
    pts: Ints  # (N,) of the planned frames, ascending
    keyframes: Ints  # (K,) ascending
    seekable: bool = True  # False: pts are missing, repeated or unordered; decoded in one serial pass
    rotate: str = "auto"  # the option: "auto", "0", "90", "180", "270"
    has_variable_rate: bool = field(init=False)
    planned: int = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check("pts", self.pts, (None,), np.int64)
        check("keyframes", self.keyframes, (None,), np.int64)
        object.__setattr__(self, "has_variable_rate", _varies(self.pts))
        object.__setattr__(self, "planned", len(self.pts))

    def between(self, start: int, stop: int | None) -> Video:
        """Return the video with only the frames of [start, stop), to be sent to a worker."""
        low = np.searchsorted(self.pts, start)
        high = len(self.pts) if stop is None else np.searchsorted(self.pts, stop)
        return replace(self, pts=self.pts[low:high].copy())


def _varies(pts: Ints) -> bool:
    """Return whether some frame is half a frame or more off the time that an even rate gives it."""
    count = len(pts) - 1
    if count < 1:
        return False
    position = (pts - pts[0]) / max(1, int(pts[-1] - pts[0])) * count  # (N,) in frames
    return bool((np.abs(position - np.arange(count + 1)) >= 0.5).any())


class Clock(Protocol):
    """The time base and first pts of a `Source` or a `Strip`, which turn pts into seconds."""

    @property
    def time_base(self) -> Fraction: ...

    @property
    def start(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame: its luma, upright and with square pixels."""

    pts: int
    luma: Bytes  # (H, W)
    cut: bool = False  # the first frame of a shot
    repeated: bool = False  # an earlier frame has the same pts: this one has a row, but no faces

    def __post_init__(self) -> None:
        check("luma", self.luma, (None, None), np.uint8)


@dataclass(frozen=True, eq=False)
class Track:
    """A face that is followed through one shot, as arrays with a row per frame."""

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
        """Return the track at some of its frames."""
        return replace(self, **{name: array[rows] for name, array in vars(self).items() if name != "id"})


@dataclass(frozen=True, eq=False)
class Curve:
    """The scores of a track over time, a row per window, with the time and place of the track."""

    track: int
    start: int  # half-open [start, end) in pts
    end: int
    frames: int
    hull: Floats  # (4,) the smallest box around all boxes of the track
    pts: Ints  # (N,) window centres
    scores: Floats  # (N, C) calibrated, rows sum to 1
    quality: Floats  # (N,)
    valence: Floats  # (N,) -1 .. 1
    arousal: Floats  # (N,) -1 .. 1
    intensity: Floats  # (N,) 1 - neutral
    person: str | None = None
    mean_quality: float | None = None  # read from a timeline; None: the mean of `quality`
    units: Mapping[str, Floats] = field(default_factory=dict)  # action unit -> (N,) 0 .. 5, if measured
    blinks: Ints | None = None  # (B,) pts; None: not counted
    motion: Floats | None = None  # (N,) eye distances from the neutral face; not in files

    def __post_init__(self) -> None:
        count = len(self.pts)
        check("hull", self.hull, (4,), np.float32)
        check("pts", self.pts, (None,), np.int64)
        check("scores", self.scores, (count, None), np.float32)
        names = ("quality", "valence", "arousal", "intensity", "motion")
        for name, values in {**{name: getattr(self, name) for name in names}, **self.units}.items():
            if values is not None:
                check(name, values, (count,), np.float32)


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch [start, end) of a track in which the face shows one emotion."""

    track: int
    start: int
    end: int
    emotion: str
    scores: Floats  # (C,) means over the stretch
    confidence: float
    valence: float
    arousal: float
    intensity: float
    frames: int
    person: str | None = None

    @property
    def is_uncertain(self) -> bool:
        """Whether its confidence is below CERTAIN, rounded as in files: a timeline read back agrees."""
        return round(self.confidence, 6) < CERTAIN


@dataclass(frozen=True)
class Peak:
    """A moment at which one emotion of a track stands out."""

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
    """A person and all their tracks, in every shot."""

    id: str  # P1, P2, ...: P1 is on screen longest
    name: str | None  # None unless the user gave one
    tracks: tuple[int, ...]  # ascending
    ticks: int  # time on screen
    pts: int  # the frame that shows the face best
    box: Floats  # (4,) of the face in that frame

    def __post_init__(self) -> None:
        check("box", self.box, (4,), np.float32)


@dataclass(frozen=True)
class ModelInfo:
    """The facts about a model that a timeline contains."""

    name: str
    sha256: str
    trained: bool
    labels: tuple[str, ...]
    streams: tuple[str, ...]
    licences: Mapping[str, str]  # part of the model -> terms


@dataclass(frozen=True)
class Tally:
    """Counts of the decoded frames of a video or a part of it; tallies add up."""

    decoded: int = 0
    with_faces: int = 0
    undecodable: int = 0
    complete: bool = True  # False if the file ends early

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.decoded + other.decoded,
            self.with_faces + other.with_faces,
            self.undecodable + other.undecodable,
            self.complete and other.complete,
        )


@dataclass(frozen=True, eq=False)
class Timeline:
    """The result of analysing one video, just made or read from a file."""

    source: Source
    model: ModelInfo
    settings: Mapping[str, Any]  # `Settings` as JSON
    tally: Tally
    shots: Ints  # (K,) pts of each shot's first frame, ascending
    curves: tuple[Curve, ...]
    segments: tuple[Segment, ...]
    peaks: tuple[Peak, ...]
    people: tuple[Person, ...] = ()
    has_curves: bool = True  # False: read from JSON Lines, which has no rows of curves

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the columns of scores."""
        return self.model.labels

    @property
    def names(self) -> dict[str, str]:
        """The name of each person by id, or the id where the user gave no name."""
        return {person.id: person.name or person.id for person in self.people}

    @property
    def end(self) -> int:
        """The pts at which the analysis ended."""
        end = self.settings.get("end")
        return self.source.end if end is None else min(self.source.end, self.source.ticks(float(end)))


@dataclass(frozen=True)
class Settings:
    """The options that change the result; they are part of every cache key and of the timeline."""

    start: Fraction | None = None  # seconds from the first frame
    end: Fraction | None = None
    sample_fps: Fraction | None = None  # None: every frame
    faces: str = "all"  # or "largest": only the largest face of each frame
    min_face: float = 0.1  # share of the frame's height
    detector: str = "yunet"
    landmarks: str = "open"  # the predictor of the 68 points
    min_segment: float = 0.3  # seconds
    people: bool = True  # whether persons are identified across tracks

    def as_json(self) -> dict[str, object]:
        """Return the settings as JSON values; fractions become numbers."""
        return {k: float(v) if isinstance(v, Fraction) else v for k, v in vars(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """Return the settings of JSON values, with exact fractions; raise TypeError for unknown ones."""
        exact = {
            name: Fraction(values[name]).limit_denominator(1_000_000)
            for name, field in cls.__dataclass_fields__.items()
            if field.type == "Fraction | None" and values.get(name) is not None
        }
        return cls(**{**values, **exact})


@dataclass(frozen=True, eq=False)
class Rows:
    """A part of the per-frame result: a row per frame and face, and one for a frame without a face."""

    frame: Ints  # (N,) index in `Video.pts`
    pts: Ints  # (N,)
    track: Ints  # (N,) -1 where there is no face
    status: Bytes  # (N,) Status
    box: Floats  # (N, 4) nan where there is no face, as in the arrays below
    landmarks: Floats  # (N, 68, 2)
    pose: Floats  # (N, 3)
    quality: Floats  # (N,)
    scores: Floats  # (N, C)

    def __post_init__(self) -> None:
        count = len(self.frame)
        for name in ("frame", "pts", "track"):
            check(name, getattr(self, name), (count,), np.int64)
        check("status", self.status, (count,), np.uint8)
        check("box", self.box, (count, 4), np.float32)
        check("landmarks", self.landmarks, (count, LANDMARKS, 2), np.float32)
        check("pose", self.pose, (count, 3), np.float32)
        check("quality", self.quality, (count,), np.float32)
        check("scores", self.scores, (count, None), np.float32)

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, eq=False)
class Crops:
    """Aligned pictures of the face of a track, at some of its frames."""

    track: int
    pts: Ints  # (N,)
    faces: Bytes  # (N, S, S)

    def __post_init__(self) -> None:
        check("pts", self.pts, (None,), np.int64)
        check("faces", self.faces, (len(self.pts), None, None), np.uint8)
