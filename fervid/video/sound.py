"""The sound of a piece of a video: as packets for copying, or as samples, exact to the sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet

from fervid.types import Floats, Video
from fervid.video.opening import STILLS, opened
from fervid.video.packets import demuxed

RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)  # that AAC takes
OTHERWISE = 48000  # samples per second for files with a rate that AAC does not take
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}  # by channels; any other number is mixed down to stereo
RUN_UP = Fraction(1)  # seconds that reading begins before a piece: decoders need a few packets
JITTER = Fraction(1, 20)  # seconds that times of frames may be off without a gap: clocks are coarse


@dataclass(frozen=True)
class Sound:
    """One audio stream of a video; times are seconds from the video's first frame."""

    path: str
    index: int  # among the file's audio streams
    codec: str
    rate: int  # samples per second, as AAC takes them
    layout: str
    zero: Fraction  # time of the video's first frame on the file's clock

    def packets(self, start: Fraction, stop: Fraction) -> Iterator[tuple[Fraction, Packet[AudioStream]]]:
        """Yield the packets that begin in [start, stop), with their times from `start` on."""
        for time, packet in self._from(start):
            if time >= stop - start:
                return
            if time >= 0:
                yield time, packet

    def samples(self, start: Fraction, stop: Fraction, to_end: bool = True) -> Iterator[Floats]:
        """Yield blocks (C, N) of samples of [start, stop), silent where the file has none.

        They are exact in total; without `to_end`, there is no silence after the file's last sample.
        """
        total, done = round((stop - start) * self.rate), 0
        for at, block in self._decoded(start):
            first = done if at is None or (done and abs(at - done) < JITTER * self.rate) else at
            if first >= total:
                break
            block = block[:, max(0, done - first) : total - first]
            if not block.shape[1]:
                continue
            if first > done:
                yield self._silence(first - done)
            done = max(first, done) + block.shape[1]
            yield block
        while to_end and done < total:  # a second at a time, as the sound may end long before the picture
            length = min(total - done, self.rate)
            yield self._silence(length)
            done += length

    def _silence(self, count: int) -> Floats:
        channels = next(number for number, name in LAYOUTS.items() if name == self.layout)
        return np.zeros((channels, count), np.float32)

    def _decoded(self, start: Fraction) -> Iterator[tuple[int | None, Floats]]:
        """Yield decoded blocks, each with the index of its first sample as counted from `start`."""
        resampler = AudioResampler(format="fltp", layout=self.layout, rate=self.rate)
        for _, packet in self._from(start):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue  # lost samples become silence
            for frame in frames:
                at = None
                if frame.pts is not None and frame.time_base is not None:
                    at = round((frame.pts * frame.time_base - self.zero - start) * self.rate)
                for resampled in resampler.resample(frame):
                    block = cast(Floats, resampled.to_ndarray())
                    yield at, block
                    at = None if at is None else at + block.shape[1]

    def _from(self, start: Fraction) -> Iterator[tuple[Fraction, Packet[AudioStream]]]:
        """Yield packets from RUN_UP before `start` to the end, with their times from `start` on."""
        wanted = self.zero + start
        # A seek may land too late: then read from the beginning.
        for is_sought in (True, False) if wanted > RUN_UP else (False,):
            with opened(Path(self.path)) as (container, _):
                stream = container.streams.audio[self.index]
                stream.codec_context.thread_count = 1
                if is_sought:
                    try:
                        container.seek(int((wanted - RUN_UP) * av.time_base))
                    except av.FFmpegError:
                        continue
                is_late = is_sought
                for packet in demuxed(stream):
                    if not packet.size or packet.pts is None:
                        continue
                    time = packet.pts * packet.time_base - wanted
                    if is_late and time > 0:
                        break
                    is_late = False
                    yield time, packet
                else:
                    return


def sounds(video: Video) -> list[Sound]:
    """Return the audio streams of a video that can be decoded."""
    if video.container == STILLS:
        return []
    with opened(Path(video.path)) as (container, _):
        zero = Fraction(container.start_time or 0, av.time_base) + video.clock_offset
        return [
            Sound(
                path=video.path,
                index=index,
                codec=stream.codec_context.name,
                rate=stream.rate if stream.rate in RATES else OTHERWISE,
                layout=LAYOUTS.get(stream.channels, "stereo"),
                zero=zero,
            )
            for index, stream in enumerate(container.streams.audio)
            if stream.codec_context is not None and stream.channels
        ]
