"""Cutting pieces of a video into files: copied from a keyframe on, or encoded with frame accuracy."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from fervid.errors import OutputError
from fervid.types import Video
from fervid.video.clock import REORDER_LIMIT, typical_step
from fervid.video.encoding import CONTAINERS, REPEATABLE, Look, VideoWriter, matrix, writing
from fervid.video.luma import turn_of
from fervid.video.opening import STILLS, opened
from fervid.video.packets import demuxed
from fervid.video.pictures import turned
from fervid.video.reading import decoded
from fervid.video.sound import sounds
from fervid.video.sound_writing import CopiedSound, EncodedSound

QUALITY = {"crf": "18", "preset": "fast"} | REPEATABLE  # of H.264: no visible difference
Tick = Callable[[float], None]  # called with the seconds done


@dataclass(frozen=True, order=True)
class Piece:
    """A piece of a video, half-open [start, stop) in pts: each a frame's start or the end of the video."""

    start: int
    stop: int


def at_frames(video: Video, start: int, stop: int) -> Piece:
    """Return the piece of the frames that begin in [start, stop), or else of the frame shown at `start`."""
    low, high = (int(index) for index in np.searchsorted(video.pts, [start, stop]))
    if low >= high:
        low, high = max(0, high - 1), max(1, high)
    return Piece(int(video.pts[low]), int(video.pts[high]) if high < len(video.pts) else video.end)


def at_keyframes(video: Video, start: int, stop: int) -> Piece:
    """Return the same piece from the last keyframe before it on, where copying can begin."""
    exact = at_frames(video, start, stop)
    index = int(np.searchsorted(video.keyframes, exact.start, side="right")) - 1
    return Piece(int(video.keyframes[max(0, index)]), exact.stop)


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces in order of time, with those that touch or overlap joined."""
    whole: list[Piece] = []
    for piece in sorted(pieces):
        if whole and piece.start <= whole[-1].stop:
            whole[-1] = Piece(whole[-1].start, max(whole[-1].stop, piece.stop))
        else:
            whole.append(piece)
    return whole


def copy_suffix(video: Video) -> str:
    """Return the suffix of files that the video's streams are copied to: the source's, or else Matroska's."""
    own = Path(video.path).suffix.lower()
    family = {"mp4": ("mov,mp4", ".mp4"), "mov": ("mov,mp4", ".mov"), "webm": ("matroska,webm", ".webm")}
    for suffix, (container, ours) in family.items():
        if video.container.startswith(container) and own == f".{suffix}":
            return ours
    if video.container.startswith("mov,mp4"):
        return ".mp4"
    return ".ts" if video.container == "mpegts" else ".mkv"


def copy_obstacle(video: Video, suffix: str) -> str | None:
    """Return the reason why a video cannot be copied into a file with this suffix, or None."""
    if video.container == STILLS:
        return "pictures have no stream to copy"
    if not video.seekable:
        return "its frames have no times of their own"
    try:
        with av.open(io.BytesIO(), "w", format=CONTAINERS[suffix]) as output:
            _copies(output, video)
            output.start_encoding()
    except (av.FFmpegError, ValueError):
        return f"{suffix} cannot contain its streams ({video.codec})"
    return None


def copy(
    video: Video, pieces: Sequence[Piece], target: BinaryIO, suffix: str, note: Mapping[str, str]
) -> None:
    """Write pieces that begin at keyframes one after the other, without encoding pictures or sound.

    Where frames depend on later ones, a piece may end a few frames late.
    """
    with writing(target, CONTAINERS[suffix], note) as output:
        stream, sound_writers = _copies(output, video)
        position, last = Fraction(0), None  # seconds of the output, dts of the last packet
        for piece in pieces:
            for sound_writer in sound_writers:
                sound_writer.begin(*_seconds(video, piece), position)
            offset = round(position / video.time_base) - piece.start
            indices, times = _packets_of(video, piece)
            decoding = decoding_times(times)
            chosen = _select(_from_keyframe(video, piece.start), indices)
            for packet, shown, read in zip(chosen, times, decoding, strict=False):
                last = read + offset if last is None else max(read + offset, last + 1)
                packet.pts, packet.dts, packet.stream = shown + offset, last, stream
                output.mux(packet)
                for sound_writer in sound_writers:
                    sound_writer.advance(max(0, last) * video.time_base)
            end = max(piece.stop, _next(video, max(times)))
            position += (end - piece.start) * video.time_base
        for sound_writer in sound_writers:
            sound_writer.finish()


