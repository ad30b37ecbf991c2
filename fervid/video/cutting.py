"""Stretches of a video as files of their own: copied from a keyframe on, or encoded to the very frame."""

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
from fervid.video.film import CONTAINERS, Film, Look, matrix, writing
from fervid.video.luma import turn_of
from fervid.video.pictures import turned
from fervid.video.reading import STILLS, decoded, demuxed, opened
from fervid.video.sound import sounds
from fervid.video.voices import Copied, Encoded

QUALITY = {"crf": "16", "preset": "fast"}  # of H.264: no difference that an eye sees
Tick = Callable[[float], None]  # told the seconds done


@dataclass(frozen=True, order=True)
class Piece:
    """A stretch of a video, half-open [start, stop) in pts, both where a frame begins or the video ends."""

    start: int
    stop: int


def at_frames(video: Video, start: int, stop: int) -> Piece:
    """The frames that begin in [start, stop), or the one that is shown at `start` where none does."""
    low, high = (int(place) for place in np.searchsorted(video.pts, [start, stop]))
    if low >= high:
        low, high = max(0, high - 1), max(1, high)
    return Piece(int(video.pts[low]), int(video.pts[high]) if high < len(video.pts) else video.end)


def at_keyframes(video: Video, start: int, stop: int) -> Piece:
    """The same from the last keyframe on at which copying can begin."""
    exact = at_frames(video, start, stop)
    place = int(np.searchsorted(video.keyframes, exact.start, side="right")) - 1
    return Piece(int(video.keyframes[max(0, place)]), exact.stop)


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces in order of time, those that touch or overlap as one."""
    whole: list[Piece] = []
    for piece in sorted(pieces):
        if whole and piece.start <= whole[-1].stop:
            whole[-1] = Piece(whole[-1].start, max(whole[-1].stop, piece.stop))
        else:
            whole.append(piece)
    return whole


def copy_suffix(video: Video) -> str:
    """The suffix of files into which the video's streams are copied: the source's own, or else Matroska's."""
    own = Path(video.path).suffix.lower()
    family = {"mp4": ("mov,mp4", ".mp4"), "mov": ("mov,mp4", ".mov"), "webm": ("matroska,webm", ".webm")}
    for suffix, (container, ours) in family.items():
        if video.container.startswith(container) and own == f".{suffix}":
            return ours
    if video.container.startswith("mov,mp4"):
        return ".mp4"
    return ".ts" if video.container == "mpegts" else ".mkv"


def obstacle(video: Video, suffix: str) -> str | None:
    """Why a video cannot be copied into such a file, None where it can."""
    if video.container == STILLS:
        return "pictures have no stream that could be copied"
    if not video.seekable:
        return "its frames have no times of their own"
    try:
        with av.open(io.BytesIO(), "w", format=CONTAINERS[suffix]) as output:
            _copies(output, video)
            output.start_encoding()
    except (av.FFmpegError, ValueError):
        return f"{suffix} does not take what it holds ({video.codec})"
    return None


def copy(
    video: Video, pieces: Sequence[Piece], target: BinaryIO, suffix: str, note: Mapping[str, str]
) -> None:
    """Write pieces that begin at keyframes one after the other, without touching a picture or a sound.

    Where frames depend on later ones, a few frames more than asked for may stand at the end of a piece.
    """
    with writing(target, CONTAINERS[suffix], note) as output:
        stream, voices = _copies(output, video)
        place, last = Fraction(0), None
        for piece in pieces:
            for voice in voices:
                voice.begin(*_seconds(video, piece), place)
            offset = round(place / video.time_base) - piece.start
            places, times = _listed(video, piece)
            decoding = decoding_times(times)
            chosen = _at_places(_from_keyframe(video, piece.start), places)
            for packet, shown, read in zip(chosen, times, decoding, strict=False):
                last = read + offset if last is None else max(read + offset, last + 1)
                packet.pts, packet.dts, packet.stream = shown + offset, last, stream
                output.mux(packet)
                for voice in voices:
                    voice.advance(max(0, last) * video.time_base)
            end = max(piece.stop, _next(video, max(times)))
            place += (end - piece.start) * video.time_base
        for voice in voices:
            voice.finish()


