"""Conversion of a decoded frame to upright luma in square pixels.

The luma is taken as coded: limited range is not stretched, because the detector and the nets normalise gain
and offset themselves, and reading the plane costs nothing. Formats without a luma plane (RGB, palettes) are
converted once, to full range.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple, cast

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fervid.types import Bytes

ASPECT_LIMIT = Fraction(8)  # a longer pixel comes from a damaged header
TINY = 16  # pixels: the least that every scaler takes
PLANAR = re.compile(r"(yuv[aj]?4\d\dp|gray|nv\d\d)((9|1[0246])le)?")  # formats with luma as plane 0


class Turn(NamedTuple):
    """One of the eight turns that make a coded picture upright."""

    is_transposed: bool  # first, rows become columns,
    flips_columns: bool  # then left and right are swapped,
    flips_rows: bool  # and top and bottom

    @property
    def degrees(self) -> int:
        """The clockwise rotation; in a mirroring turn, the rotation before left and right are mirrored."""
        if self.is_transposed:
            return 90 if self.flips_columns else 270
        return 180 if self.flips_rows else 0

    def upright(self, picture: Bytes) -> Bytes:
        """Return a picture, turned; the picture itself if there is nothing to turn."""
        if self.is_transposed:
            picture = cast(Bytes, cv2.transpose(picture))
        if self.flips_columns or self.flips_rows:
            both = self.flips_columns and self.flips_rows
            picture = cast(Bytes, cv2.flip(picture, -1 if both else 1 if self.flips_columns else 0))
        return picture


def turn_of(picture: VideoFrame, rotate: str) -> Turn:
    """Return the turn of `rotate` in degrees clockwise, or with "auto" that of the display matrix."""
    if rotate != "auto":
        quarter = int(rotate) // 90
        return Turn(quarter % 2 == 1, quarter in (1, 2), quarter in (2, 3))
    # Reading side data puts a frame into a reference cycle, and until garbage collection the frame keeps its
    # decoder's memory, tens of megabytes. A tiny copy has the same side data.
    tiny = picture.reformat(width=TINY, height=TINY, format="gray")
    try:
        matrix = tiny.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # av does not know every kind of side data, for example EXIF, and then returns none at all. It has the
        # angle elsewhere, counter-clockwise; only mirroring is lost.
        return turn_of(picture, str(-picture.rotation // 90 * 90 % 360))
    if matrix is None:
        return Turn(False, False, False)
    signs = np.sign(np.frombuffer(cast(memoryview, matrix), "<i4"))
    a, b, c, d = (int(signs[index]) for index in (0, 1, 3, 4))
    if abs(a) + abs(b) != 1 or abs(c) + abs(d) != 1:
        return Turn(False, False, False)  # not a right angle
    across, down = (c, b) if a == 0 else (a, d)
    return Turn(a == 0, across < 0, down < 0)


def upright(picture: VideoFrame, turn: Turn, size: tuple[int, int]) -> Bytes:
    """Return the luma of a frame, turned and resized to `size`.

    It is read-only, because writing into the decoder's memory would change later frames.
    """
    luma = _luma(picture)
    if picture.interlaced_frame:
        luma = _first_field(luma)
    luma = turn.upright(luma)
    if (luma.shape[1], luma.shape[0]) != size:
        luma = cast(Bytes, cv2.resize(luma, size, interpolation=cv2.INTER_LINEAR))
    luma.flags.writeable = False
    return luma


def _luma(picture: VideoFrame) -> Bytes:
    """Return the Y plane; with 8 bits it is a view of the decoder's memory, which keeps the frame alive."""
    if not PLANAR.fullmatch(picture.format.name):
        picture = picture.reformat(format="gray")
    plane, bits = picture.planes[0], picture.format.components[0].bits
    shape = (picture.height, picture.width)
    if bits == 8:
        return np.ndarray(shape, np.uint8, cast(memoryview, plane), strides=(plane.line_size, 1))
    deep = np.ndarray(shape, "<u2", cast(memoryview, plane), strides=(plane.line_size, 2))
    luma = np.empty(shape, np.uint8)
    np.right_shift(deep, bits - 8, out=luma, casting="unsafe")
    return luma


def _first_field(luma: Bytes) -> Bytes:
    """Return the top field with its missing lines interpolated: no combing, and no state between frames."""
    field = luma[0::2]
    whole = np.empty(luma.shape, np.uint8)
    whole[0::2] = field
    below = np.concatenate([field[1:], field[-1:]])[: len(luma) // 2]
    whole[1::2] = cv2.addWeighted(field[: len(luma) // 2], 0.5, below, 0.5, 0)
    return whole


def upright_size(picture: VideoFrame, stream: VideoStream, turn: Turn) -> tuple[int, int]:
    """Return width and height after turning and squaring the pixels by enlarging their shorter side."""
    width, height = picture.width, picture.height
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or Fraction(1)
    if not 1 / ASPECT_LIMIT <= aspect <= ASPECT_LIMIT:
        aspect = Fraction(1)
    if aspect > 1:
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    return (height, width) if turn.is_transposed else (width, height)
