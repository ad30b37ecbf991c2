"""Which of a track's faces tell whose it is: sharp, large, turned to the camera, and from several moments."""

from __future__ import annotations

import numpy as np

from fervid.faces import shape
from fervid.faces.finder import PORTRAIT_EYES
from fervid.types import READABLE, Floats, Ints, Likeness, Track

MOST = 3  # faces by which a track is known
APART = 1.0  # seconds between them, where a track has so many good ones


def best(track: Track, rows: Ints, apart: int) -> tuple[Ints, Floats]:
    """Of a track's `rows`, at most MOST that show the face best, ascending, and what each is worth.

    `apart` is the ticks that should lie between two of them. An unreadable face is worth nothing: of a
    track that has no other, no row is chosen.
    """
    turn = np.hypot(track.pose[rows, 0], track.pose[rows, 1])
    size = shape.eye_distance(track.landmarks[rows]) / PORTRAIT_EYES
    worth = track.quality[rows] * np.clip(1 - turn / 90, 0, 1) * np.sqrt(np.clip(size, 0, 1))
    worth = np.where(track.quality[rows] >= READABLE, worth, 0).astype(np.float32)
    chosen = _chosen(track.pts[rows], worth, apart)
    return rows[chosen], worth[chosen]


def empty() -> Likeness:
    """What is known of a face that was never seen well."""
    none = np.empty(0, np.float32)
    return Likeness(np.empty(0, np.int64), none.reshape(0, 4), none, none.reshape(0, 128))


def joined(first: Likeness, second: Likeness, apart: int) -> Likeness:
    """The best of what two parts of a track show."""
    both = Likeness(
        *(
            np.concatenate([getattr(first, name), getattr(second, name)])
            for name in ("pts", "box", "worth", "descriptor")
        )
    )
    return both.take(_chosen(both.pts, both.worth, apart))


def _chosen(pts: Ints, worth: Floats, apart: int) -> Ints:
    """The places of the MOST highest worths, ascending; those `apart` from each other come first."""
    order = [int(place) for place in np.lexsort((pts, -worth)) if worth[place] > 0]
    chosen: list[int] = []
    for place in order:
        if all(abs(int(pts[place] - pts[other])) >= apart for other in chosen):
            chosen.append(place)
    rest = [place for place in order if place not in chosen]
    return np.array(sorted([*chosen, *rest][:MOST]), np.int64)