def encode(
    video: Video,
    pieces: Sequence[Piece],
    target: BinaryIO,
    suffix: str,
    note: Mapping[str, str],
    tick: Tick | None = None,
) -> None:
    """Write the very frames of pieces one after the other, encoded anew; each keeps its own length."""
    first = next(turned(video, pieces[0].start), None)
    if first is None:
        raise OutputError(f"no frame of {video.name} can be decoded from there on")
    look = Look.of(video, first[1], first[2])
    with writing(target, CONTAINERS[suffix], note) as output:
        film, place = Film(output, look, QUALITY), 0  # ticks of the film
        film.voices += [Encoded(output, sound) for sound in sounds(video)]
        for piece in pieces:
            for voice in film.voices:
                voice.begin(*_seconds(video, piece), place * video.time_base)
            for pts, picture, _ in turned(video, piece.start, piece.stop):
                film.add(picture, place + pts - piece.start, _next(video, pts) - pts)
                if tick:
                    tick(float((place + pts - piece.start) * video.time_base))
            place += piece.stop - piece.start
        film.finish()


def _copies(output: OutputContainer, video: Video) -> tuple[VideoStream, list[Copied]]:
    """The streams of a copy: the picture's with its turn, and all sound; neither titles nor attachments."""
    with opened(Path(video.path)) as (_, source):
        stream = output.add_stream_from_template(source)
        if video.rotate != "auto":
            picture = next(decoded(source))
            stream.set_display_matrix(matrix(turn_of(picture, video.rotate)))
    return stream, [Copied(output, sound) for sound in sounds(video)]


def _listed(video: Video, piece: Piece) -> tuple[list[int], list[int]]:
    """The places, from the keyframe on, and the times of the packets that make up all frames before `stop`.

    Later frames are taken only where a wanted one comes after them in the file.
    """
    places: list[int] = []
    times: list[int] = []
    waiting: list[tuple[int, int]] = []
    for place, packet in enumerate(_from_keyframe(video, piece.start)):
        if packet.pts is None or packet.is_discard:
            raise OutputError(f"{video.name} is edited or damaged there and cannot be copied: use --exact")
        if packet.pts < piece.start:
            continue  # leads up to the keyframe, and needs what stood before it
        waiting.append((place, packet.pts))
        if packet.pts < piece.stop:
            places += [place for place, _ in waiting]
            times += [pts for _, pts in waiting]
            waiting.clear()
        elif len(waiting) > REORDER_LIMIT:
            break
    last = max(times)
    for place, pts in waiting:  # no hole before a later frame that came along
        if pts < last:
            places.append(place)
            times.append(pts)
    return places, times


def _at_places(
    packets: Iterator[Packet[VideoStream]], places: Sequence[int]
) -> Iterator[Packet[VideoStream]]:
    wanted = iter(places)
    following = next(wanted, None)
    for place, packet in enumerate(packets):
        if following is None:
            return
        if place == following:
            yield packet
            following = next(wanted, None)


def decoding_times(times: Sequence[int]) -> list[int]:
    """When each packet has to be decoded, by the times at which they are shown, in the order of the file.

    Matroska does not tell, and AVI not truly: as late as the order allows, ascending, before it is shown.
    """
    shown = sorted(times)
    ranks = {pts: rank for rank, pts in enumerate(shown)}
    delay = max(place - ranks[pts] for place, pts in enumerate(times))
    step = typical_step(np.array(shown, np.int64), 1)
    before = [shown[0] - step * ahead for ahead in range(delay, 0, -1)]
    return (before + shown)[: len(shown)]


def _from_keyframe(video: Video, start: int) -> Iterator[Packet[VideoStream]]:
    """Packets in the order of decoding from the keyframe at `start` on, which a seek may miss."""
    second, back = video.length(1), 0
    while True:
        with opened(Path(video.path)) as (container, stream):
            if start - back > video.start:
                try:
                    container.seek(start - back, stream=stream)
                except av.FFmpegError:
                    back = start  # from the head
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
    """Where the frame at `pts` ends."""
    place = int(np.searchsorted(video.pts, pts, side="right"))
    return int(video.pts[place]) if place < len(video.pts) else max(video.end, pts + 1)


def _seconds(video: Video, piece: Piece) -> tuple[Fraction, Fraction]:
    """The same stretch in seconds from the video's first frame."""
    return (piece.start - video.start) * video.time_base, (piece.stop - video.start) * video.time_base
