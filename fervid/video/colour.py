"""Frames in colour, by seeking: for people's eyes alone, since nothing that fervid computes reads colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fervid.types import Bytes, Video
from fervid.video.luma import turn_of
from fervid.video.reading import STILLS, _timed, still_pictures


def in_colour(video: Video, moments: Iterable[int]) -> Iterator[tuple[int, Bytes]]:
    """The frame at each of these pts, upright: (H, W, 3) blue, green, red.

    One that cannot be decoded is left out.
    """
    for moment in sorted(set(moments)):
        pictures = (still_pictures if video.container == STILLS else _timed)(video, moment)
        picture = next((picture for pts, picture in pictures if pts >= moment), None)
        if picture is None:
            continue
        turn = turn_of(picture, video.rotate)
        size = (video.height, video.width) if turn.is_transposed else (video.width, video.height)
        image = picture.reformat(width=size[0], height=size[1], format="bgr24").to_ndarray()
        if turn.is_transposed:
            image = image.swapaxes(0, 1)
        if turn.flips_columns:
            image = image[:, ::-1]
        if turn.flips_rows:
            image = image[::-1]
        yield moment, np.ascontiguousarray(image, np.uint8)
