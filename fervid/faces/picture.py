"""Small pictures of a face, cut out of a frame: turned, scaled and averaged."""

from __future__ import annotations

import cv2
import numpy as np

from fervid.types import Bytes, Floats

# Landmarks are predicted on a small upright picture of the face: this gives sub-pixel results (dlib returns
# whole pixels), works at any roll, and costs the same for every size of face.
CANVAS = 256
CANVAS_BOX = 160  # pixels: the side of the face's box on it

MANY = 8  # from here on a picture is shrunk by an even number


def canvas(
    luma: Bytes, center: Floats, side: float, roll: float, size: int = CANVAS, box: int = CANVAS_BOX
) -> tuple[Bytes, np.ndarray]:
    """Return the picture with an upright box in its middle, and the matrix (2, 3) that maps to it.

    The picture is `size` pixels wide and high, the box on it `box` pixels.
    """
    pixels = box / max(side, 1.0)
    cosine, sine = pixels * np.cos(roll), pixels * np.sin(roll)
    matrix = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0]])
    matrix[:, 2] = size / 2 - matrix[:, :2] @ center
    # By halving alone: what reads this picture averages it again, so it may be a little too sharp.
    halved = int(np.log2(max(1 / pixels, 1.0)))
    return _averaged(luma, matrix, 1 << halved, pixels, size), matrix


def warp(luma: Bytes, matrix: np.ndarray, pixels: float, size: int, averaged: int | None = None) -> Bytes:
    """Transform `luma` by `matrix`; average it down first if that shrinks it by more than two.

    `averaged` is the side of the part that is averaged down, if it is larger than the result.
    """
    shrink, halved = int(1 / pixels), 0
    while shrink >= MANY:  # halving is several times as fast
        shrink, halved = shrink // 2, halved + 1
    return _averaged(luma, matrix, shrink << halved, pixels, size, averaged)


def _averaged(
    luma: Bytes, matrix: np.ndarray, shrink: int, pixels: float, size: int, averaged: int | None = None
) -> Bytes:
    """Transform `luma` by `matrix` after averaging it down by the whole number `shrink`."""
    if shrink < 2:
        return _affine(luma, matrix, size)
    height, width = luma.shape
    reach = 0.75 * (averaged or size) / pixels + shrink  # averages only the visible part, at any roll
    middle = cv2.invertAffineTransform(matrix) @ np.array([size / 2, size / 2, 1.0])
    low = np.clip(middle - reach, 0, np.array([width, height]) - shrink).astype(int)
    high = np.clip(middle + reach, low + shrink, np.array([width, height])).astype(int)
    high = low + (high - low) // shrink * shrink  # whole blocks: OpenCV's fast path, and no shift
    part = luma[low[1] : high[1], low[0] : high[0]]
    small = _shrunk(part, shrink)
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (low + (shrink - 1) / 2)
    moved[:, :2] *= shrink
    return _affine(small, moved, size)


def _shrunk(picture: Bytes, by: int) -> Bytes:
    """Average squares of `by` pixels: by halving as often as possible, which is up to eight times as fast."""
    while by > 1:
        step = by if by % 2 else 2
        side = picture.shape[1] // step, picture.shape[0] // step
        picture = np.asarray(cv2.resize(picture, side, interpolation=cv2.INTER_AREA), np.uint8)
        by //= step
    return picture


def _affine(image: Bytes, matrix: np.ndarray, size: int) -> Bytes:
    warped = cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)
