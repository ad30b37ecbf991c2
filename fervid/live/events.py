"""The events of a live analysis, in the order of their report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fervid.types import Floats, ModelInfo, Segment, Status, Timeline, Video


@dataclass(frozen=True, eq=False)
class Begun:
    """The first picture came."""

    video: Video  # its duration and SHA-256 are not known yet
    model: ModelInfo
    settings: Mapping[str, object]


@dataclass(frozen=True, eq=False)
class LiveFace:
    """A face in a frame."""

    track: int
    status: Status
    box: Floats  # (4,)
    pose: Floats  # (3,) degrees: yaw, pitch, roll
    quality: float
    scores: Floats  # (C,)


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame and its faces; `latency` is the time from its arrival to this event."""

    number: int  # from 0; dropped frames count
    pts: int
    dropped: int  # frames before this one, after the last analyzed one, that were dropped
    faces: tuple[LiveFace, ...]
    latency: float  # seconds


@dataclass(frozen=True, eq=False)
class LiveSegment:
    """A final segment; `latency` is the time from the arrival of its last frame to this event."""

    segment: Segment
    latency: float  # seconds


@dataclass(frozen=True)
class Gap:
    """The feed was silent or broke: all tracks have ended."""

    pts: int | None  # of the last frame before it
    reason: str


@dataclass(frozen=True)
class Latency:
    """The latencies of all frames, in seconds."""

    median: float
    high: float  # that 95 % of the frames do not exceed
    most: float


@dataclass(frozen=True, eq=False)
class Ended:
    """The end of a live analysis, and its totals."""

    frames: int  # analyzed
    with_faces: int
    dropped: int
    damaged: int  # packets that could not be decoded
    segments: int
    tracks: int
    gaps: int
    seconds: float  # from the first frame to the end of the last
    latency: Latency | None  # None without a frame
    is_complete: bool  # False: the feed broke, and could not be opened again
    timeline: Timeline | None = None  # if it was kept


Event = Begun | LiveFrame | LiveSegment | Gap | Ended
