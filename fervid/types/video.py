"""A video and its frames."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Protocol

import numpy as np

from fervid.types.arrays import Bytes, Ints, check


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
