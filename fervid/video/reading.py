"""Decoding and seeking: frames with exact times, from damaged files as well."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fervid.errors import InputError
from fervid.types import Frame, Tally, Video
from fervid.video import source
from fervid.video.luma import Turn, turn_of, upright, upright_size
from fervid.video.opening import STILLS, opened, time_base_of
from fervid.video.packets import demuxed

AT_ONCE = 8  # frames that a reader should decode at once, before it uses them,
PIXELS_AT_ONCE = 1 << 24  # if they are small enough
# Decoders reuse the memory of frames that nothing holds, and what was in it is left in damaged parts of a
# frame. So that results do not depend on how long a reader holds its frames, the last ones are held anyway:
# those decoded at once, and as many more as the detection of cuts compares.
HELD = AT_ONCE + 6
PIXELS_HELD = 1 << 26  # in all of them, as far as they are more than one
SECONDS_BEFORE, FRAMES_BEFORE = 1, 16  # before a span, all frames of the longer of both are decoded
PAST = 64  # packets without a frame after which none is expected: decoders hold back 32 fields at most
FARTHEST = 60  # seconds before a span that are searched for a keyframe that can be decoded
# Decoders that can leave out frames to which no other frame refers. HEVC's can as well, but in a file with
# several layers it leaves out too much: there the container marks these frames.
LEAVING_OUT = frozenset({"h264", "mpeg1video", "mpeg2video", "mpeg4", "vp8"})
# Decoders that report damaged packets after which their pictures depend on where decoding began. VP8's does
# not, HEVC's not always, and Motion JPEG's leaves in a picture what was in its memory.
REPORTING = frozenset({"h264", "av1", "libdav1d", "vp9", "mpeg2video", "mpeg4"})


class DamageError(Exception):
    """Something is damaged: the next picture may depend on where decoding began."""


def frames(
    video: Video,
    start: int | None = None,
    stop: int | None = None,
    tally: Callable[[Tally], None] | None = None,
    wanted: Collection[int] | None = None,
    undamaged: bool = False,
) -> Iterator[Frame]:
    """Yield the frames of [start, stop) in order, upright, with square pixels, in the planned size.

    With `wanted`, other frames are left out if no frame refers to them, as decoding them takes time.

    Spans that join give the frames of the whole, pixel for pixel. (After damage, pictures that depend on lost
    ones depend on where decoding began; they are the same in each run over the same span. If `undamaged`, a
    DamageError is raised instead.) At the end `tally` is called with the number of frames in the range, of
    planned frames that were wanted but not decoded, and whether the file is complete.
    """
    low = video.start if start is None else start
    decoded, arrived, last, size, rotation = 0, 0, None, None, None
    is_stills = video.container == STILLS
    # Seeking past damage can yield frames that are not in the plan: they would differ between spans.
    begin, end = np.searchsorted(video.pts, [low, video.end if stop is None else max(stop, low)])
    planned = video.pts[begin:end]
    planned_set = set(planned.tolist())
    is_every = wanted is None or not video.seekable
    expected = planned if is_every else planned[np.isin(planned, list(wanted or ()))]
    way = _Way(is_deblocked=False)

    def check(number: int) -> None:
        if undamaged and (way.damaged or arrived != number):
            raise DamageError

    if stop is None or stop > low:
        pictures = still_pictures(video, low) if is_stills else timed(video, low, stop, wanted, way)
        for pts, picture in pictures:
            if stop is not None and pts >= stop:
                break
            check(int(np.searchsorted(expected, pts)))
            now = (picture.width, picture.height)
            if is_stills or picture.rotation != rotation:
                # Not for every frame: it makes a small copy.
                turn, rotation = turn_of(picture, video.rotate), picture.rotation
            if pts >= low and (not video.seekable or pts in planned_set):
                # A picture of another size is resized to the planned one, so that all boxes share one grid.
                luma = upright(picture, turn, (video.width, video.height))
                yield Frame(pts, luma, cut=size is not None and size != now, repeated=pts == last)
                decoded += 1
                arrived += is_every or pts in wanted  # type: ignore[operator]
            size, last = now, pts
        check(len(expected))
    if tally:
        reaches_end = stop is None or stop >= video.end
        complete = not reaches_end or is_stills or not source.ends_early(Path(video.path))
        tally(Tally(decoded=decoded, undecodable=max(0, len(expected) - arrived), complete=complete))


@dataclass
class _Way:
    """What happened since decoding began, at a keyframe."""

    left_out: bool = False  # frames to which no other refers
    damaged: bool = False
    is_deblocked: bool = True  # whether the edges of blocks are smoothed in these


def decoded(
    stream: VideoStream, packets: Iterable[Packet[VideoStream]] | None = None, way: _Way | None = None
) -> Iterator[VideoFrame]:
    """Yield every frame that can be decoded; other packets are skipped, and `frames` counts the loss."""
    way = way or _Way()
    is_flushed, held = False, deque[VideoFrame]()
    for packet in demuxed(stream) if packets is None else packets:
        if packet.size == 0 and packet.dts is not None:
            continue  # an empty packet means "repeat" in AVI, but "end of stream" to the decoder
        is_flushed = packet.size == 0
        try:
            pictures = packet.decode()
        except av.FFmpegError:
            way.damaged = True
            continue
        way.damaged |= any(picture.is_corrupt for picture in pictures)
        _hold(held, pictures)
        yield from pictures
    if not is_flushed:
        pictures = stream.decode(None)
        way.damaged |= any(picture.is_corrupt for picture in pictures)
        _hold(held, pictures)
        yield from pictures


def _hold(held: deque[VideoFrame], pictures: Iterable[VideoFrame]) -> None:
    """Hold pictures instead of the earliest ones."""
    for picture in pictures:
        held.append(picture)
        while len(held) > max(1, min(HELD, PIXELS_HELD // max(1, picture.width * picture.height))):
            held.popleft()


def at_once(width: int, height: int) -> int:
    """Return the number of frames of this size to decode at once.

    The decoder and what uses its frames take turns in the processor's caches, and longer turns are faster.
    """
    return max(1, min(AT_ONCE, PIXELS_AT_ONCE // max(1, width * height)))


def timed(
    video: Video,
    start: int,
    stop: int | None = None,
    wanted: Collection[int] | None = None,
    way: _Way | None = None,
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield decoded frames with their pts, never descending, from a frame before `start` to one after `stop`.

    With `wanted`, other frames are left out if no frame refers to them, as decoding them takes time. Without,
    only those long before `start` are, and not if something is damaged there: which frames a decoder gives
    after damage depends on all before.
    """
    before = max(video.length(SECONDS_BEFORE), FRAMES_BEFORE * _step(video)) if wanted is None else 0
    far, way = start - before, way or _Way()
    pictures = _begun(video, start, stop, wanted, far, way)
    around: deque[tuple[int, VideoFrame]] = deque(maxlen=2)  # the last frame before `start`, the first after
    while not around or around[-1][0] < start:
        if (picture := next(pictures, None)) is None:
            break
        around.append(picture)
    picture = None  # which would keep the frame
    index = int(np.searchsorted(video.pts, start))
    is_planned = [pts for pts, _ in around] == video.pts[max(0, index - 1) : index + 1].tolist()
    if wanted is None and way.left_out and (way.damaged or not is_planned):
        around.clear()
        pictures.close()
        pictures = _begun(video, start, stop, None, video.start, way)
    while around:
        yield around.popleft()
    yield from pictures


