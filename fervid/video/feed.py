"""A feed: the pictures of a live origin, read once, as they come.

Only the current picture is in memory. Nothing is copied to disk.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Event

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fervid.errors import InputError
from fervid.files import encodable
from fervid.types import Frame, Video
from fervid.video import origins, source
from fervid.video.luma import Turn, turn_of, upright, upright_size
from fervid.video.opening import STILLS_RATE, limit_size, time_base_of
from fervid.video.origins import STANDARD, Origin, reason
from fervid.video.packets import DEMUX_RETRIES, MissingTimes
from fervid.video.remote import path_parts

JUMP = 60  # seconds by which a picture may come later than the last one; beyond it, the clock was changed
BACK = 1  # seconds by which it may come earlier, as times of bad muxers are out of order
REMEMBERED = 64  # packets with an arrival that is kept until their pictures come out of the decoder
COARSE = 16  # every 16th pixel is enough to identify a recording
MOST_RATE = 1000  # frames per second; some cameras state the ticks of their clock instead
RTSP = "rtsp"  # FFmpeg's format that reports a lost connection as an end


@dataclass(frozen=True, eq=False)
class Arrival:
    """A picture, its number and the time at which it came."""

    frame: Frame
    number: int  # from 0; dropped pictures count
    moment: float  # of its last data, in seconds of the monotonic clock


class Feed:
    """The pictures of an origin. `session` may be called again after the origin broke."""

    def __init__(self, origin: Origin, rotate: str, stopped: Event) -> None:
        self.origin, self.rotate, self._stopped = origin, rotate, stopped
        self.video: Video | None = None  # known from the first picture on
        self.count = 0  # pictures so far
        self.damaged = 0  # packets that could not be decoded
        self._digest = hashlib.sha256()  # of a pipe's bytes, or of coarse pictures
        self._has_bytes = False
        self._last: int | None = None  # pts of the last picture
        self._came = 0.0  # when it came

    def session(self) -> Iterator[Arrival]:
        """Yield the pictures until the origin ends; raise InputError if it cannot be opened, or breaks."""
        with origins.opened(self.origin, self._take_bytes, self._stopped) as container:
            stream = origins.video_stream(container, self.origin)
            limit_size(container, stream)
            clock: _Clock | None = None
            turning = _Turning(self.rotate)
            size: tuple[int, int] | None = None
            for picture, moment in self._decoded(container, stream):
                if self.video is None:
                    self.video = _describe(self.origin, container, stream, picture, turning.of(picture))
                clock = clock or _Clock(self.video, stream, self._last, time.monotonic() - self._came)
                pts, is_new = clock.time(picture.pts)
                luma = upright(picture, turning.of(picture), (self.video.width, self.video.height))
                now = (picture.width, picture.height)
                cut = is_new or (size is not None and size != now)
                size, self._last, self._came = now, pts, time.monotonic()
                if not self._has_bytes:
                    self._digest.update(
                        pts.to_bytes(8, "big", signed=True) + luma[::COARSE, ::COARSE].tobytes()
                    )
                if self.origin.is_file and self.origin.is_paced:
                    moment = clock.wait(pts, self._stopped)
                if self._stopped.is_set():
                    return
                yield Arrival(Frame(pts, luma, cut=cut), self.count, moment)
                self.count += 1

    def sha256(self) -> str:
        """Return the SHA-256 of a file, or of a pipe's bytes; of another feed, of its coarse pictures."""
        return source.digest(Path(self.origin.name)) if self.origin.is_file else self._digest.hexdigest()

    def _take_bytes(self, data: bytes) -> None:
        self._has_bytes = True
        self._digest.update(data)

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[tuple[VideoFrame, float]]:
        """Yield the pictures, each with the time at which its packet came."""
        arrivals: deque[tuple[int | None, float]] = deque(maxlen=REMEMBERED)
        for packet in self._packets(container, stream):
            moment = time.monotonic()
            if packet.size:
                arrivals.append((packet.pts, moment))
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                self.damaged += 1
                continue
            for picture in pictures:
                yield picture, next((when for pts, when in arrivals if pts == picture.pts), moment)

    def _is_camera(self, container: InputContainer) -> bool:
        """Return whether this is a network camera: its stream states no length, as that of a film does."""
        return container.format.name == RTSP and container.duration is None

    def _packets(self, container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of the stream, past damaged data."""
        packets, failures, times = container.demux(stream), 0, MissingTimes[VideoStream](container)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                yield from times.end()
                if self._is_camera(container):
                    raise InputError(f"{self.origin.label} broke: the stream was closed") from None
                return
            except IndexError:  # a packet of a stream that began later; av has skipped it
                packets = container.demux(stream)
            except av.InvalidDataError as failure:
                yield from times.end()
                packets, failures = container.demux(stream), failures + 1
                if failures > DEMUX_RETRIES:
                    raise InputError(
                        f"{self.origin.label} sends only damaged data: check its source"
                    ) from failure
            except av.FFmpegError as failure:
                yield from times.end()
                raise InputError(f"{self.origin.label} broke: {reason(failure)}") from failure
            else:
                failures = 0
                yield from times.add(packet)


class _Turning:
    """The turn of the pictures, which is read again only when it changes."""

    def __init__(self, rotate: str) -> None:
        self._rotate, self._known = rotate, {}  # type: str, dict[int, Turn]

    def of(self, picture: VideoFrame) -> Turn:
        if picture.rotation not in self._known:
            self._known[picture.rotation] = turn_of(picture, self._rotate)
        return self._known[picture.rotation]


class _Clock:
    """Turns the times of one session into the feed's own, which always ascend."""

    def __init__(self, video: Video, stream: VideoStream, last: int | None, silent: float) -> None:
        self._video, self._last = video, last
        self._ticks = time_base_of(stream) / video.time_base
        self._step = max(1, video.length(1 / (video.rate or STILLS_RATE)))
        self._silent = max(self._step, video.length(Fraction(silent)) if last is not None else 0)
        self._offset: int | None = None
        self._began: float | None = None

    def time(self, pts: int | None) -> tuple[int, bool]:
        """Return the time of the next picture, and whether its clock does not continue the one before."""
        own = None if pts is None else round(pts * self._ticks)
        last = self._last
        if self._offset is None:  # the first picture of the session
            wanted = (self._video.start if own is None else own) if last is None else last + self._silent
            self._offset = 0 if own is None else wanted - own
            self._last = wanted
            return wanted, last is not None
        assert last is not None
        if own is None:
            self._last = last + self._step
            return self._last, False
        time = own + self._offset
        is_new = time < last - self._video.length(BACK) or time > last + self._video.length(JUMP)
        if is_new:
            self._offset += last + self._step - time
            time = last + self._step
        self._last = max(time, last + 1)
        return self._last, is_new

    def wait(self, pts: int, stopped: Event) -> float:
        """Wait until a picture of a file is due; return the time."""
        seconds = self._video.seconds(pts)
        self._began = time.monotonic() - seconds if self._began is None else self._began
        stopped.wait(max(0.0, self._began + seconds - time.monotonic()))
        return time.monotonic()


def _describe(
    origin: Origin, container: InputContainer, stream: VideoStream, picture: VideoFrame, turn: Turn
) -> Video:
    """Return a video without a known end and without planned frames."""
    width, height = upright_size(picture, stream, turn)
    time_base, start = time_base_of(stream), picture.pts or 0
    offset = Fraction(0)
    if container.start_time is not None and (origin.is_file or not origin.can_reopen):
        offset = start * time_base - Fraction(container.start_time, av.time_base)
    empty = np.empty(0, np.int64)
    return Video(
        path="",
        name=_name(origin),
        sha256="",
        container=container.format.name,
        codec=stream.codec_context.name,
        time_base=time_base,
        start=start,
        duration=0,
        clock_offset=offset,
        rate=_rate(stream),
        width=width,
        height=height,
        rotation=turn.degrees,
        pts=empty,
        keyframes=empty,
        seekable=False,
    )


def _rate(stream: VideoStream) -> Fraction | None:
    """Return the frames per second that a stream states, or that its first frames have."""
    stated = (stream.average_rate, stream.guessed_rate)
    return next((rate for rate in stated if rate and rate <= MOST_RATE), None)


def _name(origin: Origin) -> str:
    """Return the name of the origin for outputs, without a folder or secrets."""
    if origin.name == STANDARD:
        return "stdin"
    return encodable(path_parts(origin.name)[-1] if origin.is_url else Path(origin.name).name)
