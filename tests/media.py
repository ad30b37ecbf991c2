"""Make small synthetic videos, with exact times, and exact pixels if the codec is lossless.

`write` makes plain videos; the functions below it add covers, edit lists and damage.
Pictures are luma arrays `(H, W) u8`; chroma is neutral.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer

Picture = npt.NDArray[np.uint8]

LOSSLESS = {"qp": "0", "preset": "ultrafast"}  # libx264: keeps every pixel; makes no B-frames
B_FRAMES = {"crf": "18", "bf": "3", "x264-params": "b-adapt=0"}  # libx264: nearly the same pixels
OPEN_GOP = {"crf": "18", "x264-params": "open-gop=1:bframes=3:b-adapt=0"}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}  # mp4 in parts, each with its index
COLOURED = {"rgb24", "bgr24", "rgba", "bgra", "rgb8", "pal8", "gbrp", "yuyv422", "rgb48le", "rgb48be"}


def picture(index: int, width: int = 64, height: int = 48) -> Picture:
    """Return a unique picture of an index: a drifting ramp, a moving block, the index in binary on top."""
    rows, columns = np.mgrid[:height, :width]
    luma: Picture = ((rows * 2 + columns * 3 + index * 5) % 160 + 40).astype(np.uint8)
    left, top = (index * 3) % max(1, width - 12), (index * 2) % max(1, height - 12)
    luma[top : top + 10, left : left + 10] = 230
    for bit in range(10):
        luma[0:4, bit * 4 : bit * 4 + 4] = 235 if index >> bit & 1 else 16
    return luma


def pictures(count: int, width: int = 64, height: int = 48) -> list[Picture]:
    return [picture(index, width, height) for index in range(count)]


def frame_of(luma: Picture, pixel_format: str = "yuv420p") -> av.VideoFrame:
    """Return the luma as a frame of any pixel format; exact if the format has a luma plane."""
    if pixel_format in COLOURED:
        colour = np.ascontiguousarray(np.repeat(luma[:, :, None], 3, axis=2))
        return av.VideoFrame.from_ndarray(colour, format="rgb24").reformat(format=pixel_format)
    frame = av.VideoFrame(luma.shape[1], luma.shape[0], pixel_format)
    bits = frame.format.components[0].bits
    kind = np.dtype("u1") if bits == 8 else np.dtype("<u2")
    for number, plane in enumerate(frame.planes):
        shape = (plane.height, plane.line_size // kind.itemsize)
        whole: npt.NDArray[np.uint16] = np.ndarray(shape, kind, buffer=cast(bytearray, plane))
        if number == 0:
            whole[:, : luma.shape[1]] = luma.astype(np.uint16) << (bits - 8)
        else:
            whole[:] = 128 << (bits - 8)
    return frame


def write(
    path: Path,
    luma: Iterable[Picture],
    *,
    pts: Sequence[int] | None = None,  # None: one frame each 1/rate, from 0
    time_base: Fraction | None = None,  # of pts
    rate: Fraction | int = 25,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,  # the encoder's
    container: str | None = None,
    container_options: Mapping[str, str] | None = None,
    pixel_format: str = "yuv420p",
    gop: int = 12,
    matrix: tuple[int, int, int, int] | None = None,  # a b c d: x' = a x + c y, y' = b x + d y
    aspect: Fraction | None = None,  # width to height of a pixel
    audio_seconds: float = 0.0,
    full_range: bool = False,
) -> Path:
    """Write the pictures as one video and return its path."""
    luma = list(luma)
    height, width = luma[0].shape
    ticks = time_base or 1 / Fraction(rate)
    if options is None:
        options = LOSSLESS if codec == "libx264" else {}
    with av.open(path, "w", format=container, options=dict(container_options or {})) as out:
        codec_name = cast(Literal["libx264"], codec)  # any codec; the annotation of av lists all of them
        stream = out.add_stream(codec_name, rate=Fraction(rate), options={"g": str(gop), **options})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = ticks
        if full_range:
            stream.codec_context.color_range = 2  # AVCOL_RANGE_JPEG
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if matrix is not None:
            a, b, c, d = (part << 16 for part in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        sound = out.add_stream("aac", rate=8000, layout="mono") if audio_seconds else None
        for at, plane in zip(range(len(luma)) if pts is None else pts, luma, strict=True):
            frame = frame_of(plane, pixel_format)
            frame.pts, frame.time_base = at, ticks
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if sound is not None:
            _silence(out, sound, audio_seconds)
    if codec == "libsvtav1" and hasattr(os, "sched_setscheduler"):
        # As root it gives its caller real-time priority for ever. Processes that a test starts later inherit
        # it, and those that wait busily, as browsers do, starve all others.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return path


def _silence(out: OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    for number in range(int(seconds * 8000 / 1024)):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, number * 1024, Fraction(1, 8000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def write_sound(path: Path, cover: Path | None = None, as_track: bool = False) -> Path:
    """Write two seconds of silence, and a JPEG cover as an attached picture or a plain track."""
    with av.open(path, "w") as out:
        sound = out.add_stream("aac", rate=8000, layout="mono")
        if cover is not None:
            with av.open(cover) as still:
                track = out.add_stream_from_template(still.streams.video[0])
                if not as_track:
                    track.disposition = av.stream.Disposition.attached_pic
                packet = next(still.demux(still.streams.video[0]))
                packet.stream = track
                out.mux(packet)
        _silence(out, sound, 2.0)
    return path


def write_still(path: Path, luma: Picture, codec: str = "png", pixel_format: str = "rgb24") -> Path:
    """Write one still picture; `codec` mjpeg with yuvj444p makes a JPEG."""
    context = av.VideoCodecContext.create(cast(Literal["png"], codec), "w")
    context.width, context.height, context.pix_fmt = luma.shape[1], luma.shape[0], pixel_format
    context.time_base = Fraction(1, 25)
    if codec == "mjpeg":
        context.color_range = 2
        context.qmin = context.qmax = 1
    path.write_bytes(
        b"".join(
            bytes(packet) for packet in [*context.encode(frame_of(luma, pixel_format)), *context.encode()]
        )
    )
    return path


def edit(path: Path, segments: Sequence[tuple[int, int]]) -> Path:
    """Replace the edit list of an mp4 that ends with its moov: (milliseconds, first tick) of each part."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst")
    old = int.from_bytes(data[at + 8 : at + 12], "big")
    entries = b"".join(
        length.to_bytes(4, "big") + first.to_bytes(4, "big") + b"\0\1\0\0" for length, first in segments
    )
    data[at + 8 : at + 12 + 12 * old] = len(segments).to_bytes(4, "big") + entries
    for box in (b"moov", b"trak", b"edts", b"elst"):
        size = data.index(box) - 4
        grown = int.from_bytes(data[size : size + 4], "big") + 12 * (len(segments) - old)
        data[size : size + 4] = grown.to_bytes(4, "big")
    path.write_bytes(data)
    return path


def damaged(path: Path, source: Path, at: float, length: int) -> Path:
    """Write a copy with `length` bytes of garbage at a share of its size."""
    data = bytearray(source.read_bytes())
    start = int(len(data) * at)
    data[start : start + length] = np.random.default_rng(5).bytes(length)
    path.write_bytes(data)
    return path


def truncated(path: Path, source: Path, share: float) -> Path:
    """Write a copy of only the first share of the bytes."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