def _begun(
    video: Video, start: int, stop: int | None, wanted: Collection[int] | None, far: int, way: _Way
) -> Generator[tuple[int, VideoFrame]]:
    """Yield decoded frames with their pts, beginning at a keyframe; those before `far` may be left out."""
    path = Path(video.path)
    second = max(1, video.length(1))
    back = 0
    # Containers that index by decoding time seek too late, and open groups of pictures lose their first. So
    # step back until a frame before `start` comes out, which is needed to detect a change of size.
    while video.seekable and (target := start - 1 - back) > video.start and back <= FARTHEST * second:
        with opened(path, way.is_deblocked) as (_, stream):
            way.left_out = way.damaged = False
            packets = _needed(video, stream, far, stop, wanted, way)
            pictures = _clocked(video, stream, _sought(stream, packets, target, way))
            first = next(pictures, None)
            if first is not None and first[0] < start:
                yield first
                yield from pictures
                return
        back = back * 2 or second
    with opened(path, way.is_deblocked) as (_, stream):
        packets = _needed(video, stream, far, stop, wanted, way)
        if video.seekable and target > video.start:
            # All around is damaged. From the start of the file, every span would decode all before it.
            _seek(stream, target)
        yield from _clocked(video, stream, decoded(stream, packets, way))


def _needed(
    video: Video, stream: VideoStream, far: int, stop: int | None, wanted: Collection[int] | None, way: _Way
) -> Iterator[Packet[VideoStream]]:
    """Yield the packets to decode, and let the decoder leave out unwanted frames to which no other refers.

    Frames before `far` are unwanted: they are decoded only because others refer to them.
    """
    context, is_unwanted, past = stream.codec_context, False, 0
    for packet in demuxed(stream):
        times = [time for time in (packet.pts, packet.dts) if time is not None]
        if video.seekable and stop is not None and times and min(times) >= stop:
            past += 1
            if past > PAST:  # none of them can be decoded: else a frame after `stop` had come
                return
        if packet.pts is not None:  # a second field has no time of its own, and belongs to the first
            is_unwanted = packet.pts < far or (wanted is not None and packet.pts not in wanted)
        leave_out = is_unwanted and video.seekable and not packet.is_keyframe
        if context.name in LEAVING_OUT:
            context.skip_frame = "NONREF" if leave_out else "DEFAULT"
            way.left_out |= leave_out
        elif leave_out and context.name == "hevc" and packet.is_disposable:
            way.left_out = True
            continue
        yield packet


