"""Writing a video again with something drawn into each picture, and its own sound."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from av.video.frame import VideoFrame

from fervid.errors import InputError
from fervid.types import Bytes, Video
from fervid.video.ahead import ahead
from fervid.video.encoding import CONTAINERS, Look, VideoWriter, colours_of, writing
from fervid.video.opening import STILLS_RATE
from fervid.video.pictures import turned
from fervid.video.planes import Coding, blank, paste, planes_of
from fervid.video.sound import sounds
from fervid.video.sound_writing import KEPT, CopiedSound, EncodedSound, SoundWriter

# Of H.264: the same quality for all pictures. Looking ahead to distribute it takes the encoder half as much
# time again, and makes the file no smaller at the same quality (docs/performance.md).
QUALITY = {"qp": "27", "preset": "ultrafast", "x264-params": "cabac=1:8x8dct=1:deblock=1"}
AHEAD = 4  # pictures that are decoded, and drawn, before they are needed
AHEAD_PIXELS = 48_000_000  # of these pictures together: 4 pictures of 4K, 1 of 8K, none of larger sizes
Paint = Callable[[int, Sequence[Bytes]], None]  # draw on a frame, from its pts and its planes
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
    """Write [start, stop), upright, as painted by `paint` in `size`, with the same times and sound.

    `paint` gets the planes of the whole picture: the video's own in the upper left, the rest not yet filled.
    """
    low, high = (int(index) for index in np.searchsorted(video.pts, [start, stop]))
    times = np.append(video.pts[low:high], min(stop, video.end))
    first = next(turned(video, start), None)
    if first is None or low == high:
        raise InputError(
            f"no frame of {video.name} can be decoded from {video.seconds(start):.2f} to "
            f"{video.seconds(stop):.2f} s"
        )
    coding, begin = Coding.of(first[1]), int(times[0])
    look = Look(
        width=max(2, size[0] // 2 * 2),
        height=max(2, size[1] // 2 * 2),
        pixel_format=coding.pixel_format,
        time_base=video.time_base,
        rate=video.rate or STILLS_RATE,
        colours=colours_of(first[1]),
    )
    container = CONTAINERS[suffix]
    with writing(target, container, note) as output:
        writer = VideoWriter(output, look, QUALITY)
        span = ((begin - video.start) * video.time_base, (int(times[-1]) - video.start) * video.time_base)
        for sound in sounds(video):
            is_kept = container == "matroska" or sound.codec in KEPT
            sound_writer: SoundWriter = (
                CopiedSound(output, sound) if is_kept else EncodedSound(output, sound, is_only=True)
            )
            sound_writer.begin(*span, Fraction(0))
            writer.sound_writers.append(sound_writer)
        size = look.width, look.height
        count = ahead_of(*size)
        with closing(ahead(painted(video, start, stop, paint, size, coding), count)) as pictures:
            for pts, picture in pictures:
                following = int(np.searchsorted(times, pts, side="right"))
                length = int(times[following]) - pts if following < len(times) else 1
                writer.add(picture, pts - begin, length)
                del picture
                if tick:
                    tick(float((pts - begin) * video.time_base))
        writer.finish()


def ahead_of(width: int, height: int) -> int:
    """Return how many pictures of a size are decoded, and drawn, before they are needed."""
    return min(AHEAD, AHEAD_PIXELS // (width * height))


def painted(
    video: Video, start: int, stop: int, paint: Paint, size: tuple[int, int], coding: Coding
) -> Generator[tuple[int, VideoFrame]]:
    """Yield the painted pictures of [start, stop) with their pts, in an even size."""
    with closing(ahead(turned(video, start, stop), ahead_of(*size))) as pictures:
        for pts, picture, turn in pictures:
            whole = blank(*size, coding)
            planes = planes_of(whole)
            paste(coding.coded(picture), turn, (video.width, video.height), planes)
            paint(pts, planes)
            yield pts, whole
            del picture, whole, planes  # before the next ones are made: they may be large
