"""Landmarks as OpenFace's CSV, for programs that read that format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

import numpy as np

from fervid.export.timelines import fields
from fervid.types import LANDMARKS, Array, Clock, Rows, Status
from fervid.units import PRESENT, VideoUnits


def write(
    chunks: Iterable[Rows],
    clock: Clock,
    labels: Sequence[str],
    stream: TextIO,
    units: VideoUnits | None = None,
) -> None:
    """Write the rows as OpenFace does: frames from 1, no spaces in the header, zeros if there is no face.

    `confidence` is the face's quality; `success` is 1 if it is readable. `labels` is unused.
    `units` adds the intensity and presence of each action unit, `AU01_r` and `AU01_c`.
    """
    count = 0 if units is None else len(units.names)
    stream.write(",".join(names(units)) + "\n")
    ends = ",%.2f" * count + ",%d" * count + "\n"
    row = "%d,%d,%.6f,%.3f,%d" + ",%.2f" * (2 * LANDMARKS) + ends
    blank = "%d,0,%.6f,0.000,0" + ",0.00" * (2 * LANDMARKS + count) + ",0" * count + "\n"
    for rows in chunks:
        points, active = _points(rows), _active(rows, units)
        values = np.concatenate([np.round(points, 2) + 0.0, active, active >= PRESENT], axis=1)
        has_face = np.isfinite(points.sum(axis=1))
        readable = np.equal(rows.status, Status.OK)
        facts = zip(
            (rows.frame + 1).tolist(),
            rows.track.tolist(),
            fields.times(clock, rows.pts).tolist(),
            rows.quality.tolist(),
            readable.tolist(),
            values.tolist(),
            has_face.tolist(),
            strict=True,
        )
        stream.writelines(
            row % (frame, track, time, quality, success, *coordinates) if face else blank % (frame, time)
            for frame, track, time, quality, success, coordinates, face in facts
        )


def names(units: VideoUnits | None = None) -> list[str]:
    """Return the names of the columns."""
    points = [f"{axis}_{point}" for axis in "xy" for point in range(LANDMARKS)]
    measured = () if units is None else units.names
    points += [f"{unit}_{kind}" for kind in "rc" for unit in measured]
    return ["frame", "face_id", "timestamp", "confidence", "success", *points]


def columns(rows: Rows, clock: Clock, units: VideoUnits | None = None) -> list[Array]:
    """Return the unrounded columns of some rows, in the order of `names`."""
    points, active = _points(rows), _active(rows, units)
    has_face = np.isfinite(points.sum(axis=1))
    values = np.concatenate([points, active], axis=1)
    return [
        rows.frame + 1,
        np.where(has_face, rows.track, 0),
        fields.times(clock, rows.pts),
        np.where(has_face, rows.quality, 0),
        (has_face & np.equal(rows.status, Status.OK)).astype(np.int64),
        *np.where(has_face[:, None], values, 0).T,
        *(has_face[:, None] & (active >= PRESENT)).astype(np.int64).T,
    ]


def _points(rows: Rows) -> Array:
    """Return the landmarks (N, 136): each x, then each y."""
    return rows.landmarks.astype(np.float64).transpose(0, 2, 1).reshape(len(rows), 2 * LANDMARKS)


def _active(rows: Rows, units: VideoUnits | None) -> Array:
    """Return the intensities of the action units (N, U), zero where none was measured."""
    if units is None:
        return np.empty((len(rows), 0))
    return np.nan_to_num(units.of(rows).astype(np.float64))
