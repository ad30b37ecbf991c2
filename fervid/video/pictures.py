"""Pictures with their exact times for people to see: as coded in the file, or upright and in colour."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import cast

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace

from fervid.types import Bytes, Video
from fervid.video.luma import Turn, turn_of
from fervid.video.opening import STILLS
from fervid.video.reading import still_pictures, timed

MATRICES = {int(space): space for space in Colorspace}  # by the numbers of H.273


def pictures(
    video: Video, start: int | None = None, stop: int | None = None
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield the planned frames of [start, stop) with their pts, as coded: neither turned nor scaled."""
    low = video.start if start is None else start
    # Seeking past damage can yield frames that are not in the plan.
    begin, end = np.searchsorted(video.pts, [low, video.end if stop is None else max(stop, low)])
    planned = set(video.pts[begin:end].tolist())
    source = still_pictures(video, low) if video.container == STILLS else timed(video, low)
    for pts, picture in source:
        if stop is not None and pts >= stop:
            return
        if pts >= low and (not video.seekable or pts in planned):
            yield pts, picture


def matrix_of(picture: VideoFrame) -> Colorspace:
    """Return the matrix from a picture's luma and chroma to colours; BT.601 if the picture has none."""
    return MATRICES.get(int(picture.colorspace), Colorspace.ITU601)


def turned(
    video: Video, start: int | None = None, stop: int | None = None
) -> Generator[tuple[int, VideoFrame, Turn]]:
    """Yield the same frames with the turn that makes each upright."""
    turn, rotation = Turn(False, False, False), None
    for pts, picture in pictures(video, start, stop):
        if video.container == STILLS or picture.rotation != rotation:
            turn, rotation = turn_of(picture, video.rotate), picture.rotation
        yield pts, picture, turn


def coloured(picture: VideoFrame, turn: Turn, size: tuple[int, int]) -> Bytes:
    """Return a picture in blue, green and red `(H, W, 3)`, upright, with square pixels, resized to `size`."""
    plain = picture.to_ndarray(format="bgr24", src_colorspace=matrix_of(picture))
    colours = turn.upright(cast(Bytes, plain))
    if (colours.shape[1], colours.shape[0]) != size:
        is_smaller = colours.shape[1] > size[0]
        method = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
        colours = cast(Bytes, cv2.resize(colours, size, interpolation=method))
    return np.ascontiguousarray(colours)
