"""The per-frame result: the frames and faces of a span as flat rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fervid.analysis.results import REPEATED, SAMPLED, Span, SpanResult
from fervid.analysis.stitch import rows_of
from fervid.timeline import interpolate
from fervid.types import Array, Curve, Ints, Rows, Status, Video


def count(span: Span, result: SpanResult, names: dict[int, int]) -> int:
    """Return the number of rows of a span."""
    return int(_faces_per_frame(span, result, names).clip(1).sum())


def build(
    video: Video,
    span: Span,
    result: SpanResult,
    names: dict[int, int],
    curves: Mapping[int, Curve],
    classes: int,
) -> Rows:
    """Return the rows of a span, sorted by frame and track; `names` are the track numbers from stitching."""
    counts = _faces_per_frame(span, result, names)
    empty = np.flatnonzero(counts == 0)
    # Frames with the same pts are consecutive, here and in `video.pts`.
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
    index, tracks, *rest = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((tracks, index))
    return Rows(frame[index][order], result.pts[index][order], tracks[order], *(part[order] for part in rest))


def _faces_per_frame(span: Span, result: SpanResult, names: dict[int, int]) -> Ints:
    """Return the number of faces in each frame of a span, (F,); repeated frames have none."""
    counts = np.zeros(len(result.pts), np.int64)
    for _, track, _ in rows_of(span, result, names):
        counts[_frames(result, track.pts)] += 1
    return counts


def _frames(result: SpanResult, pts: Ints) -> Ints:
    """Return the indices of the frames with these pts: the first frame, if a pts is repeated."""
    first = np.flatnonzero((result.flags & REPEATED) == 0)
    return first[np.searchsorted(result.pts[first], pts)]
