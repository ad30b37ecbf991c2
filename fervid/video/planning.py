"""The plan of a video: its clock, its size and the time of every frame; and its properties for people."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from fervid.errors import InputError, UsageError
from fervid.files import display_name
from fervid.times import MOST_SECONDS
from fervid.types import Source, Video
from fervid.video import clock, source, tags
from fervid.video.luma import Turn, turn_of, upright_size
from fervid.video.opening import MOST_PIXELS, STILLS, STILLS_RATE, opened, time_base_of
from fervid.video.packets import demuxed
from fervid.video.reading import decoded, read_still
from fervid.video.source import Tick

ROTATIONS = ("auto", "0", "90", "180", "270")  # degrees clockwise that are applied to the coded picture
PROBE = 32  # frames decoded to check whether they come out in order
FAR = 30  # seconds before the target: a seek that leads there repeats the work of a span
SEEK_TRIALS = 64  # about how many keyframes planning tries to seek to
SHOWN_VP8 = 0x10  # bit of the first byte, clear in a VP8 packet that is decoded but not shown


def plan(
    path: str | Path, rotate: str = "auto", frame_rate: Fraction | None = None, tick: Tick | None = None
) -> Video:
    """List the frames of a video, a still or a folder of stills, and hash it.

    It reads the packets once and decodes only the first picture. `frame_rate` is for folders of stills alone;
    `tick` is called with the share done.
    """
    if rotate not in ROTATIONS:
        raise UsageError(f"rotate must be one of {', '.join(ROTATIONS)}, not {rotate}")
    if frame_rate is not None and frame_rate <= 0:
        raise UsageError(f"the frame rate of stills must be above 0, not {frame_rate}")
    file = Path(os.path.abspath(path))
    if file.is_dir():
        return _plan_stills(file, rotate, frame_rate or STILLS_RATE, tick)
    source.check_readable(file)
    head, turn, (width, height) = _first_picture(file, path, rotate)
    with opened(file) as (container, stream):
        timecode, reel = tags.timecode_and_reel(container, stream)
        rate = clock.usual_rate(stream.average_rate, stream.guessed_rate) or STILLS_RATE
        packets = _packets(stream)
        times = clock.read(packets, time_base_of(stream), rate, head.interlaced_frame)
        can_reorder = (stream.codec_context.reorder_depth or 0) > 0
        if can_reorder and not times.is_counted and not times.is_reordered and not _comes_in_order(file):
            times = clock.counted(times, rate)
        times = times.from_first(head.pts)
        seekable = times.is_exact and _seeks_exactly(file, packets, times)
        start, end = int(times.pts[0]), int(times.pts[-1]) + times.length
        return Video(
            path=str(file),
            name=_name(file),
            sha256=source.digest(file, tick),
            time_base=times.time_base,
            start=start,
            duration=end - start,
            width=width,
            height=height,
            rotation=turn.degrees,
            container=container.format.name,
            codec=stream.codec_context.name,
            rate=clock.mean_rate(times, rate),
            clock_offset=_offset(container, times, start),
            pts=times.pts,
            keyframes=times.keyframes,
            seekable=seekable,
            rotate=rotate,
            timecode=timecode,
            reel=reel,
            audio_channels=tags.audio_channels(container),
        )


def _first_picture(file: Path, path: str | Path, rotate: str) -> tuple[av.VideoFrame, Turn, tuple[int, int]]:
    """Return the first frame that can be decoded, how it is turned, and its upright size."""
    with opened(file) as (_, stream):
        declared = stream.width, stream.height
        head = next(decoded(stream), None)
        if head is None and declared[0] * declared[1] > MOST_PIXELS:
            raise InputError(
                f"{display_name(path)} has pictures of {declared[0]} x {declared[1]} pixels, which are "
                "too large: convert it to a smaller size, or copy it again if its header is damaged"
            )
        if head is None:
            raise InputError(
                f"no frame of {display_name(path)} can be decoded; copy it again, or convert it to mp4"
            )
        turn = turn_of(head, rotate)
        return head, turn, upright_size(head, stream, turn)


def _offset(container: InputContainer, times: clock.Times, start: int) -> Fraction:
    """Return the seconds from the container's first time to the first frame.

    Players show the container's first time as 0:00, and ffmpeg's -ss counts from it: cuts made with them
    agree with fervid's.
    """
    if container.start_time is None or times.is_counted:
        return Fraction(0)
    offset = start * times.time_base - Fraction(container.start_time, av.time_base)
    return offset if abs(offset) <= MOST_SECONDS else Fraction(0)


def plan_known(known: Source, path: str | Path, tick: Tick | None = None) -> Video:
    """Plan a timeline's video with its rotation and frame rate; raise InputError for any other video."""
    video = plan(path, frame_rate=1 / known.time_base if known.container == STILLS else None, tick=tick)
    if video.sha256 != known.sha256:
        raise InputError(
            f"{display_name(path)} is not the video of this timeline, which is of {known.name} (another "
            "SHA-256): give that one, or analyze this one"
        )
    is_turned = (video.rotation - known.rotation) % 180 != 0
    size = (video.height, video.width) if is_turned else (video.width, video.height)
    if (known.time_base, known.start, known.width, known.height) != (video.time_base, video.start, *size):
        raise InputError(
            f"the timeline of {known.name} is damaged: {display_name(path)} has another size or clock; "
            "analyze it again"
        )
    if video.rotation == known.rotation:
        return video
    turn = known.rotation  # the user asked for it: the file has another
    return replace(video, rotate=str(turn), rotation=turn, width=known.width, height=known.height)


