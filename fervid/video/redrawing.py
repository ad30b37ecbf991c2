"""Writing a video again with something drawn into each picture, and its own sound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from av.video.frame import VideoFrame

from fervid.errors import InputError
from fervid.types import Bytes, Video
from fervid.video.film import CONTAINERS, Film, Look, colours_of, writing
from fervid.video.pictures import coloured, matrix_of, turned
from fervid.video.reading import STILLS_RATE
from fervid.video.sound import sounds
from fervid.video.voices import KEPT, Copied, Encoded, Voice

QUALITY = {"crf": "20", "preset": "veryfast"}  # of H.264: good enough for viewing, as fast as the drawing
Paint = Callable[[int, Bytes], Bytes]  # a frame's pts and picture (H, W, 3) -> the picture to show
Tick = Callable[[float], None]  # called with the seconds done


def redraw(
    video: Video,
    start: int,
    stop: int,
    paint: Paint,
    size: tuple[int, int],
    target: BinaryIO,
    suffix: str,
    note: Mapping[str, str],
    tick: Tick | None = None,
) -> None:
    """Write [start, stop), upright, as painted by `paint` in `size`, with the same times and sound."""
    low, high = (int(index) for index in np.searchsorted(video.pts, [start, stop]))
    times = [*video.pts[low:high].tolist(), min(stop, video.end)]
    first = next(turned(video, start), None)
    if first is None or low == high:
        raise InputError(
            f"no frame of {video.name} can be decoded from {video.seconds(start):.2f} to "
            f"{video.seconds(stop):.2f} s"
        )
    space, start = matrix_of(first[1]), times[0]
    look = Look(
        width=max(2, size[0] // 2 * 2),
        height=max(2, size[1] // 2 * 2),
        pixel_format="yuv420p",
        time_base=video.time_base,
        rate=video.rate or STILLS_RATE,
        colours=colours_of(first[1]),
    )
    container = CONTAINERS[suffix]
    with writing(target, container, note) as output:
        film = Film(output, look, QUALITY)
        span = ((start - video.start) * video.time_base, (times[-1] - video.start) * video.time_base)
        for sound in sounds(video):
            is_kept = container == "matroska" or sound.codec in KEPT
            voice: Voice = Copied(output, sound) if is_kept else Encoded(output, sound)
            voice.begin(*span, Fraction(0))
            film.voices.append(voice)
        for pts, picture, turn in turned(video, start, stop):
            drawn = paint(pts, coloured(picture, turn, (video.width, video.height)))
            shown = np.ascontiguousarray(drawn[: look.height, : look.width])
            frame = VideoFrame.from_ndarray(shown, format="bgr24")
            following = int(np.searchsorted(times, pts, side="right"))
            length = times[following] - pts if following < len(times) else 1
            film.add(frame.reformat(format="yuv420p", dst_colorspace=space), pts - start, length)
            if tick:
                tick(float((pts - start) * video.time_base))
        film.finish()
