"""Opening a file for decoding: its container, its video stream, and limits to what its header declares."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from fervid.errors import InputError
from fervid.files import display_name
from fervid.process import callback
from fervid.video import source

STILLS_RATE = Fraction(25)  # frames per second of a folder of stills, by default
STILLS = "stills"  # the container's name of a folder of stills
# Of a picture, as a damaged header may declare any number. The highest levels of H.264, HEVC and AV1 allow
# 2^25, the largest cameras have 2^27.
MOST_PIXELS = 1 << 26
MOST_STILL_PIXELS = 1 << 28
UNWANTED = Disposition.attached_pic | Disposition.timed_thumbnails


@contextmanager
def opened(path: Path, is_deblocked: bool = True) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a container and its video stream, with one decoder thread.

    Threaded decoding of damaged files differs from run to run; parallelism is by processes. Unless
    `is_deblocked`, the edges of blocks are not smoothed in frames of H.264 to which no other refers: it
    changes a few hundredths of a grey level there, and takes an eighth of the decoder's time.
    """
    with open(path, "rb") as file:
        # FFmpeg gets no file name, as it interprets patterns, protocols and formats in names (`%d`, `a:b`,
        # `.txt`). And a playlist must not make it open anything else.
        handle = SimpleNamespace(read=file.read, seek=_seeking(file), tell=file.tell)
        try:
            container = av.open(
                handle, "r", options={"protocol_whitelist": "none"}, metadata_errors="replace"
            )
        except av.FFmpegError as failure:
            raise InputError(f"{display_name(path)} {source.undecodable_reason(path)}") from failure
        with container:
            stream = _video_stream(container, path)
            stream.codec_context.thread_count = 1
            stream.codec_context.thread_type = ThreadType.NONE
            limit_size(container, stream)
            if not is_deblocked and stream.codec_context.name == "h264":
                stream.codec_context.options |= {"skip_loop_filter": "noref"}
            yield container, stream


def _seeking(file: BinaryIO) -> Callable[[int, int], int]:
    """Return the seek of a file for FFmpeg, which asks damaged files for positions that do not exist."""

    @callback
    def seek(offset: int, whence: int = 0) -> int:
        try:
            return file.seek(offset, whence)
        except (OSError, ValueError):
            return -errno.EINVAL  # PyAV would print the exception

    return seek


def limit_size(container: InputContainer, stream: VideoStream) -> None:
    """Make the decoder reject pictures that are too large."""
    most = MOST_STILL_PIXELS if container.format.name.endswith("_pipe") else MOST_PIXELS
    stream.codec_context.options = {"max_pixels": str(most)}


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Choose the video stream: no cover art, the default stream first, then the largest."""
    if container.format.name == "tty":
        raise InputError(f"{display_name(path)} is text, not a video: check the name")
    videos = [stream for stream in container.streams.video if not stream.disposition & UNWANTED]
    # A cover can be an ordinary track; it has no frame rate.
    moving = [stream for stream in videos if stream.average_rate is not None]
    if not container.streams.audio:
        moving = moving or videos
    if not moving:
        if container.streams.audio:
            raise InputError(f"{display_name(path)} contains only sound: give a file with a video track")
        raise InputError(f"{display_name(path)} contains no video track: check the name")
    known = [stream for stream in moving if stream.codec_context is not None]
    if not known:
        raise InputError(f"{display_name(path)} is damaged, or has an unknown codec: convert it to mp4")
    return max(known, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index))


def time_base_of(stream: VideoStream) -> Fraction:
    """Return the stream's time base, or that of stills."""
    return stream.time_base or 1 / STILLS_RATE
