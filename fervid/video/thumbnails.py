"""Small colour pictures of moments, cut from the video by seeking: for people's eyes, not for models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from av.video.frame import VideoFrame

from fervid.source import Tick
from fervid.types import Array, Video
from fervid.video.luma import Turn, turn_of
from fervid.video.reading import STILLS, timed, still_pictures

QUALITY = 78  # of the JPEG, 0 to 100


def thumbnails(
    video: Video, moments: Iterable[int], width: int, tick: Tick | None = None
) -> Iterator[tuple[int, bytes]]:
    """Each moment with a JPEG of the frame on show then, `width` pixels wide; in order, without repeats.

    A moment whose frame cannot be decoded is left out. `tick` is told the share done.
    """
    pictures: Iterator[tuple[int, VideoFrame]] | None = None
    size = (width, max(1, round(width * video.height / video.width)))
    asked = sorted(set(moments))
    at, last = video.start, (-1, b"")
    for done, moment in enumerate(asked, 1):
        wanted = int(video.pts[max(0, int(np.searchsorted(video.pts, moment, "right")) - 1)])
        if last[1] and wanted == last[0]:
            yield moment, last[1]
            continue
        if pictures is None or (video.seekable and _has_keyframe(video, at, wanted)):
            pictures = (still_pictures if video.container == STILLS else timed)(video, wanted)
        found = next(((pts, picture) for pts, picture in pictures if pts >= wanted), None)
        if found is None:
            pictures = None
        else:
            at, picture = found
            last = wanted, _jpeg(picture, turn_of(picture, video.rotate), size)
            yield moment, last[1]
        if tick:
            tick(done / len(asked))


def _has_keyframe(video: Video, low: int, high: int) -> bool:
    """Whether seeking to `high` is less work than decoding on from `low`."""
    return bool(
        np.searchsorted(video.keyframes, low, "right") < np.searchsorted(video.keyframes, high, "right")
    )


def _jpeg(picture: VideoFrame, turn: Turn, size: tuple[int, int]) -> bytes:
    width, height = size[::-1] if turn.is_transposed else size
    small = picture.reformat(width=width, height=height, format="bgr24", interpolation="AREA")
    image: Array = small.to_ndarray()
    if turn.is_transposed:
        image = image.swapaxes(0, 1)
    if turn.flips_columns:
        image = image[:, ::-1]
    if turn.flips_rows:
        image = image[::-1]
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be a JPEG")
    return bytes(data.tobytes())
