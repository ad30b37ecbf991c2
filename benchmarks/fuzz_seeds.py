"""The intact files that `fuzz.py` damages: tiny clips in every container and codec that PyAV writes here.

Each is about a second of the example clip, so that there is a face, and small enough that a thousand of them
take minutes. Files are the same bytes whenever they are written by the same libraries.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

CLIP = Path(__file__).parents[1] / "examples" / "clip.mp4"
FIRST = 1.2  # seconds: where the smile of the example clip begins
FRAMES = 16
SUBTITLES = "1\n00:00:00,100 --> 00:00:00,500\nA line\n\n2\n00:00:00,500 --> 00:00:00,900\nAnother\n"


@dataclass(frozen=True)
class Seed:
    """One intact file, or one folder of stills."""

    name: str
    suffix: str  # "" for a folder of stills
    codec: str
    pixel_format: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=dict)  # the encoder's
    container: str | None = None
    container_options: Mapping[str, str] = field(default_factory=dict)
    size: tuple[int, int] = (160, 128)
    frames: int = FRAMES
    sound: str | None = None
    has_subtitles: bool = False
    has_attachment: bool = False
    rotation: int = 0
    aspect: Fraction | None = None
    pts: tuple[int, ...] = ()  # in milliseconds; by default one frame each 1/25 s


B_FRAMES = {"bf": "3", "g": "8", "x264-params": "b-adapt=0"}
OPEN_GOP = {"bf": "3", "g": "6", "x264-params": "open-gop=1:b-adapt=0"}
HEVC = {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1:keyint=8"}
HEVC_OPEN = {"preset": "fast", "x265-params": f"{HEVC['x265-params']}:open-gop=1:bframes=3"}
VPX = {"deadline": "realtime", "cpu-used": "8", "g": "8"}
AV1 = {"preset": "12", "svtav1-params": "lp=1", "g": "8"}
UNEVEN = tuple(40 * index + 7 * (index % 3) + (400 if index > 9 else 0) for index in range(FRAMES))
BIG = (320, 256)  # needs two bytes for each side in every container

SEEDS = (
    Seed("mp4-h264", ".mp4", "libx264", options=B_FRAMES, sound="aac"),
    Seed("mp4-h264-big", ".mp4", "libx264", options=B_FRAMES, size=BIG),
    Seed(
        "mp4-h264-faststart",
        ".mp4",
        "libx264",
        options=B_FRAMES,
        container_options={"movflags": "+faststart"},
    ),
    Seed(
        "mp4-h264-parts",
        ".mp4",
        "libx264",
        options=B_FRAMES,
        container_options={"movflags": "frag_keyframe+empty_moov"},
    ),
    Seed("mp4-h264-open", ".mp4", "libx264", options=OPEN_GOP),
    Seed("mp4-h264-interlaced", ".mp4", "libx264", options={"g": "8", "x264-params": "tff=1"}),
    Seed("mp4-h264-turned", ".mp4", "libx264", options=B_FRAMES, rotation=-90),
    Seed("mp4-h264-wide", ".mp4", "libx264", options=B_FRAMES, aspect=Fraction(4, 3)),
    # Negative times and a late start make an edit list.
    Seed("mp4-h264-edit", ".mp4", "libx264", options=B_FRAMES, pts=tuple(range(-160, 480, 40))),
    Seed("mp4-h264-uneven", ".mp4", "libx264", options={"g": "6"}, pts=UNEVEN, sound="aac"),
    Seed("mp4-hevc", ".mp4", "libx265", options=HEVC),
    Seed("mp4-hevc-open", ".mp4", "libx265", options=HEVC_OPEN, sound="aac"),
    Seed("mp4-hevc-10bit", ".mp4", "libx265", "yuv420p10le", options=HEVC),
    Seed("mp4-av1", ".mp4", "libsvtav1", options=AV1),
    Seed("mp4-vp9", ".mp4", "libvpx-vp9", options=VPX),
    Seed("mp4-mpeg4", ".mp4", "mpeg4", options={"bf": "2", "g": "8"}, sound="aac"),
    Seed("mp4-mjpeg", ".mp4", "mjpeg", "yuvj420p"),
    Seed("mkv-h264", ".mkv", "libx264", options=B_FRAMES, sound="aac", has_subtitles=True),
    Seed("mkv-h264-attachment", ".mkv", "libx264", options=OPEN_GOP, size=BIG, has_attachment=True),
    Seed("mkv-h264-uneven", ".mkv", "libx264", options=B_FRAMES, pts=UNEVEN),
    Seed("mkv-hevc-open", ".mkv", "libx265", options=HEVC_OPEN),
    Seed("mkv-vp8", ".mkv", "libvpx", options=VPX, size=BIG, sound="libopus"),
    Seed("mkv-av1", ".mkv", "libsvtav1", options=AV1),
    Seed("mkv-mpeg4", ".mkv", "mpeg4", options={"bf": "2"}),
    Seed("mkv-mpeg2", ".mkv", "mpeg2video", options={"bf": "2", "g": "8"}),
    Seed("mkv-ffv1", ".mkv", "ffv1", options={"g": "4"}, sound="flac"),
    Seed("mkv-prores", ".mkv", "prores_ks", "yuv422p10le"),
    Seed("mkv-png", ".mkv", "png", "rgb24", frames=8),
    Seed("mkv-raw", ".mkv", "rawvideo", frames=8),
    Seed("webm-vp8", ".webm", "libvpx", options=VPX, sound="libopus"),
    Seed("webm-vp9", ".webm", "libvpx-vp9", options=VPX, size=BIG, sound="libopus"),
    Seed("webm-vp9-10bit", ".webm", "libvpx-vp9", "yuv420p10le", options={**VPX, "profile": "2"}),
    Seed("webm-av1", ".webm", "libsvtav1", options=AV1, size=BIG),
    Seed("avi-mpeg4", ".avi", "mpeg4", options={"bf": "2", "g": "8"}, sound="libmp3lame"),
    Seed("avi-h264", ".avi", "libx264", options=B_FRAMES),
    Seed("avi-mjpeg", ".avi", "mjpeg", "yuvj420p", size=BIG, sound="pcm_s16le"),
    Seed("avi-ffv1", ".avi", "ffv1", options={"g": "4"}),
    Seed("avi-huffyuv", ".avi", "huffyuv", "yuv422p"),
    Seed("avi-utvideo", ".avi", "utvideo", "yuv422p"),
    Seed("avi-raw", ".avi", "rawvideo", "bgr24", frames=6),
    Seed("mov-prores", ".mov", "prores_ks", "yuv422p10le", size=BIG, sound="pcm_s16le"),
    Seed("mov-h264", ".mov", "libx264", options=B_FRAMES, sound="aac"),
    Seed("mov-hevc", ".mov", "libx265", options={**HEVC}, rotation=90),
    Seed("mov-mjpeg", ".mov", "mjpeg", "yuvj420p"),
    Seed("mov-png", ".mov", "png", "rgb24", frames=8),
    Seed("mov-qtrle", ".mov", "qtrle", "rgb24", frames=8),
    Seed("ts-h264", ".ts", "libx264", options=B_FRAMES, sound="aac"),
    Seed("ts-hevc", ".ts", "libx265", options=HEVC),
    Seed("ts-mpeg2", ".ts", "mpeg2video", options={"bf": "2", "g": "8"}, sound="mp2"),
    Seed("m2ts-h264", ".m2ts", "libx264", options=B_FRAMES, sound="ac3"),
    Seed("mpg-mpeg2", ".mpg", "mpeg2video", options={"bf": "2", "g": "8"}, sound="mp2"),
    Seed("mpg-mpeg1", ".mpg", "mpeg1video", options={"g": "8"}),
    Seed("flv-h264", ".flv", "libx264", options=B_FRAMES, sound="aac"),
    Seed("flv-flv1", ".flv", "flv", options={"g": "8"}, sound="libmp3lame"),
    Seed("gif", ".gif", "gif", "rgb8", size=BIG),
    Seed("apng", ".apng", "apng", "rgb24", container="apng", frames=8),
    Seed("mjpeg", ".mjpeg", "mjpeg", "yuvj420p", size=BIG),
    Seed("raw-h264", ".h264", "libx264", options=B_FRAMES),
    Seed("raw-hevc", ".hevc", "libx265", options=HEVC),
    Seed("ivf-vp8", ".ivf", "libvpx", options=VPX),
    Seed("ivf-av1", ".ivf", "libsvtav1", options=AV1),
    Seed("ogv-theora", ".ogv", "libtheora"),
    Seed("wmv", ".wmv", "wmv2", options={"g": "8"}),
    Seed("3gp-h263", ".3gp", "h263", size=(176, 144)),
    Seed("mxf-mpeg2", ".mxf", "mpeg2video", options={"g": "8"}),
    Seed("nut-mpeg4", ".nut", "mpeg4", options={"bf": "2"}),
    Seed("y4m", ".y4m", "wrapped_avframe", container="yuv4mpegpipe", frames=6),
    Seed("stills-jpg", "", "jpg", frames=6),
    Seed("stills-png", "", "png", frames=6),
    Seed("stills-bmp", "", "bmp", frames=4),
    Seed("stills-tiff", "", "tiff", frames=4),
    Seed("stills-webp", "", "webp", frames=4),
)


@cache
def pictures() -> tuple[Any, ...]:
    """Return frames of the example clip as blue, green and red arrays `(480, 640, 3)`."""
    with av.open(str(CLIP)) as container:
        container.seek(int(FIRST * av.time_base))
        return tuple(frame.to_ndarray(format="bgr24") for frame in islice(container.decode(video=0), FRAMES))


def cropped(seed: Seed) -> list[Any]:
    """Return the frames of a seed, cut to its shape and resized."""
    width, height = seed.size
    rows = pictures()[: seed.frames]
    part = round(rows[0].shape[0] * width / height)
    left = (rows[0].shape[1] - part) // 2
    return [
        cv2.resize(row[:, max(0, left) : left + part], seed.size, interpolation=cv2.INTER_AREA)
        for row in rows
    ]


def write(seed: Seed, folder: Path) -> Path:
    """Write a seed into a folder and return its path; av.FFmpegError or ValueError if that cannot be done."""
    path = folder / f"{seed.name}{seed.suffix}"
    if not seed.suffix:
        path.mkdir()
        for index, row in enumerate(cropped(seed)):
            if not cv2.imwrite(str(path / f"{index + 1}.{seed.codec}"), row):
                raise ValueError(f"OpenCV cannot write {seed.codec}")
        return path
    options = {"fflags": "+bitexact", **seed.container_options}
    with av.open(str(path), "w", format=seed.container, options=options) as out:
        _write_streams(seed, out)
    if seed.codec == "libsvtav1" and hasattr(os, "sched_setscheduler"):
        # As root it gives its caller real-time priority for ever, and processes started later inherit it.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return path


def _write_streams(seed: Seed, out: Any) -> None:
    stream = out.add_stream(seed.codec, rate=25, options=dict(seed.options))
    stream.width, stream.height = seed.size
    stream.pix_fmt = seed.pixel_format
    stream.codec_context.thread_count = 1
    # Without this flag encoders write their version, and mpeg4 its settings, into the file.
    stream.codec_context.flags |= 1 << 23
    if seed.pts:
        stream.codec_context.time_base = Fraction(1, 1000)
    if seed.aspect is not None:
        stream.codec_context.sample_aspect_ratio = seed.aspect
    if seed.rotation:
        stream.set_display_rotation(seed.rotation)
    sound = None
    if seed.sound is not None:
        layout = "stereo" if seed.sound in {"ac3", "libmp3lame"} else "mono"
        sound = out.add_stream(seed.sound, rate=48000, layout=layout)
    if seed.has_attachment:
        out.add_attachment(
            "cover.jpg", "image/jpeg", cv2.imencode(".jpg", pictures()[0][::8, ::8])[1].tobytes()
        )
    lines = subtitles() if seed.has_subtitles else None
    words = None if lines is None else out.add_stream_from_template(lines.streams[0])
    for index, row in enumerate(cropped(seed)):
        frame = av.VideoFrame.from_ndarray(row, format="bgr24").reformat(format=seed.pixel_format)
        frame.pts = seed.pts[index] if seed.pts else index
        frame.time_base = Fraction(1, 1000) if seed.pts else Fraction(1, 25)
        out.mux(stream.encode(frame))
    out.mux(stream.encode())
    if sound is not None:
        _tone(out, sound)
    if lines is not None:
        for packet in lines.demux():
            if packet.size:
                packet.stream = words
                out.mux(packet)
        lines.close()


def subtitles() -> Any:
    """Open the subtitles as a container."""
    from io import BytesIO

    return av.open(BytesIO(SUBTITLES.encode()), format="srt")


def _tone(out: Any, stream: Any) -> None:
    """Write half a second of a low tone."""
    context = stream.codec_context
    count = 24000
    wave = np.sin(np.arange(count) / 40).astype(np.float32)
    channels = len(context.layout.channels)
    frame = av.AudioFrame.from_ndarray(
        np.tile(wave, (channels, 1)), format="fltp", layout=context.layout.name
    )
    frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    out.mux(stream.encode(frame))
    out.mux(stream.encode())


def write_all(folder: Path, names: Collection[str] = ()) -> tuple[dict[str, Path], dict[str, str]]:
    """Write every seed, or those of these names; return their paths, and why others could not be written."""
    written, skipped = {}, {}
    for seed in SEEDS:
        if names and seed.name not in names:
            continue
        try:
            written[seed.name] = write(seed, folder)
        except (av.FFmpegError, ValueError, RuntimeError, TypeError, cv2.error) as error:
            skipped[seed.name] = f"{type(error).__name__}: {error}"
    return written, skipped
