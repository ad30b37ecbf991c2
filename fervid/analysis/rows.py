"""The per-frame result: a span's frames and faces as flat rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fervid.analysis.results import REPEATED, SAMPLED, Span, SpanResult
from fervid.analysis.stitch import rows_of
from fervid.timeline import interpolate
from fervid.types import Array, Curve, Ints, Rows, Status, Video


def count(span: Span, result: SpanResult, names: dict[int, int]) -> int:
    """Return how many rows a span has."""
    return int(_faces_per_frame(span, result, names).clip(1).sum())


def build(
    video: Video,
    span: Span,
    result: SpanResult,
    names: dict[int, int],
    curves: Mapping[int, Curve],
    classes: int,
) -> Rows:
    """Return a span's frames and faces as rows, by frame, then by track; `names` come from the stitch."""
    counts = _faces_per_frame(span, result, names)
    empty = np.flatnonzero(counts == 0)
    # Frames that repeat a pts follow one another, here and in the plan.
    repeats = np.arange(len(result.pts)) - np.searchsorted(result.pts, result.pts)
    frame = np.searchsorted(video.pts, result.pts) + repeats
    sampled = (result.flags[empty] & SAMPLED) > 0
    parts: list[tuple[Array, ...]] = [
        (
            empty,
            np.full(len(empty), -1, np.int64),
            np.where(sampled, Status.NO_FACE, Status.NOT_SAMPLED).astype(np.uint8),
            np.full((len(empty), 4), np.nan, np.float32),
            np.full((len(empty), 68, 2), np.nan, np.float32),
            np.full((len(empty), 3), np.nan, np.float32),
            np.full(len(empty), np.nan, np.float32),
            np.full((len(empty), classes), np.nan, np.float32),
        )
    ]
    for number, track, _ in rows_of(span, result, names):
        curve = curves.get(number)
        scores = np.full((len(track), classes), np.nan, np.float32)
        if curve is not None and len(curve.pts):
            scores = interpolate(curve.pts, curve.scores, track.pts)
        parts.append(
            (
                _frames(result, track.pts),
                np.full(len(track), number, np.int64),
                track.status,
                track.box,
                track.landmarks,
                track.pose,
                track.quality,
                scores,
            )
        )
    at, tracks, *rest = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((tracks, at))
    return Rows(frame[at][order], result.pts[at][order], tracks[order], *(part[order] for part in rest))


def _faces_per_frame(span: Span, result: SpanResult, names: dict[int, int]) -> Ints:
    """Return how many faces each frame of a span has, (F,); a repeated pts has none."""
    counts = np.zeros(len(result.pts), np.int64)
    for _, track, _ in rows_of(span, result, names):
        counts[_frames(result, track.pts)] += 1
    return counts


def _frames(result: SpanResult, pts: Ints) -> Ints:
    """Return the indices of the frames of these pts: the first of each, where a pts repeats."""
    first = np.flatnonzero((result.flags & REPEATED) == 0)
    return first[np.searchsorted(result.pts[first], pts)]
