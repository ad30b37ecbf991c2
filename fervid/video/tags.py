"""Tags of a container: start timecode and reel name; and its number of audio channels."""

from __future__ import annotations

import re
from collections.abc import Iterator

from av.container import InputContainer
from av.video.stream import VideoStream

from fervid.files import one_line

TIMECODE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.,])(\d\d\d?)")
# QuickTime's timecode track, MXF and Matroska; Apple's own programs.
REELS = ("reel_name", "com.apple.proapps.reel")


def timecode_and_reel(container: InputContainer, stream: VideoStream) -> tuple[str | None, str | None]:
    """Return the first frame's timecode, as HH:MM:SS:FF or HH:MM:SS;FF, and the reel's name."""
    sources = list(_tags(container, stream))
    matches = (TIMECODE.fullmatch(tags.get("timecode", "").strip()) for tags in sources)
    timecode = next((match for match in matches if match and int(match[1]) < 24), None)
    names = (one_line(tags[key]) for tags in sources for key in REELS if key in tags)
    return (
        None if timecode is None else "{}:{}:{}{}{}".format(*_parts(timecode)),
        next((name for name in names if name), None),
    )


def audio_channels(container: InputContainer) -> int:
    """Return the number of audio channels of all streams that can be decoded."""
    known = (stream.codec_context for stream in container.streams.audio)
    return sum(context.layout.nb_channels for context in known if context is not None)


def _tags(container: InputContainer, stream: VideoStream) -> Iterator[dict[str, str]]:
    """Yield tags by priority: the video stream's, the timecode track's, the file's.

    Names of tags are upper case in Matroska and lower case elsewhere.
    """
    tracks = [track for track in container.streams.data if "timecode" in track.metadata]
    for tags in (stream.metadata, *(track.metadata for track in tracks), container.metadata):
        yield {name.lower(): text for name, text in tags.items()}


def _parts(timecode: re.Match[str]) -> tuple[str, ...]:
    """Return a timecode's parts, with `;` for dropped frames: some programs write `.` or `,` instead."""
    hours, minutes, seconds, sign, frames = timecode.groups()
    return hours, minutes, seconds, ":" if sign == ":" else ";", frames
