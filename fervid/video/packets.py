"""The packets of a stream, with the presentation times that a container leaves out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar, cast

import av
from av.container import Container, Flags, InputContainer
from av.packet import Packet
from av.stream import Stream

DEMUX_RETRIES = 64  # errors in a row after which the rest of a file is skipped
MOST_HELD = 64  # packets that wait for a later one: no encoder writes as many B-frames in a row
LATEST = (1 << 63) - 1  # of all times
AnyStream = TypeVar("AnyStream", bound=Stream)


class MissingTimes(Generic[AnyStream]):
    """Gives a packet without a presentation time that of the next packet that is not a B-frame.

    FFmpeg does it as well (its flag `gen_pts`), but reads on without a limit for a later packet, and compares
    all that it has read each time: 300,000 tiny packets would take minutes.
    """

    def __init__(self, container: Container) -> None:
        container.flags &= ~cast(int, Flags.gen_pts.value)
        self._held: deque[Packet[AnyStream]] = deque()
        self._compared = 0  # of the held packets, with the first one
        self._last: int | None = None  # decoding time of the last one of these; None if one of them has none

    def add(self, packet: Packet[AnyStream]) -> Iterator[Packet[AnyStream]]:
        """Yield the packets that are complete with the next packet of the stream."""
        if not self._held and (packet.pts is not None or packet.dts is None):
            yield packet  # the usual case
            return
        if packet.size == 0 and packet.dts is None:  # av's mark of the end
            yield from self.end()
            yield packet
            return
        self._held.append(packet)
        yield from self._complete(MOST_HELD)

    def end(self) -> Iterator[Packet[AnyStream]]:
        """Yield the packets that are still held, as no other follows."""
        yield from self._complete(0)

    def _complete(self, most: int) -> Iterator[Packet[AnyStream]]:
        while self._held:
            first = self._held[0]
            if first.pts is None and first.dts is not None:
                self._compare(first, first.dts)
                if first.pts is None and not most and self._last is not None:
                    first.pts = min(self._last + (first.duration or 0), LATEST)
                if first.pts is None and len(self._held) < most:
                    return
            self._compared = 0
            yield self._held.popleft()

    def _compare(self, first: Packet[AnyStream], dts: int) -> None:
        """Look for the time of the first packet in those that have not been compared with it."""
        if not self._compared:
            self._last = dts
        for index in range(self._compared, len(self._held)):
            later = self._held[index]
            if later.dts is None or later.dts > dts:
                if later.dts is None or self._last is not None:
                    self._last = later.dts
                if later.pts != later.dts:
                    first.pts = later.dts
            if first.pts is not None:
                return
        self._compared = len(self._held)


def demuxed(stream: AnyStream) -> Iterator[Packet[AnyStream]]:
    """Yield every packet of the stream, past damage as far as the container recovers."""
    container = cast(InputContainer, stream.container)
    packets, failures, times = container.demux(stream), 0, MissingTimes[AnyStream](container)
    while failures < DEMUX_RETRIES:
        try:
            packet = cast("Packet[AnyStream]", next(packets))
        except StopIteration:
            break
        except av.FFmpegError:
            yield from times.end()
            packets, failures = container.demux(stream), failures + 1
        except IndexError:  # a packet of a stream that begins later in the file; av has skipped it
            packets = container.demux(stream)
        else:
            failures = 0
            yield from times.add(packet)
    yield from times.end()
