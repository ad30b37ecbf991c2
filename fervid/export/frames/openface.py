"""Landmarks as OpenFace's CSV, for programs that read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

import numpy as np

from fervid.export.timelines import shapes
from fervid.types import LANDMARKS, Clock, Rows, Status


def write(chunks: Iterable[Rows], clock: Clock, labels: Sequence[str], stream: TextIO) -> None:
    """Write the rows as OpenFace does: frames from 1, no spaces in the header, zeros if there is no face.

    `confidence` is the face's quality; `success` is 1 if it is readable. `labels` is unused.
    """
    columns = [f"{axis}_{point}" for axis in "xy" for point in range(LANDMARKS)]
    stream.write(",".join(["frame", "face_id", "timestamp", "confidence", "success", *columns]) + "\n")
    row = "%d,%d,%.6f,%.3f,%d" + ",%.2f" * (2 * LANDMARKS) + "\n"
    blank = "%d,0,%.6f,0.000,0" + ",0.00" * (2 * LANDMARKS) + "\n"
    for rows in chunks:
        points = rows.landmarks.astype(np.float64).transpose(0, 2, 1).reshape(len(rows), 2 * LANDMARKS)
        has_face = np.isfinite(points.sum(axis=1))
        readable = np.equal(rows.status, Status.OK)
        facts = zip(
            (rows.frame + 1).tolist(),
            rows.track.tolist(),
            shapes.times(clock, rows.pts).tolist(),
            rows.quality.tolist(),
            readable.tolist(),
            (np.round(points, 2) + 0.0).tolist(),
            has_face.tolist(),
            strict=True,
        )
        stream.writelines(
            row % (frame, track, time, quality, success, *coordinates) if face else blank % (frame, time)
            for frame, track, time, quality, success, coordinates, face in facts
        )
