"""What the container says of where its pictures come from: start timecode, reel, sound."""

from __future__ import annotations

import re
from collections.abc import Iterator

from av.container import InputContainer
from av.video.stream import VideoStream

from fervid.files import one_line

TIMECODE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.,])(\d\d\d?)")
# QuickTime's timecode track, MXF and Matroska; Apple's own programs.
REELS = ("reel_name", "com.apple.proapps.reel")


def of(container: InputContainer, stream: VideoStream) -> tuple[str | None, str | None]:
    """The first frame's timecode, as HH:MM:SS:FF or HH:MM:SS;FF, and the reel's name."""
    told = list(_told(container, stream))
    found = (TIMECODE.fullmatch(tags.get("timecode", "").strip()) for tags in told)
    timecode = next((match for match in found if match and int(match[1]) < 24), None)
    names = (one_line(tags[key]) for tags in told for key in REELS if key in tags)
    return (
        None if timecode is None else "{}:{}:{}{}{}".format(*_plain(timecode)),
        next((name for name in names if name), None),
    )


def channels(container: InputContainer) -> int:
    """How many channels of sound there are in all; those of a sound that cannot be decoded are not known."""
    known = (stream.codec_context for stream in container.streams.audio)
    return sum(context.layout.nb_channels for context in known if context is not None)


def _told(container: InputContainer, stream: VideoStream) -> Iterator[dict[str, str]]:
    """Tags in the order of belief: the pictures' own, the timecode track's, the file's.

    Names of tags are written large in Matroska and small elsewhere.
    """
    tracks = [track for track in container.streams.data if "timecode" in track.metadata]
    for tags in (stream.metadata, *(track.metadata for track in tracks), container.metadata):
        yield {name.lower(): text for name, text in tags.items()}


def _plain(timecode: re.Match[str]) -> tuple[str, ...]:
    """Its parts, with one sign for dropped frames: some programs write `.` or `,` for `;`."""
    hours, minutes, seconds, sign, frames = timecode.groups()
    return hours, minutes, seconds, ":" if sign == ":" else ";", frames
