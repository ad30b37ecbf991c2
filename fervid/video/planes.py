"""Pictures as planes of luma and chroma with 8 bits, the chroma at half the size: for drawing and encoding.

Most videos are coded like this, and their pictures are copied as they are. All others are converted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from fervid.errors import InputError
from fervid.types import Bytes, Floats, Video
from fervid.video.luma import Turn
from fervid.video.pictures import matrix_of, turned

FULL_RANGE = "yuvj420p"
LIMITED_RANGE = "yuv420p"
WEIGHTS = {  # of red and blue in luma, by the standards of the matrices
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.ITU601: (0.299, 0.114),
    Colorspace.SMPTE240M: (0.212, 0.087),
    Colorspace.BT2020: (0.2627, 0.0593),
}


@dataclass(frozen=True)
class Coding:
    """How colours are coded in planes."""

    space: Colorspace
    is_full: bool  # whether luma has 256 levels, not 220

    @classmethod
    def of(cls, picture: VideoFrame) -> Coding:
        """Return the coding of a picture, or the coding that it is converted to."""
        is_full = picture.format.name == FULL_RANGE or (
            picture.format.name == LIMITED_RANGE and picture.color_range == ColorRange.JPEG
        )
        return cls(matrix_of(picture), is_full)

    @property
    def pixel_format(self) -> str:
        return FULL_RANGE if self.is_full else LIMITED_RANGE

    @property
    def matrix(self) -> Floats:
        """The matrix (3, 4) from blue, green, red and 1 to the three planes."""
        red, blue = WEIGHTS[self.space]
        luma = np.array([blue, 1 - red - blue, red])
        first = (np.array([1, 0, 0]) - luma) / (2 * (1 - blue))
        second = (np.array([0, 0, 1]) - luma) / (2 * (1 - red))
        scales, offsets = ((1, 1), (0, 128)) if self.is_full else ((219 / 255, 224 / 255), (16, 128))
        rows = [[*luma * scales[0], offsets[0]]]
        rows += [[*chroma * scales[1], offsets[1]] for chroma in (first, second)]
        return np.array(rows, np.float32)

    def coded(self, picture: VideoFrame) -> VideoFrame:
        """Return a picture in this coding."""
        if picture.format.name in (FULL_RANGE, LIMITED_RANGE) and Coding.of(picture) == self:
            return picture
        return picture.reformat(
            format=LIMITED_RANGE,
            src_colorspace=matrix_of(picture),
            dst_colorspace=self.space,
            dst_color_range=ColorRange.JPEG if self.is_full else ColorRange.MPEG,
            threads=1,
        )


def coding_at(video: Video, start: int) -> Coding:
    """Return the coding of the first picture that can be decoded from `start` on."""
    for _, picture, _ in turned(video, start):
        return Coding.of(picture)
    raise InputError(f"no frame of {video.name} can be decoded from {video.seconds(start):.2f} s on")


def planes_of(picture: VideoFrame) -> list[Bytes]:
    """Return views of the planes of a picture, without the padding of their lines."""
    planes = []
    for plane in picture.planes:
        shape, strides = (plane.height, plane.width), (plane.line_size, 1)
        planes.append(np.ndarray(shape, np.uint8, cast(memoryview, plane), strides=strides))
    return planes


def blank(width: int, height: int, coding: Coding) -> VideoFrame:
    """Return a new picture of even size with black padding: the encoder reads the padding."""
    picture = VideoFrame(width, height, coding.pixel_format)
    for plane in picture.planes:
        if plane.line_size > plane.width:
            lines = np.frombuffer(cast(memoryview, plane), np.uint8).reshape(-1, plane.line_size)
            lines[:, plane.width :] = 0
    return picture


def paste(picture: VideoFrame, turn: Turn, size: tuple[int, int], target: Sequence[Bytes]) -> None:
    """Copy a picture, turned and resized to `size`, to the upper left of planes, without odd last lines."""
    width, height = size
    for plane, into, step in zip(planes_of(picture), target, (1, 2, 2), strict=True):
        plane = turn.upright(plane)
        wanted = (width + step - 1) // step, (height + step - 1) // step
        if (plane.shape[1], plane.shape[0]) != wanted:
            is_smaller = plane.shape[1] > wanted[0]
            method = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
            plane = cast(Bytes, cv2.resize(plane, wanted, interpolation=method))
        low, right = height // 2 * 2 // step, width // 2 * 2 // step
        into[:low, :right] = plane[:low, :right]
