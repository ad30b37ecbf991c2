"""Sound written into a video along with its pictures: copied packet by packet, or encoded."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from fervid.types import Floats
from fervid.video.opening import opened
from fervid.video.sound import LAYOUTS, Sound

BLOCK = 1024  # samples in a packet of AAC
BIT_RATE = 96_000  # of AAC, per channel
KEPT = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "flac", "opus"})  # that mp4, mov and mkv all take


class SoundWriter(Protocol):
    """Writes one audio stream; times are seconds of the output."""

    def begin(self, start: Fraction, stop: Fraction, position: Fraction) -> None:
        """Add [start, stop) of the video, at `position` of the output."""

    def advance(self, until: Fraction) -> None:
        """Write the sound up to this time of the output."""

    def finish(self) -> None:
        """Write the rest."""


class CopiedSound:
    """Sound copied as packets."""

    def __init__(self, output: OutputContainer, sound: Sound) -> None:
        self._output, self._sound = output, sound
        with opened(Path(sound.path)) as (container, _):
            source = container.streams.audio[sound.index]
            self._stream = output.add_stream_from_template(source)
            self._stream.metadata.update(source.metadata)
        self._left: Iterator[tuple[Fraction, Packet[AudioStream]]] = iter(())
        self._next: tuple[Fraction, Packet[AudioStream]] | None = None
        self._end = 0  # ticks before which no further packet may begin

    def begin(self, start: Fraction, stop: Fraction, position: Fraction) -> None:
        packets = ((position + time, packet) for time, packet in self._sound.packets(start, stop))
        self._left = chain(self._left, packets)

    def advance(self, until: Fraction | None) -> None:
        while True:
            self._next = self._next or next(self._left, None)
            if self._next is None or (until is not None and self._next[0] > until):
                return
            self._write(*self._next)
            self._next = None

    def finish(self) -> None:
        self.advance(None)

    def _write(self, time: Fraction, packet: Packet[AudioStream]) -> None:
        ticks = round(time / packet.time_base)
        if ticks < self._end:
            return  # two pieces overlap here by a part of a packet
        packet.pts = packet.dts = ticks
        self._end = ticks + max(1, (packet.duration or 0) // 2)
        packet.stream = self._stream
        self._output.mux(packet)


class EncodedSound:
    """Sound encoded as AAC, exactly the samples of each piece.

    An only piece needs no silence after its sound, which may be hours.
    """

    def __init__(self, output: OutputContainer, sound: Sound, is_only: bool = False) -> None:
        self._output, self._sound, self._is_only = output, sound, is_only
        self._stream = output.add_stream("aac", rate=sound.rate, layout=sound.layout)
        channels = next(number for number, name in LAYOUTS.items() if name == sound.layout)
        self._stream.codec_context.bit_rate = BIT_RATE * channels
        self._left: Iterator[Floats] = iter(())
        self._held = np.zeros((channels, 0), np.float32)
        self._done = 0  # samples given to the encoder

    def begin(self, start: Fraction, stop: Fraction, position: Fraction) -> None:
        self._left = chain(self._left, self._sound.samples(start, stop, to_end=not self._is_only))

    def advance(self, until: Fraction | None) -> None:
        while until is None or self._done < until * self._sound.rate:
            block = next(self._left, None)
            if block is None:
                return
            self._held = np.concatenate([self._held, block], axis=1)
            while self._held.shape[1] >= BLOCK:
                self._encode(BLOCK)

    def finish(self) -> None:
        self.advance(None)
        if self._held.shape[1]:
            self._encode(self._held.shape[1])
        self._output.mux(self._stream.encode(None))

    def _encode(self, count: int) -> None:
        block = np.ascontiguousarray(self._held[:, :count])
        frame = AudioFrame.from_ndarray(block, format="fltp", layout=self._sound.layout)
        frame.sample_rate, frame.pts = self._sound.rate, self._done
        frame.time_base = Fraction(1, self._sound.rate)
        self._output.mux(self._stream.encode(frame))
        self._held, self._done = self._held[:, count:], self._done + count
