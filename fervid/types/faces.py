"""Faces: tracks, rows per frame, and crops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from fervid.types.arrays import Array, Bytes, Floats, Ints, check

LANDMARKS = 68  # iBUG 300-W points
READABLE = 0.3  # a face of lower quality is not scored: it has no segment and no peak


class Status(IntEnum):
    """The status of a frame, or of a face in it, as the outputs name it."""

    OK = 0
    LOW_QUALITY = 1
    NO_FACE = 2
    NOT_SAMPLED = 3

    @property
    def label(self) -> str:
        return self.name.lower()


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
