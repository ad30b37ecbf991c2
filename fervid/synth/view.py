"""The view of one face in a picture that is being painted: positions, fills and strokes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fervid.synth.actions import Points
from fervid.types import Bytes

BITS = 4  # of a fraction of a pixel, in cv2's coordinates


def circle(count: int = 16) -> Points:
    """Return the points of a circle of radius 1, (count, 2)."""
    angle = np.arange(count) * (2 * np.pi / count)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


ROUND = circle()


def fixed(points: Points) -> npt.NDArray[np.int32]:
    """Return points as cv2's fixed-point coordinates."""
    return np.rint(points * (1 << BITS)).astype(np.int32)


def fill(canvas: Bytes, polygon: Points, grey: float) -> None:
    """Fill a polygon of the canvas."""
    cv2.fillPoly(canvas, [fixed(polygon)], round(grey), cv2.LINE_AA, BITS)


def blend_in(hole: Bytes, inside: Bytes, area: Bytes) -> None:
    """Blend `inside` into `area` by `hole`, 0 to 255."""
    cover = hole.astype(np.uint16)
    area[:] = ((inside * cover + area * (255 - cover)) // 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class View:
    """One face as the camera sees it: lengths are eye distances of the upright face, positions are pixels."""

    points: Points  # (68, 2)
    camera: Points  # (2, 4): from the person's own three dimensions
    curves: Points  # (P, 2) the smooth lines through the landmarks
    runs: Sequence[Sequence[int]]  # the rows of `curves` of each of LINES in puppet.py
    unit: float  # pixels per eye distance

    def project(self, points: Points) -> Points:
        """Project points (..., 3) that are fixed to the skull."""
        return np.asarray(points @ self.camera[:, :3].T + self.camera[:, 3])

    def offset_from(self, landmark: int, across: float, down: float) -> Points:
        """Return a point at an offset from a landmark."""
        return np.asarray(self.points[landmark] + self.camera[:, :2] @ (across, down))

    def lengths(self, offsets: Points) -> Points:
        """Convert offsets (..., 2) to pixels."""
        return np.asarray(offsets @ self.camera[:, :2].T)

    def line(self, number: int) -> Points:
        """Return one of LINES."""
        return self.curves[self.runs[number]]

    def stroke(self, canvas: Bytes, line: Points, grey: float, width: float) -> None:
        """Draw a line of this width."""
        thick = max(1, round(width * self.unit))
        cv2.polylines(canvas, [fixed(line)], False, round(grey), thick, cv2.LINE_AA, BITS)


def frame_of(polygon: Points, side: int, margin: int = 2) -> tuple[slice, slice] | None:
    """Return the rows and columns of a square canvas around a polygon; None if it is outside."""
    left, top, width, height = cv2.boundingRect(polygon.astype(np.float32))
    rows = slice(max(top - margin, 0), min(top + height + margin, side))
    columns = slice(max(left - margin, 0), min(left + width + margin, side))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None
