"""Pictures of moments in colour, read by seeking: for people, as no model reads colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from av.video.frame import VideoFrame

from fervid.types import Bytes, Video
from fervid.video.luma import turn_of
from fervid.video.opening import STILLS
from fervid.video.pictures import coloured
from fervid.video.reading import still_pictures, timed
from fervid.video.source import Tick


def in_colour(
    video: Video, moments: Iterable[int], size: tuple[int, int] | None = None, tick: Tick | None = None
) -> Iterator[tuple[int, Bytes]]:
    """Yield each moment with the frame shown then, upright: (H, W, 3) blue, green, red; in order, once each.

    A moment is left out if its frame cannot be decoded. `size` is width and height, by default the video's;
    `tick` is called with the share done.
    """
    pictures: Iterator[tuple[int, VideoFrame]] | None = None
    times = sorted(set(moments))
    at, last = video.start, (-1, np.empty((0, 0, 3), np.uint8))
    for done, moment in enumerate(times, 1):
        wanted = int(video.pts[max(0, int(np.searchsorted(video.pts, moment, "right")) - 1)])
        if last[0] != wanted:
            if pictures is None or (video.seekable and _has_keyframe(video, at, wanted)):
                pictures = (still_pictures if video.container == STILLS else timed)(video, wanted)
            frame = next(((pts, picture) for pts, picture in pictures if pts >= wanted), None)
            if frame is None:
                pictures = None
                continue
            at, picture = frame
            turn = turn_of(picture, video.rotate)
            last = wanted, coloured(picture, turn, size or (video.width, video.height))
        yield moment, last[1]
        if tick:
            tick(done / len(times))


def _has_keyframe(video: Video, low: int, high: int) -> bool:
    """Return whether seeking to `high` is less work than decoding from `low` to it."""
    return bool(
        np.searchsorted(video.keyframes, low, "right") < np.searchsorted(video.keyframes, high, "right")
    )
