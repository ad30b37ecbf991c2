"""Drawing of results: boxes, landmarks and labels in the picture, and the strip with the curve below it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from fervid.export.drawing.canvas import BT601, Canvas, Palette, Planes
from fervid.export.drawing.curve import FrameScores
from fervid.export.drawing.letters import Letters
from fervid.export.drawing.strip import Strip
from fervid.export.drawing.style import (
    INK,
    KINDS,
    PLATE,
    REFERENCE,
    RIM,
    SMALLEST,
    SOFT,
    TROUGH,
    colour_of,
    scaled,
)
from fervid.types import Floats
from fervid.units import PRESENT, STRONGEST

LONGEST = 0.4  # share of the width that a name may take
NOTE = "Visible expression, read by a model. Not what a person feels."

# The 68 points as lines: jaw, brows, nose, eyes, lips; the last value is whether the line is closed.
LINES = (
    (0, 17, False),
    (17, 22, False),
    (22, 27, False),
    (27, 31, False),
    (31, 36, False),
    (36, 42, True),
    (42, 48, True),
    (48, 60, True),
    (60, 68, True),
)


@dataclass(frozen=True, eq=False)
class DrawnFace:
    """One face to draw."""

    box: Floats  # (4,)
    landmarks: Floats  # (68, 2)
    name: str
    emotion: str | None  # None: not clear enough to read
    score: float
    is_uncertain: bool = False
    units: Mapping[str, float] = field(default_factory=dict)  # action unit -> intensity


class Painter:
    """A painter of the pictures of one video."""

    def __init__(
        self,
        width: int,
        height: int,
        labels: Sequence[str],
        kinds: Collection[str] = KINDS,
        matrix: Floats = BT601,
    ) -> None:
        """Paint pictures of `width` and `height`, without an odd last row or column, as video has to be.

        `matrix` (3, 4) leads from blue, green, red and 1 to the planes of the video.
        """
        self.width, self.height = max(2, width // 2 * 2), max(2, height // 2 * 2)
        self.kinds, self.unit = frozenset(kinds), max(min(width, height) / REFERENCE, SMALLEST)
        self._letters, self._palette = Letters(), Palette(matrix)
        self._strip: Strip | None = None
        if "curve" in self.kinds:
            self._strip = Strip(self.width, labels, self.unit, self._letters, self._palette)

    @property
    def strip(self) -> int:
        """The height of the strip below the picture."""
        return 0 if self._strip is None else self._strip.height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the painted picture, with the strip below it."""
        return self.width, self.height + self.strip

    def paint(self, planes: Planes, faces: Sequence[DrawnFace], moment: FrameScores) -> None:
        """Draw everything on the picture, in place, and fill the strip below it."""
        luma, *chroma = planes
        whole = Canvas(luma, (chroma[0], chroma[1]), self._palette)
        canvas = whole.part(0, 0, self.width, self.height)
        for face in faces:
            if "landmarks" in self.kinds:
                self._draw_landmarks(canvas, face)
            if "boxes" in self.kinds:
                self._draw_box(canvas, face)
        for face in faces:
            self._draw_units(canvas, face)
        if "labels" in self.kinds:
            taken: list[tuple[int, int, int, int]] = []
            for face in faces:
                taken.append(self._draw_label(canvas, face, taken))
        self._draw_note(canvas)
        if self._strip is not None:
            self._strip.draw(whole.part(0, self.height, *self.size), moment)

    def _scaled(self, size: float) -> int:
        return scaled(size, self.unit)

    def _draw_box(self, canvas: Canvas, face: DrawnFace) -> None:
        left, top = (round(float(value)) for value in face.box[:2])
        right, bottom = (round(float(value)) for value in face.box[:2] + face.box[2:])
        is_clear = face.emotion is not None and not face.is_uncertain
        thick = self._scaled(3 if is_clear else 1.5)
        corner = round(min(right - left, bottom - top) * 0.12)
        path = _rounded(left, top, right, bottom, corner)
        layers = [(RIM, thick + max(2, thick // 2 * 2)), (colour_of(face.emotion), thick)]
        canvas.lines([path], layers, is_closed=True)

    def _draw_landmarks(self, canvas: Canvas, face: DrawnFace) -> None:
        if not np.isfinite(face.landmarks).all():
            return
        radius = max(1.3, float(face.box[2]) / 140)
        margin = 8 + round(radius)
        left, top = (int(value) - margin for value in np.floor(face.landmarks.min(0)))
        right, bottom = (int(value) + margin for value in np.ceil(face.landmarks.max(0)))
        region = canvas.part(left, top, right, bottom)
        if not region.luma.size:
            return
        points = face.landmarks - (max(0, left) // 2 * 2, max(0, top) // 2 * 2)
        thin = max(1, round(float(face.box[2]) / 200))
        drawn = region.copy()
        for is_closed in (False, True):
            paths = [points[first:last] for first, last, closes in LINES if closes == is_closed]
            drawn.lines(paths, [(PLATE, thin + 2), (INK, thin)], is_closed)
        region.mix(drawn, 0.45)
        region.dots(points, radius)

    def _draw_units(self, canvas: Canvas, face: DrawnFace) -> None:
        """Draw a bar for each action unit that is present, beside the box."""
        present = [(name, value) for name, value in face.units.items() if value >= PRESENT]
        if not present:
            return
        size, pad, long = self._scaled(15), self._scaled(6), self._scaled(60)
        masks = [self._letters.mask(name, size, 500) for name, _ in present]
        row, text = masks[0].shape[0], max(mask.shape[1] for mask in masks)
        width, height = text + long + 3 * pad, len(present) * row + pad
        left, top, wide = (round(float(value)) for value in face.box[:3])
        x = left + wide + pad
        if x + width > self.width:  # on the other side, or else over the box
            x = left - pad - width if left >= pad + width else max(0, self.width - width)
        y = min(max(0, top), max(0, self.height - height))
        canvas.fill(x, y, width, height, PLATE, 0.82)
        for index, (mask, (_, value)) in enumerate(zip(masks, present, strict=True)):
            at = y + pad // 2 + index * row
            canvas.stamp(mask, x + pad, at, INK)
            bar = (x + 2 * pad + text, at + row // 2 - pad // 2)
            canvas.fill(*bar, long, pad, TROUGH)
            canvas.fill(*bar, round(long * value / STRONGEST), pad, SOFT)

    def _draw_label(
        self, canvas: Canvas, face: DrawnFace, taken: Sequence[tuple[int, int, int, int]]
    ) -> tuple[int, int, int, int]:
        """Draw the plate with the name and label near the box; return its x, y, width and height."""
        size, pad, bar = self._scaled(22), self._scaled(8), self._scaled(7)
        label, number, doubt = "not clear", "", ""
        if face.emotion is not None:
            label, number = face.emotion, f"{face.score:.2f}"
            doubt = "uncertain:" if face.is_uncertain else ""
        parts = [(face.name, INK, 700), (doubt, SOFT, 500), (label, INK, 500), (number, SOFT, 500)]
        rest = sum(self._letters.width(text, size, weight) + pad for text, _, weight in parts[1:] if text)
        room = min(self.width - rest - bar - 3 * pad, round(self.width * LONGEST))
        parts[0] = (self._letters.fit(face.name, size, 700, max(room, 2 * size)), INK, 700)
        masks = [(self._letters.mask(text, size, weight), colour) for text, colour, weight in parts if text]
        width = bar + pad + sum(mask.shape[1] + pad for mask, _ in masks)
        height = masks[0][0].shape[0] + pad // 2
        x, y = self._plate_position(face, width, height, taken)
        canvas.fill(x, y, width, height, PLATE, 0.82)
        canvas.fill(x, y, bar, height, colour_of(face.emotion))
        at = x + bar + pad
        for mask, colour in masks:
            canvas.stamp(mask, at, y + pad // 4, colour)
            at += mask.shape[1] + pad
        return x, y, width, height

    def _plate_position(
        self, face: DrawnFace, width: int, height: int, taken: Sequence[tuple[int, int, int, int]]
    ) -> tuple[int, int]:
        """Return a position above the box, else below or on it, inside the picture and off other labels."""
        gap = self._scaled(6)
        left, top, _, high = (round(float(value)) for value in face.box)
        x = max(0, min(left, self.width - width))
        tries = [top - height - gap, top + high + gap, top + gap, top + gap + height]
        spots = [min(max(0, y), self.height - height) for y in tries if 0 <= y <= self.height - height]
        spots = spots or [max(0, min(top, self.height - height))]
        free = [y for y in spots if not any(_overlap((x, y, width, height), other) for other in taken)]
        return x, (free or spots)[0]

    def _draw_note(self, canvas: Canvas) -> None:
        size, pad = self._scaled(14), self._scaled(5)
        text = self._letters.fit(NOTE, size, 400, self.width - 4 * pad)
        mask = self._letters.mask(text, size, 400)
        height, width = mask.shape[0] + pad // 2, mask.shape[1] + 2 * pad
        y = self.height - height
        canvas.fill(0, y, width, height, PLATE, 0.75)
        canvas.stamp(mask, pad, y + pad // 4, (225, 225, 225))


def _rounded(left: int, top: int, right: int, bottom: int, corner: int) -> npt.NDArray[np.int32]:
    """Return the outline of a rectangle with round corners, (N, 2)."""
    arcs = [
        cv2.ellipse2Poly(centre, (corner, corner), 0, angle, angle + 90, 10)
        for centre, angle in (
            ((left + corner, top + corner), 180),
            ((right - corner, top + corner), 270),
            ((right - corner, bottom - corner), 0),
            ((left + corner, bottom - corner), 90),
        )
    ]
    return np.concatenate(arcs).astype(np.int32)


def _overlap(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> bool:
    return (
        first[0] < second[0] + second[2]
        and second[0] < first[0] + first[2]
        and first[1] < second[1] + second[3]
        and second[1] < first[1] + first[3]
    )
