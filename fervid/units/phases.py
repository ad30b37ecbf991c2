"""The phases of expressions: when a face leaves rest, reaches the apex, leaves the apex, and rests again.

A rule on landmarks, without learning. The face's displacement from the person's neutral face is projected on
the direction in which it moves in the segment, which cancels most of a tracker's noise; the moments are where
this curve crosses shares of its height. The five states of a frame are those of Kim, Baddar, Jang and Ro
(2017): onset and offset, apex, and the transitions between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fervid.faces import shape
from fervid.labels import NEUTRAL
from fervid.types import Clock, Floats, Ints, Phases, Segment, Timeline
from fervid.units.fitting import average
from fervid.units.video import Chunks, faces_of, neutral_faces

Doubles = npt.NDArray[np.float64]

MARGIN = 1.0  # seconds before and after a segment that are searched for its onset and offset
SMOOTHED = 0.4  # seconds over which the displacement is averaged, twice
STRONG = 0.5  # share of a segment's frames, the farthest, that define the direction of its motion
ROUNDS = 3  # of direction and farthest frames
FOOT, HEAD = 0.2, 0.7  # shares of the height at which an expression begins or ends, and its apex
FEWEST = 5  # frames of a segment with phases
LEAST = 0.05  # eye distances, over all points together: less is noise of the tracker


def with_phases(timeline: Timeline, chunks: Chunks, clock: Clock) -> Timeline:
    """Return the timeline with the phases of every segment of an expression.

    `chunks` is called twice and must give the same rows. A segment with fewer than FEWEST readable frames, or
    without motion, has none.
    """
    owner: dict[int, str | int] = {c.track: c.person for c in timeline.curves if c.person is not None}
    neutrals = neutral_faces(chunks, owner)
    reach = round(MARGIN / clock.time_base)
    ranges = _ranges(timeline.segments, reach)
    parts: dict[int, list[tuple[Ints, Floats]]] = {}
    for track, rows in faces_of(chunks()):
        for index, (low, high) in ranges.get(track, {}).items():
            own = (rows.pts >= low) & (rows.pts < high)
            if own.any():
                moved = shape.without_pose(rows.landmarks[own]) - neutrals[owner.get(track, track)]
                flat = moved[:, shape.INNER].reshape(len(moved), -1)
                parts.setdefault(index, []).append((rows.pts[own], flat))
    segments = list(timeline.segments)
    for index, columns in parts.items():
        pts, moved = (np.concatenate(column) for column in zip(*columns, strict=True))
        segment = segments[index]
        phases = find_phases(pts, moved, segment.start, segment.end, clock)
        segments[index] = replace(segment, phases=phases)
    return replace(timeline, segments=tuple(segments))


def _ranges(segments: tuple[Segment, ...], reach: int) -> Mapping[int, dict[int, tuple[int, int]]]:
    """Return the stretch to search for each expression: track -> index of the segment -> [low, high).

    It does not reach into another expression of the track.
    """
    ranges: dict[int, dict[int, tuple[int, int]]] = {}
    before: dict[int, int] = {}  # track -> the index of its expression before
    for index, segment in enumerate(segments):  # in order of time
        if segment.emotion == NEUTRAL:
            continue
        own = ranges.setdefault(segment.track, {})
        low = segment.start - reach
        if segment.track in before:
            last = before[segment.track]
            low = max(low, segments[last].end)
            own[last] = (own[last][0], min(own[last][1], segment.start))
        own[index] = (low, segment.end + reach)
        before[segment.track] = index
    return ranges


def find_phases(pts: Ints, moved: Floats, start: int, end: int, clock: Clock) -> Phases | None:
    """Return the phases of an expression in [start, end), from displacements (N, K) in and around it."""
    inside = (pts >= start) & (pts < end)
    if inside.sum() < FEWEST:
        return None
    step = float(np.median(np.diff(pts)) * clock.time_base)
    count = 2 * int(SMOOTHED / step / 2) + 1
    values = average(average(_along(moved.astype(np.float64), inside), count), count)
    top = int(np.flatnonzero(inside)[values[inside].argmax()])
    if values[top] < LEAST:
        return None
    return Phases(*(round(moment) for moment in crossings(pts, values, top)))


def crossings(
    pts: Ints, values: Doubles, top: int, foot: float = FOOT, head: float = HEAD
) -> tuple[float, float, float, float]:
    """Return onset, apex, release and offset of a curve around its top, as pts."""
    apex, onset = _side(pts, values, top, -1, (head, foot))
    release, offset = _side(pts, values, top, 1, (head, foot))
    return onset, apex, release, offset


def _along(moved: Doubles, inside: npt.NDArray[np.bool_]) -> Doubles:
    """Return how far each frame has moved (N,) in the direction of the farthest frames of the segment."""
    away = np.linalg.norm(moved, axis=1)
    for _ in range(ROUNDS):
        far = inside & (away >= np.quantile(away[inside], 1 - STRONG))
        direction = moved[far].mean(axis=0)
        away = moved @ (direction / max(float(np.linalg.norm(direction)), 1e-9))
    return np.asarray(away)


def _side(pts: Ints, values: Doubles, top: int, step: int, shares: tuple[float, float]) -> list[float]:
    """Return where the curve crosses shares of its height on one side of its top, as pts."""
    base = values[: top + 1].min() if step < 0 else values[top:].min()
    row, moments = top, []
    for share in shares:
        level = base + share * (values[top] - base)
        while 0 <= row + step < len(values) and values[row + step] >= level:
            row += step
        moment, after = float(pts[row]), row + step
        if 0 <= after < len(values):
            part = (values[row] - level) / (values[row] - values[after])
            moment += float(part) * float(pts[after] - pts[row])
        moments.append(moment)
    return moments
