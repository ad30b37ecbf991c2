"""OpenTimelineIO's JSON, written by its library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from fervid.errors import UsageError
from fervid.export.editors import colours
from fervid.export.editors.edit import NOTE, Edit, Mark, Piece
from fervid.export.timelines import fields
from fervid.export.timelines.json import NUMBERS
from fervid.files import encodable

if TYPE_CHECKING:
    from opentimelineio.opentime import RationalTime, TimeRange
    from opentimelineio.schema import Clip, Marker


def write(edit: Edit, stream: TextIO) -> None:
    """Write a timeline with a video track, and an audio track if the video has audio."""
    require()
    from opentimelineio import adapters, schema

    timeline = schema.Timeline(edit.title, metadata={"fervid": {"note": NOTE}})
    timeline.global_start_time = _time(edit, edit.record.first)
    kinds = [schema.TrackKind.Video]
    if edit.audio_channels:
        kinds.append(schema.TrackKind.Audio)
    for kind in kinds:
        track = schema.Track(kind, kind=kind)
        track.extend([_clip(edit, piece, kind == schema.TrackKind.Video) for piece in edit.pieces()])
        timeline.tracks.append(track)
    stream.write(adapters.write_to_string(timeline, "otio_json") + "\n")


def require() -> None:
    """Raise UsageError if OpenTimelineIO is not installed."""
    try:
        import opentimelineio  # noqa: F401
    except ImportError as error:
        raise UsageError("otio needs OpenTimelineIO: pip install 'fervid[edit]'") from error


def _clip(edit: Edit, piece: Piece, has_marks: bool) -> Clip:
    from opentimelineio import schema

    media = schema.ExternalReference(quote(edit.name, safe=""), _range(edit, 0, edit.frames))
    media.name = edit.name
    if edit.reel is not None:
        media.metadata["cmx_3600"] = {"reel": edit.reel}
    clip = schema.Clip(piece.name, media, _range(edit, piece.start, piece.length))
    if edit.reel is not None:
        clip.metadata["cmx_3600"] = {"reel": edit.reel}
    if has_marks:
        clip.markers.extend([_marker(edit, mark) for mark in piece.marks])
    return clip


def _marker(edit: Edit, mark: Mark) -> Marker:
    from opentimelineio import schema

    moment = mark.moment
    facts: dict[str, Any] = {
        "rank": moment.rank,
        "emotion": moment.peak.emotion,
        "person": None if moment.peak.person is None else encodable(moment.peak.person),
        "track": moment.peak.track,
        **{name: fields.number(getattr(moment.peak, name)) for name in NUMBERS},
        **{name: fields.number(getattr(moment, name)) for name in ("start", "apex", "end")},
    }
    return schema.Marker(
        moment.name,
        _range(edit, mark.start, mark.length),
        colours.colour_of(moment.peak.emotion).otio,
        {"fervid": facts},
        moment.comment,
    )


def _time(edit: Edit, frames: int) -> RationalTime:
    from opentimelineio.opentime import RationalTime

    return RationalTime(frames, float(edit.timecode.rate))


def _range(edit: Edit, start: int, length: int) -> TimeRange:
    """Return frames of the video in its timecode."""
    from opentimelineio.opentime import TimeRange

    return TimeRange(_time(edit, edit.timecode.first + start), _time(edit, length))