def _sought(
    stream: VideoStream, packets: Iterator[Packet[VideoStream]], target: int, way: _Way
) -> Iterator[VideoFrame]:
    """Yield frames from a keyframe near `target` on; none if they would differ from those of a full pass."""
    if not _seek(stream, target):
        return
    keyframe = next((packet for packet in packets if packet.is_keyframe), None)
    if keyframe is None:
        return
    first: VideoFrame | None = None

    def fed() -> Iterator[Packet[VideoStream]]:
        yield keyframe
        for count, packet in enumerate(packets):
            if first is None and count == PAST:  # nothing here can be decoded
                return
            yield packet

    pictures = decoded(stream, fed(), way)
    first = next(pictures, None)
    if first is None or first.pts != keyframe.pts or first.is_corrupt:
        return  # a damaged keyframe: the decoder conceals the damage with the frames before it
    yield first
    yield from pictures


def _seek(stream: VideoStream, target: int) -> bool:
    """Seek to the keyframe at or before `target`; return False if the container cannot."""
    try:
        cast(InputContainer, stream.container).seek(target, stream=stream)
    except av.FFmpegError:
        return False
    return True


def _clocked(
    video: Video, stream: VideoStream, pictures: Iterator[VideoFrame]
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield every frame with a time on the video's clock; times never descend."""
    step = _step(video)
    if not video.seekable and time_base_of(stream) != video.time_base:  # a clock that counts
        yield from ((index * step, picture) for index, picture in enumerate(pictures))
        return
    last = None
    for picture in pictures:
        time = picture.pts
        if video.seekable and (time is None or (last is not None and time <= last)):
            continue  # every planned frame has its own time; the decoder invented this one to conceal damage
        if time is None:
            time = picture.dts if picture.dts is not None else video.start if last is None else last + step
        last = time if last is None else max(time, last)
        yield last, picture


def _step(video: Video) -> int:
    """Return the usual ticks from one frame to the next, or 1 if they are not known."""
    return max(1, video.length(1 / video.rate)) if video.rate else 1


@dataclass(frozen=True, eq=False)
class Still:
    picture: VideoFrame
    turn: Turn
    size: tuple[int, int]  # upright, square pixels
    codec: str


def read_still(path: Path, rotate: str) -> Still | None:
    """Read a still; None if it cannot be read, which `frames` counts as a lost frame."""
    try:
        source.check_readable(path)
        with opened(path) as (_, stream):
            picture = next(decoded(stream), None)
            if picture is None:
                return None
            turn = turn_of(picture, rotate)
            return Still(picture, turn, upright_size(picture, stream, turn), stream.codec_context.name)
    except InputError:
        return None


def still_pictures(video: Video, start: int) -> Iterator[tuple[int, VideoFrame]]:
    """Yield the pictures of a folder from the one before `start`, which shows a change of size."""
    paths = source.stills(Path(video.path))
    first = max(0, start - 1)
    while first > 0 and read_still(paths[first], video.rotate) is None:
        first -= 1
    for pts in range(first, len(paths)):
        still = read_still(paths[pts], video.rotate)
        if still is not None:
            yield pts, still.picture
