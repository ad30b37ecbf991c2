"""Shapes and text drawn into a video's picture: a plane of luma, and two planes of chroma at half its size.

Drawing into these planes costs a fraction of converting a whole picture to colours and back, and changes no
other pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import cv2
import numpy as np

from fervid.types import Array, Bytes, Floats

Colour = tuple[int, int, int]  # blue, green, red
Layer = tuple[Colour, int]  # and thickness in pixels

Planes = Sequence[Bytes]  # luma (H, W), two chromas (H / 2, W / 2)

# From blue, green, red and 1 to luma and chroma: BT.601 in limited range, the default of video.
BT601 = np.array(
    [
        [0.0979, 0.5041, 0.2568, 16],
        [0.4392, -0.2910, -0.1482, 128],
        [-0.0714, -0.3678, 0.4392, 128],
    ],
    np.float32,
)
STEPS = (1, 2, 2)  # pixels of luma, along each side, for a pixel of each plane
PHASES = 4  # positions of a dot within a pixel
FRACTION = 4  # bits of a pixel's fraction in coordinates


class Palette:
    """The colours of a video: blue, green and red as luma and chroma."""

    def __init__(self, matrix: Floats) -> None:
        self._matrix = matrix  # (3, 4): from blue, green, red and 1 to luma and the two chromas
        self.code = lru_cache(maxsize=256)(self._code)

    def _code(self, colour: Colour) -> Colour:
        """Return a colour's luma and chromas."""
        luma, first, second = (
            np.rint(self._matrix @ np.array([*colour, 1.0])).clip(0, 255).astype(int).tolist()
        )
        return luma, first, second


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture to draw on, in place. Coordinates are pixels of the luma."""

    luma: Bytes  # (H, W), both even
    chroma: tuple[Bytes, Bytes]  # (H / 2, W / 2)
    palette: Palette

    @classmethod
    def blank(cls, width: int, height: int, palette: Palette, colour: Colour) -> Canvas:
        """Return a new picture of one colour."""
        luma, *chroma = (
            np.full((height // step, width // step), value, np.uint8)
            for step, value in zip(STEPS, palette.code(colour), strict=True)
        )
        return cls(luma, (chroma[0], chroma[1]), palette)

    @property
    def planes(self) -> tuple[Bytes, Bytes, Bytes]:
        return self.luma, *self.chroma

    @property
    def width(self) -> int:
        return self.luma.shape[1]

    @property
    def height(self) -> int:
        return self.luma.shape[0]

    def part(self, left: int, top: int, right: int, bottom: int) -> Canvas:
        """Return a view of the part of even size around a rectangle: drawing on it draws on this."""
        x, y = max(0, left) // 2, max(0, top) // 2
        end, low = max(0, right + 1) // 2, max(0, bottom + 1) // 2
        first, second = (plane[y:low, x:end] for plane in self.chroma)
        return Canvas(self.luma[2 * y : 2 * low, 2 * x : 2 * end], (first, second), self.palette)

    def copy(self) -> Canvas:
        """Return a copy."""
        return Canvas(self.luma.copy(), (self.chroma[0].copy(), self.chroma[1].copy()), self.palette)

    def paste(self, other: Canvas, x: int = 0, y: int = 0) -> None:
        """Copy another picture to an even position; it has to fit."""
        for plane, source, step in zip(self.planes, other.planes, STEPS, strict=True):
            height, width = source.shape
            plane[y // step : y // step + height, x // step : x // step + width] = source

    def mix(self, other: Canvas, share: float) -> None:
        """Mix in a picture of the same size."""
        for plane, source in zip(self.planes, other.planes, strict=True):
            plane[:] = cv2.addWeighted(source, share, plane, 1 - share, 0)

    def shift(self, pixels: int) -> None:
        """Move everything to the left by an even number of pixels; the right end stays as it was."""
        for plane, step in zip(self.planes, STEPS, strict=True):
            plane[:, : -pixels // step] = plane[:, pixels // step :]

    def fill(self, x: int, y: int, width: int, height: int, colour: Colour, share: float = 1) -> None:
        """Mix a colour into a rectangle's luma, and give it the colour's chroma: text has none."""
        for plane, step, value in zip(self.planes, STEPS, self.palette.code(colour), strict=True):
            left, top, right, bottom = (
                max(0, (at + step // 2) // step) for at in (x, y, x + width, y + height)
            )
            region = plane[top:bottom, left:right]
            if share < 1 and step == 1:
                region[:] = (region * np.float32(1 - share) + np.float32(value * share + 0.5)).astype(
                    np.uint8
                )
            else:
                region[:] = value

    def lines(self, paths: Sequence[Array], layers: Sequence[Layer], is_closed: bool = False) -> None:
        """Draw lines through points (N, 2), once for each colour and thickness."""
        ends = list(accumulate(len(path) for path in paths))
        points = np.concatenate(paths)
        for step, planes in ((1, self.planes[:1]), (2, self.chroma)):
            fixed = _fixed(points, step)
            parts = [fixed[end - len(path) : end] for path, end in zip(paths, ends, strict=True)]
            for colour, thick in layers:
                values = self.palette.code(colour)[step - 1 :]
                for plane, value in zip(planes, values, strict=False):
                    wide = (thick + step - 1) // step
                    cv2.polylines(plane, parts, is_closed, value, wide, cv2.LINE_AA, FRACTION)

    def dots(self, points: Array, radius: float) -> None:
        """Draw white dots with a dark rim around points (N, 2)."""
        white, dark = self.palette.code((255, 255, 255)), self.palette.code((25, 25, 25))
        spots = list(np.repeat(_fixed(points, 2)[:, None], 2, axis=1))  # lines of no length: their round ends
        for plane, value in zip(self.chroma, white[1:], strict=True):
            cv2.polylines(plane, spots, False, value, max(1, round(radius)), cv2.LINE_AA, FRACTION)
        for x, y in np.rint(points * PHASES).astype(int).tolist():
            keep, add = _dot(round(radius * 8) / 8, x % PHASES, y % PHASES, white[0], dark[0])
            reach = len(keep) // 2
            self._blend(keep, add, x // PHASES - reach, y // PHASES - reach)

    def stamp(self, mask: Floats, x: int, y: int, grey: Colour) -> None:
        """Draw in grey over a grey background where the mask (H, W) covers it: only luma changes."""
        self._blend(1 - mask, np.float32(self.palette.code(grey)[0]) * mask + np.float32(0.5), x, y)

    def _blend(self, keep: Floats, add: Floats, x: int, y: int) -> None:
        """Multiply luma by `keep` and add `add`, both (H, W), with the upper left corner at x, y."""
        height, width = keep.shape
        if x < 0 or y < 0 or x + width > self.width or y + height > self.height:
            rows = slice(max(0, -y), max(0, self.height - y))
            columns = slice(max(0, -x), max(0, self.width - x))
            keep, add, x, y = keep[rows, columns], add[rows, columns], max(0, x), max(0, y)
        region = self.luma[y : y + len(keep), x : x + keep.shape[1]]
        region[:] = region * keep + add


def _fixed(points: Array, step: int) -> Array:
    """Return points in the fixed-point coordinates of a plane with a pixel for `step` by `step` of luma."""
    return np.rint((points - (step - 1) / 2) * ((1 << FRACTION) / step)).astype(np.int32)


@lru_cache(maxsize=4096)
def _dot(radius: float, x: int, y: int, white: int, dark: int) -> tuple[Floats, Floats]:
    """Return the share of the background to keep, and the luma to add, for a dot off a pixel's centre."""
    reach = int(np.ceil(radius)) + 2
    grid = np.arange(-reach, reach + 1)
    away = np.hypot(grid[None] - x / PHASES, grid[:, None] - y / PHASES)
    rim = np.clip(radius + 1.5 - away, 0, 1) * 0.7
    core = np.clip(radius + 0.5 - away, 0, 1)
    keep, add = (1 - rim) * (1 - core), dark * rim * (1 - core) + white * core + 0.5
    return keep.astype(np.float32), add.astype(np.float32)
