"""The faces of a track for identifying its person: sharp, large, facing the camera, and some time apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fervid.faces import shape
from fervid.faces.finder import PORTRAIT_EYES
from fervid.people.picture import Picture
from fervid.types import READABLE, Array, Floats, Ints, Track, check

MOST = 3  # faces per track
APART = 1.0  # seconds between these faces, if the track has enough good faces


@dataclass(frozen=True, eq=False)
class Descriptors:
    """Descriptors of the best faces of a track, to compare persons by: biometric data, in no output."""

    pts: Ints  # (N,)
    box: Floats  # (N, 4)
    worth: Floats  # (N,) how well the face is visible, 0 .. 1
    descriptor: Floats  # (N, 128)
    picture: Picture | None = None  # to show the person by, often of another moment

    def __post_init__(self) -> None:
        count = len(self.pts)
        check("pts", self.pts, (None,), np.int64)
        check("box", self.box, (count, 4), np.float32)
        check("worth", self.worth, (count,), np.float32)
        check("descriptor", self.descriptor, (count, 128), np.float32)

    def __len__(self) -> int:
        return len(self.pts)

    def take(self, rows: Array) -> Descriptors:
        """Return some of the faces."""
        return Descriptors(
            self.pts[rows], self.box[rows], self.worth[rows], self.descriptor[rows], self.picture
        )


def best(track: Track, rows: Ints, apart: int) -> tuple[Ints, Floats]:
    """Return up to MOST of a track's `rows` that show the face best, ascending, and the worth of each.

    Two of them should be `apart` ticks from each other. Unreadable faces are never chosen.
    """
    turn = np.hypot(track.pose[rows, 0], track.pose[rows, 1])
    size = shape.eye_distance(track.landmarks[rows]) / PORTRAIT_EYES
    worth = track.quality[rows] * np.clip(1 - turn / 90, 0, 1) * np.sqrt(np.clip(size, 0, 1))
    worth = np.where(track.quality[rows] >= READABLE, worth, 0).astype(np.float32)
    chosen = _chosen(track.pts[rows], worth, apart)
    return rows[chosen], worth[chosen]


def empty() -> Descriptors:
    """Return the descriptors of a track without a readable face."""
    none = np.empty(0, np.float32)
    return Descriptors(np.empty(0, np.int64), none.reshape(0, 4), none, none.reshape(0, 128))


def merge(first: Descriptors, second: Descriptors, apart: int) -> Descriptors:
    """Return the best faces of two parts of a track."""
    pts, box, worth, descriptor = (
        np.concatenate([getattr(first, name), getattr(second, name)])
        for name in ("pts", "box", "worth", "descriptor")
    )
    both = Descriptors(pts, box, worth, descriptor, better(first.picture, second.picture))
    return both.take(_chosen(both.pts, both.worth, apart))


def better(first: Picture | None, second: Picture | None) -> Picture | None:
    """Return the picture with the higher score; the first of equal ones."""
    if first is None or second is None:
        return first or second
    return second if second.score > first.score else first


def _chosen(pts: Ints, worth: Floats, apart: int) -> Ints:
    """Return the rows of the MOST highest worths, ascending; rows `apart` from each other go first."""
    order = [int(row) for row in np.lexsort((pts, -worth)) if worth[row] > 0]
    chosen: list[int] = []
    for row in order:
        if all(abs(int(pts[row] - pts[other])) >= apart for other in chosen):
            chosen.append(row)
    rest = [row for row in order if row not in chosen]
    return np.array(sorted([*chosen, *rest][:MOST]), np.int64)