def encode(
    video: Video,
    pieces: Sequence[Piece],
    target: BinaryIO,
    suffix: str,
    note: Mapping[str, str],
    tick: Tick | None = None,
) -> None:
    """Write exactly the frames of pieces one after the other, encoded again; each keeps its own length."""
    first = next(turned(video, pieces[0].start), None)
    if first is None:
        raise OutputError(
            f"no frame of {video.name} can be decoded from {video.seconds(pieces[0].start):.2f} s on"
        )
    look = Look.of(video, first[1], first[2])
    with writing(target, CONTAINERS[suffix], note) as output:
        writer, position = VideoWriter(output, look, QUALITY), 0  # ticks of the output
        writer.sound_writers += [EncodedSound(output, sound) for sound in sounds(video)]
        for piece in pieces:
            for sound_writer in writer.sound_writers:
                sound_writer.begin(*_seconds(video, piece), position * video.time_base)
            for pts, picture, _ in turned(video, piece.start, piece.stop):
                writer.add(picture, position + pts - piece.start, _next(video, pts) - pts)
                if tick:
                    tick(float((position + pts - piece.start) * video.time_base))
            position += piece.stop - piece.start
        writer.finish()


def _copies(output: OutputContainer, video: Video) -> tuple[VideoStream, list[CopiedSound]]:
    """Add the streams of a copy: the video with its turn, and all sound, but no subtitles or attachments."""
    with opened(Path(video.path)) as (_, source):
        stream = output.add_stream_from_template(source)
        if video.rotate != "auto":
            picture = next(decoded(source))
            stream.set_display_matrix(matrix(turn_of(picture, video.rotate)))
    return stream, [CopiedSound(output, sound) for sound in sounds(video)]


def _packets_of(video: Video, piece: Piece) -> tuple[list[int], list[int]]:
    """Return indices, from the keyframe on, and times of the packets of all frames before `stop`.

    Later frames are included only if a frame before `stop` comes after them in the file.
    """
    indices: list[int] = []
    times: list[int] = []
    waiting: list[tuple[int, int]] = []
    for index, packet in enumerate(_from_keyframe(video, piece.start)):
        if packet.pts is None or packet.is_discard:
            raise OutputError(f"{video.name} is edited or damaged there and cannot be copied: use --exact")
        if packet.pts < piece.start:
            continue  # shown before the keyframe, and needs packets before it
        waiting.append((index, packet.pts))
        if packet.pts < piece.stop:
            indices += [index for index, _ in waiting]
            times += [pts for _, pts in waiting]
            waiting.clear()
        elif len(waiting) > REORDER_LIMIT:
            break
    last = max(times)
    for index, pts in waiting:  # no gap before a later frame that is included
        if pts < last:
            indices.append(index)
            times.append(pts)
    return indices, times


def _select(packets: Iterator[Packet[VideoStream]], indices: Sequence[int]) -> Iterator[Packet[VideoStream]]:
    remaining = iter(indices)
    following = next(remaining, None)
    for index, packet in enumerate(packets):
        if following is None:
            return
        if index == following:
            yield packet
            following = next(remaining, None)


def decoding_times(times: Sequence[int]) -> list[int]:
    """Return decoding times for packets with these display times, in the order of the file.

    Matroska has none, and AVI's are wrong. They are as late as the order allows, ascending, and not after
    display.
    """
    shown = sorted(times)
    ranks = {pts: rank for rank, pts in enumerate(shown)}
    delay = max(index - ranks[pts] for index, pts in enumerate(times))
    step = typical_step(np.array(shown, np.int64), 1)
    before = [shown[0] - step * ahead for ahead in range(delay, 0, -1)]
    return (before + shown)[: len(shown)]


def _from_keyframe(video: Video, start: int) -> Iterator[Packet[VideoStream]]:
    """Yield packets in the order of decoding from the keyframe at `start` on, which a seek may miss."""
    second, back = video.length(1), 0
    while True:
        with opened(Path(video.path)) as (container, stream):
            if start - back > video.start:
                try:
                    container.seek(start - back, stream=stream)
                except av.FFmpegError:
                    back = start  # from the beginning
                    continue
            packets = (packet for packet in demuxed(stream) if packet.size)
            for packet in packets:
                if packet.pts == start and packet.is_keyframe:
                    yield packet
                    yield from packets
                    return
                if packet.dts is not None and packet.dts > start:
                    break
        if start - back <= video.start:
            raise OutputError(f"{video.name} cannot be copied from {video.seconds(start):.2f} s: use --exact")
        back = back * 2 or second


def _next(video: Video, pts: int) -> int:
    """Return the end of the frame at `pts`."""
    index = int(np.searchsorted(video.pts, pts, side="right"))
    return int(video.pts[index]) if index < len(video.pts) else max(video.end, pts + 1)


def _seconds(video: Video, piece: Piece) -> tuple[Fraction, Fraction]:
    """Return a piece in seconds from the video's first frame."""
    return (piece.start - video.start) * video.time_base, (piece.stop - video.start) * video.time_base
