"""Encoding of a video: pictures as H.264, each at its own time, with sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, cast

import av
import numpy as np
from av.codec.context import ThreadType
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from fervid.errors import InputError, OutputError
from fervid.process import callback
from fervid.types import Bytes, Video
from fervid.video.luma import Turn
from fervid.video.opening import STILLS, STILLS_RATE, opened
from fervid.video.pictures import matrix_of
from fervid.video.sound_writing import SoundWriter

CONTAINERS = {  # by a file's suffix
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
}
STREAMED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}  # for targets that cannot seek
FULL_RANGE = "yuvj420p"
THREADS = 4  # of the encoder: its output depends on their number
LARGE = 1 << 25  # pixels, just over 8K: for larger pictures the encoder has one thread, as each keeps some
REPEATABLE = {"x264-params": "mbtree=0"}  # x264's macroblock tree reads memory that it never set


@dataclass(frozen=True)
class Look:
    """How the pictures of a video are encoded."""

    width: int  # as coded, even
    height: int
    pixel_format: str
    time_base: Fraction
    rate: Fraction
    aspect: Fraction | None = None  # of a pixel
    turn: Turn | None = None  # that players apply
    colours: tuple[int, int, int] = (2, 2, 2)  # primaries, transfer, matrix by H.273; 2 is unknown

    @classmethod
    def of(cls, video: Video, picture: VideoFrame, turn: Turn) -> Look:
        """Return how a picture of a video is coded."""
        aspect = None
        if video.container != STILLS:
            with opened(Path(video.path)) as (_, stream):
                aspect = stream.sample_aspect_ratio
        return cls(
            width=max(2, picture.width // 2 * 2),
            height=max(2, picture.height // 2 * 2),
            pixel_format=FULL_RANGE if picture.format.name == FULL_RANGE else "yuv420p",
            time_base=video.time_base,
            rate=video.rate or STILLS_RATE,
            aspect=aspect,
            turn=turn,
            colours=colours_of(picture),
        )


def colours_of(picture: VideoFrame) -> tuple[int, int, int]:
    """Return a picture's primaries, transfer and matrix; for RGB, the matrix of the conversion."""
    matrix = int(picture.colorspace) or int(matrix_of(picture))
    return int(picture.color_primaries), int(picture.color_trc), matrix


@contextmanager
def writing(target: BinaryIO, container: str, note: Mapping[str, str]) -> Iterator[OutputContainer]:
    """Open a container for writing into `target`; raise InputError for a video that FFmpeg cannot encode.

    A target that cannot be written raises its own error: the same command may resume, and need its results.
    """
    sink = _Sink(target)
    options = {"fflags": "+bitexact"}  # otherwise Matroska's identifiers are random
    handle: object = SimpleNamespace(write=sink.write, seek=sink.seek, tell=target.tell)
    if not target.seekable():
        handle = SimpleNamespace(write=sink.write)
        options |= STREAMED if container in ("mp4", "mov") else {}
    try:
        with av.open(handle, "w", format=container, options=options) as output:
            output.metadata.update(note)
            yield output
        if sink.failure is not None:  # in the last bytes, which closing writes
            raise sink.failure
    except av.FFmpegError as error:
        if sink.failure is not None:
            raise sink.failure from error
        raise InputError(
            f"the video cannot be encoded as {container}: {error.strerror or error}; convert it first"
        ) from error


class _Sink:
    """The file that FFmpeg writes to. After a failure it accepts the rest, so that one error is raised."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.failure: Exception | None = None

    @callback
    def write(self, data: bytes) -> int:
        return self._do(self._target.write, data) or len(data)

    @callback
    def seek(self, offset: int, whence: int = 0) -> int:
        return self._do(self._target.seek, offset, whence) or 0

    def _do(self, work: Callable[..., int], *arguments: object) -> int | None:
        if self.failure is not None:
            return None
        try:
            return work(*arguments)
        except Exception as error:
            self.failure = error
            raise


class VideoWriter:
    """Writes pictures, and the sound up to the same time. Call `finish` at the end."""

    def __init__(self, output: OutputContainer, look: Look, options: Mapping[str, str]) -> None:
        self.look = look
        self.sound_writers: list[SoundWriter] = []  # added later: the picture comes first
        self._output, self._stream = output, _video_stream(output, look, options)
        self._lengths: dict[int, int] = {}  # of the pictures inside the encoder, by pts

    def add(self, picture: VideoFrame, pts: int, length: int) -> None:
        """Add a picture that is shown from `pts` on, in ticks of the output."""
        picture = _fitted(picture, self.look)
        picture.pts, picture.time_base = pts, self.look.time_base
        picture.pict_type = PictureType.NONE  # the encoder chooses
        self._lengths[pts] = length
        self._write(self._stream.encode(picture))
        for sound_writer in self.sound_writers:
            sound_writer.advance(pts * self.look.time_base)

    def finish(self) -> None:
        """Write the rest that is still in the encoders."""
        self._write(self._stream.encode(None))
        for sound_writer in self.sound_writers:
            sound_writer.finish()

    def _write(self, packets: Sequence[Packet[VideoStream]]) -> None:
        for packet in packets:
            assert packet.pts is not None
            packet.duration = self._lengths.pop(packet.pts, 0)
            self._output.mux(packet)


def _video_stream(output: OutputContainer, look: Look, options: Mapping[str, str]) -> VideoStream:
    try:
        stream = output.add_stream("libx264", rate=look.rate, options=dict(options))
    except (av.FFmpegError, ValueError) as error:
        raise OutputError("this build of PyAV cannot write H.264: install the one from PyPI") from error
    stream.width, stream.height, stream.pix_fmt = look.width, look.height, look.pixel_format
    context = stream.codec_context
    context.thread_count = 1 if look.width * look.height > LARGE else THREADS
    context.thread_type = ThreadType.FRAME
    context.time_base = look.time_base
    context.color_primaries, context.color_trc, context.colorspace = look.colours
    if look.aspect is not None:
        context.sample_aspect_ratio = look.aspect
    if look.turn is not None and look.turn != Turn(False, False, False):
        stream.set_display_matrix(matrix(look.turn))
    return stream


def matrix(turn: Turn) -> list[int]:
    """Return the display matrix that makes players apply this turn."""
    across, down = (-1 if turn.flips_columns else 1) << 16, (-1 if turn.flips_rows else 1) << 16
    a, b, c, d = (0, down, across, 0) if turn.is_transposed else (across, 0, 0, down)
    return [a, b, 0, c, d, 0, 0, 0, 1 << 30]


def _fitted(picture: VideoFrame, look: Look) -> VideoFrame:
    """Return a picture in the size and format that the encoder expects, without an odd line at the edge."""
    width, height = picture.width // 2 * 2, picture.height // 2 * 2
    if (width, height) == (look.width, look.height) != (picture.width, picture.height):
        space = matrix_of(picture)
        colours = cast(Bytes, picture.to_ndarray(format="bgr24", src_colorspace=space))
        cropped = np.ascontiguousarray(colours[:height, :width])
        picture = VideoFrame.from_ndarray(cropped, format="bgr24")
        return picture.reformat(format=look.pixel_format, dst_colorspace=space)
    if (picture.width, picture.height, picture.format.name) == (look.width, look.height, look.pixel_format):
        return picture
    return picture.reformat(look.width, look.height, look.pixel_format)