def _plan_stills(folder: Path, rotate: str, rate: Fraction, tick: Tick | None) -> Video:
    """Return a folder of stills as a video, one frame each 1/rate."""
    pictures = source.stills(folder)
    still = next((still for path in pictures if (still := read_still(path, rotate))), None)
    if still is None:
        raise InputError(f"no picture in {display_name(folder)} can be decoded; check its files")
    pts = np.arange(len(pictures), dtype=np.int64)
    return Video(
        path=str(folder),
        name=_name(folder),
        sha256=source.digest_folder(pictures, tick),
        time_base=1 / rate,
        start=0,
        duration=len(pictures),
        width=still.size[0],
        height=still.size[1],
        rotation=still.turn.degrees,
        container=STILLS,
        codec=still.codec,
        rate=rate if len(pictures) > 1 else None,
        clock_offset=Fraction(0),
        pts=pts,
        keyframes=pts.copy(),
        rotate=rotate,
    )


def _name(path: Path) -> str:
    """Return the file's name as text that any encoding can write."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def _packets(stream: VideoStream) -> clock.Packets:
    """Return times and sizes of all packets, in few bytes each: a long video has millions."""
    hides = stream.codec_context.name == "vp8"
    rows = (
        (
            clock.MISSING if packet.pts is None else packet.pts,
            clock.MISSING if packet.dts is None else packet.dts,
            packet.duration or 0,
            packet.pos or 0,
            packet.size,
            packet.is_keyframe,
            packet.is_discard or (hides and not bytes(packet)[0] & SHOWN_VP8),
        )
        for packet in demuxed(stream)
        if packet.size
    )
    return np.fromiter(rows, clock.PACKET)


def _seeks_exactly(path: Path, packets: clock.Packets, times: clock.Times) -> bool:
    """Return whether seeks lead to keyframes of the plan, with the same times, and not far before the target.

    After damage, and in MPEG program streams, some containers give other times after a seek. Without its
    index, an AVI always seeks to the start of the file.
    """
    keyframes, far = times.keyframes, FAR / times.time_base
    with opened(path) as (container, stream):
        for position in range(1, len(keyframes), 1 + len(keyframes) // SEEK_TRIALS):
            target = int(keyframes[position])
            try:
                container.seek(target, stream=stream)
            except av.FFmpegError:
                return False
            packet = next((p for p in demuxed(stream) if p.is_keyframe and not p.is_discard), None)
            if packet is not None:
                before = int(keyframes[max(0, position - 2)])
                if packet.pts is not None and packet.pts < min(before, target - int(far)):
                    return False
                known = packets[(packets["pts"] == packet.pts) & (packets["size"] == packet.size)]
                if not any(packet.pos in (None, 0, offset) or offset == 0 for offset in known["offset"]):
                    return False
    return True


def _comes_in_order(path: Path) -> bool:
    """Return whether the decoder returns the first frames in the order of their times.

    AVI has no display times; with B-frames the invented ones are out of order.
    """
    with opened(path) as (_, stream):
        pts = [frame.pts for frame in islice(decoded(stream), PROBE) if frame.pts is not None]
    return pts == sorted(pts)


def properties(path: str | Path) -> dict[str, object]:
    """Return a video's properties for people, as JSON values."""
    video = plan(path)
    gaps = np.diff([*video.keyframes, video.end])
    facts: dict[str, object] = {
        "name": video.name,
        "container": video.container,
        "codec": video.codec,
        "width": video.width,
        "height": video.height,
        "rotation": video.rotation,
        "frames": len(video.pts),
        "duration": float(video.duration * video.time_base),
        "time_base": str(video.time_base),
        "rate": float(video.rate) if video.rate else None,
        "variable_rate": video.has_variable_rate,
        "clock_offset": float(video.clock_offset),
        "timecode": video.timecode,
        "reel": video.reel,
        "keyframes": len(video.keyframes),
        "longest_keyframe_gap": float(int(gaps.max()) * video.time_base),
        "seekable": video.seekable,
        "sha256": video.sha256,
    }
    if video.container == STILLS:
        return facts
    with opened(Path(video.path)) as (container, stream):
        context = stream.codec_context
        picture = next(decoded(stream))
        length = container.duration
        facts |= {
            "profile": context.profile,
            "pixel_format": picture.format.name,
            "bit_depth": picture.format.components[0].bits,
            "range": {1: "limited", 2: "full"}.get(int(picture.color_range), "unknown"),
            "coded_width": picture.width,
            "coded_height": picture.height,
            "pixel_aspect": str(stream.sample_aspect_ratio or Fraction(1)),
            "interlaced": picture.interlaced_frame,
            "declared_frames": stream.frames or None,
            "declared_duration": None if length is None else length / av.time_base,
            "audio_streams": len(container.streams.audio),
            "audio_channels": video.audio_channels,
            "complete": not source.ends_early(Path(video.path)),
        }
    return facts
