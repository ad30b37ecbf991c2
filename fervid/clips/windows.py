"""Windows of a face: their centres, their frames, and the arrays that networks read of these frames.

Training, evaluation and analysis all cut their windows here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from fervid.clips.neutrals import NEUTRAL_SECONDS, neutral
from fervid.clips.straightness import straightness
from fervid.faces import shape
from fervid.types import Array, Bytes, Clock, Floats, Ints, Track
from fervid.types.samples import Strip

LENGTH = 16  # frames in a window
SPACING = Fraction(1, 25)  # seconds between them: 0.64 s in all
STRIDE = Fraction(8, 25)  # seconds between windows: half a window
NO_CROPS = np.empty((0, 0, 0), np.uint8)


@dataclass(frozen=True, eq=False)
class Face:
    """A face over time, from a track or a strip; inputs of networks are computed when they are first used."""

    clock: Clock
    pts: Ints  # (N,) strictly ascending
    quality: Floats  # (N,)
    landmarks: Floats  # (N, 68, 2) in pixels of the picture (track) or the crops (strip)
    crops: Bytes  # (N, M, M), or NO_CROPS
    margin: int | None  # pixels around the crops of a strip; None for a track

    @classmethod
    def of_track(cls, clock: Clock, track: Track, crops: Bytes = NO_CROPS) -> Face:
        """Return the face of a track."""
        return cls(clock, track.pts, track.quality, track.landmarks, crops, None)

    @classmethod
    def of_strip(cls, strip: Strip) -> Face:
        """Return the face of a strip."""
        assert strip.quality is not None
        return cls(strip, strip.pts, strip.quality, strip.landmarks, strip.faces, shape.MARGIN)

    @property
    def faces(self) -> Bytes:
        """The crops without the margin: (N, S, S)."""
        edge = slice(self.margin, -self.margin if self.margin else None)
        return self.crops[:, edge, edge]

    @cached_property
    def points(self) -> Floats:
        """The landmarks in the pixels of `faces`: (N, 68, 2)."""
        if self.margin is not None:
            return self.landmarks - np.float32(self.margin)
        points = np.empty_like(self.landmarks, np.float32)
        for row, landmarks in enumerate(self.landmarks):
            matrix, _ = shape.alignment(landmarks)
            points[row] = landmarks @ matrix[:, :2].T + matrix[:, 2]
        return points

    @cached_property
    def upright(self) -> Floats:
        """The landmarks without head pose, in eye distances: (N, 68, 2)."""
        return shape.without_pose(self.landmarks)

    @cached_property
    def neutral(self) -> Floats:
        """The person's neutral face: (68, 2) in eye distances."""
        young = (self.pts - self.clock.start) * float(self.clock.time_base) < NEUTRAL_SECONDS
        young &= self.quality > 0  # others have no landmarks of their own
        return neutral(self.clock, self.pts[young], self.upright[young])

    def centres(self) -> Ints:
        """Return the centres of all windows of the face."""
        return centres(self.clock, self.pts, self.clock.start, None)

    def windows(self, moments: Ints | None = None) -> Iterator[Window]:
        """Yield the windows at these centres, or all windows of the face."""
        for centre in (self.centres() if moments is None else moments).tolist():
            yield Window(self, centre, rows(self.clock, self.pts, centre))

    def whole(self) -> Window:
        """Return the window over all of the face's time, from its first frame to its last."""
        return Window(self, int(self.pts[0] + self.pts[-1]) // 2, whole_rows(self.pts))


@dataclass(frozen=True, eq=False)
class Window:
    """Some frames of a face that a network reads together; arrays are cut when they are used."""

    face: Face
    centre: int  # pts
    rows: Ints  # (L,) of the frames: L is LENGTH, but training may take one or two

    @classmethod
    def at(cls, face: Face, rows: Ints) -> Window:
        """Return the window of these rows, centred on the first."""
        return cls(face, int(face.pts[rows[0]]), rows)

    def __getitem__(self, name: str) -> Array:
        """Return an input: `faces` (L, S, S), `points` in their pixels or `displacement` (L, 68, 2)."""
        match name:
            case "faces":
                return np.ascontiguousarray(self.take(self.face.faces))
            case "points":
                return self.take(self.face.points)
            case "displacement":
                return self.displacement(self.face.neutral)
        raise KeyError(name)

    def displacement(self, neutral: Floats) -> Floats:
        """Return the landmarks relative to a neutral face: (L, 68, 2)."""
        return self.take(self.face.upright) - neutral

    def motion(self, neutral: Floats) -> float:
        """Return how far the face is from a neutral face: the mean over the inner points, in eye distances.

        Of each point it is the median over the frames, so that a blink or a jittered frame counts little.
        """
        away = np.median(self.displacement(neutral)[:, shape.INNER], axis=0)  # (51, 2)
        return float(np.hypot(away[:, 0], away[:, 1]).mean())

    @property
    def straightness(self) -> float:
        """How far the inner points of the face get of how far they move, in [0, 1]."""
        return straightness(self.take(self.face.upright)[:, shape.INNER])

    def take(self, frames: Array) -> Array:
        """Return the rows of the window from an array over the frames of the face."""
        return np.asarray(frames[self.rows])

    @property
    def quality(self) -> float:
        """The mean quality of the frames."""
        return float(self.take(self.face.quality).mean())


def straightness_of(windows: Sequence[Window]) -> Floats:
    """Return the straightness of each window, (N,)."""
    return np.array([window.straightness for window in windows], np.float32)


def centres(clock: Clock, pts: Ints, start: int, stop: int | None) -> Ints:
    """Return the window centres in [start, stop) with one of the frames `pts` within half a stride.

    The first and the last are moved into the track, because the frames around it may be of another shot.
    """
    step = STRIDE / clock.time_base
    nearest = np.unique(np.rint((pts - clock.start) / float(step)).astype(np.int64))
    moments = np.array([clock.start + round(int(cell) * step) for cell in nearest], np.int64)
    moments = np.unique(moments.clip(pts[0], pts[-1]))
    kept = moments >= start
    if stop is not None:
        kept &= moments < stop
    return moments[kept]


def rows(clock: Clock, pts: Ints, centre: int) -> Ints:
    """Return the frames of the window at `centre`, by time: (LENGTH,); the first or last may repeat."""
    spacing = SPACING / clock.time_base
    wanted = np.array([centre + float((i - Fraction(LENGTH - 1, 2)) * spacing) for i in range(LENGTH)])
    return _nearest(pts, wanted)


def whole_rows(pts: Ints, stray: Floats | float = 0.0) -> Ints:
    """Return frames spread evenly in time from the first to the last: (LENGTH,); few frames repeat.

    `stray` moves each moment by this share of the time between two.
    """
    share = ((np.arange(LENGTH) + stray) / (LENGTH - 1)).clip(0, 1)
    return _nearest(pts - pts[0], share * (pts[-1] - pts[0]))


def _nearest(pts: Ints, wanted: Array) -> Ints:
    """Return the frame nearest to each of the LENGTH moments."""
    after = np.searchsorted(pts, wanted).clip(1, max(len(pts) - 1, 1))
    if len(pts) == 1:
        return np.zeros(LENGTH, np.int64)
    nearer_before = wanted - pts[after - 1] <= pts[after] - wanted
    return (after - nearer_before).astype(np.int64)
