"""FCPXML, for Final Cut Pro and DaVinci Resolve.

Written by hand, since otio-fcpx-xml-adapter leaves the frame duration empty at 23.976, 29.97 and 59.94, and
sets markers one frame off. Times are exact fractions of a second, always whole frames.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TextIO
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from fervid.export.editors.edit import NOTE, Edit, Mark, Piece
from fervid.export.editors.markup import document, plain

VERSION = "1.8"  # read by Final Cut Pro since 10.4.1, and by DaVinci Resolve


def write(edit: Edit, stream: TextIO) -> None:
    """Write a project with one timeline."""
    root = Element("fcpxml", version=VERSION)
    resources = SubElement(root, "resources")
    SubElement(
        resources,
        "format",
        id="r1",
        frameDuration=_time(edit, 1),
        width=str(edit.width),
        height=str(edit.height),
    )
    asset = SubElement(
        resources,
        "asset",
        id="r2",
        name=plain(edit.name),
        src=quote(edit.name, safe=""),
        start=_time(edit, edit.timecode.first),
        duration=_time(edit, edit.frames),
        hasVideo="1",
        format="r1",
    )
    if edit.audio_channels:
        asset.attrib |= {"hasAudio": "1", "audioSources": "1", "audioChannels": str(edit.audio_channels)}
    event = SubElement(SubElement(root, "library"), "event", name="fervid")
    project = SubElement(event, "project", name=plain(edit.title))
    counting = "DF" if edit.timecode.drops else "NDF"
    sequence = SubElement(
        project,
        "sequence",
        format="r1",
        duration=_time(edit, edit.length),
        tcStart=_time(edit, edit.record.first),
        tcFormat=counting,
    )
    SubElement(sequence, "note").text = NOTE
    spine = SubElement(sequence, "spine")
    for piece in edit.pieces():
        _clip(spine, edit, piece, counting)
    stream.write(document(root, "fcpxml"))


def _clip(spine: Element, edit: Edit, piece: Piece, counting: str) -> None:
    clip = SubElement(
        spine,
        "asset-clip",
        ref="r2",
        name=plain(piece.name),
        offset=_time(edit, edit.record.first + piece.record),
        start=_time(edit, edit.timecode.first + piece.start),
        duration=_time(edit, piece.length),
        tcFormat=counting,
    )
    for mark in piece.marks:
        _marker(clip, edit, mark)


def _marker(clip: Element, edit: Edit, mark: Mark) -> None:
    SubElement(
        clip,
        "marker",
        start=_time(edit, edit.timecode.first + mark.start),
        duration=_time(edit, mark.length),
        value=plain(mark.moment.name),
        note=plain(mark.moment.comment),
    )


def _time(edit: Edit, frames: int) -> str:
    seconds: Fraction = edit.timecode.seconds(frames)
    whole = seconds.denominator == 1
    return f"{seconds.numerator}s" if whole else f"{seconds.numerator}/{seconds.denominator}s"
