"""Final Cut Pro 7's XML, which Premiere reads: a sequence with markers on its clips.

Written by hand, since otio-fcp-adapter drops colours and the picture's size, writes rates twice, and in a
file with a timecode counts markers from midnight, but a clip's in and out from the first frame.
"""

from __future__ import annotations

from typing import TextIO
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from fervid.export.editors import colours
from fervid.export.editors.edit import NOTE, Edit, Mark, Piece
from fervid.export.editors.markup import document, plain
from fervid.export.editors.timecode import Timecode


def write(edit: Edit, stream: TextIO) -> None:
    """Write a sequence with audio linked to its video."""
    root = Element("xmeml", version="4")
    sequence = SubElement(root, "sequence", id="sequence-1")
    _text(sequence, "name", edit.title)
    _text(sequence, "duration", edit.length)
    _rate(sequence, edit)
    _timecode(sequence, edit, edit.record)
    media = SubElement(sequence, "media")
    video = SubElement(media, "video")
    shape = SubElement(SubElement(video, "format"), "samplecharacteristics")
    _shape(shape, edit)
    pieces = edit.pieces()
    kinds = ["video", *["audio"] * edit.audio_channels]
    audio = SubElement(media, "audio")
    for index, kind in enumerate(kinds):
        track = SubElement(video if kind == "video" else audio, "track")
        for number, piece in enumerate(pieces, 1):
            clip = _clip(track, edit, piece, index, number)
            if kind == "audio":
                origin = SubElement(clip, "sourcetrack")
                _text(origin, "mediatype", "audio")
                _text(origin, "trackindex", index)
            else:
                for mark in piece.marks:
                    _marker(clip, mark, edit.marks_stretches and not edit.as_clips)
            if len(kinds) > 1:
                _links(clip, kinds, number)
    SubElement(sequence, "logginginfo").append(_element("description", NOTE))
    stream.write(document(root, "xmeml"))


def _clip(track: Element, edit: Edit, piece: Piece, index: int, number: int) -> Element:
    clip = SubElement(track, "clipitem", id=f"clip-{index}-{number}")
    _text(clip, "name", piece.name)
    _text(clip, "duration", edit.frames)
    _rate(clip, edit)
    _text(clip, "start", piece.record)
    _text(clip, "end", piece.record + piece.length)
    _text(clip, "in", piece.start)
    _text(clip, "out", piece.end)
    file = SubElement(clip, "file", id="file-1")
    if (index, number) == (0, 1):  # described once, then referred to by its id
        _file(file, edit)
    return clip


def _file(file: Element, edit: Edit) -> None:
    _text(file, "name", edit.name)
    _text(file, "pathurl", quote(edit.name, safe=""))
    _rate(file, edit)
    _text(file, "duration", edit.frames)
    _timecode(file, edit, edit.timecode, edit.reel)
    media = SubElement(file, "media")
    video = SubElement(media, "video")
    _text(video, "duration", edit.frames)
    _shape(SubElement(video, "samplecharacteristics"), edit)
    if edit.audio_channels:
        _text(SubElement(media, "audio"), "channelcount", edit.audio_channels)


def _shape(parent: Element, edit: Edit) -> None:
    _rate(parent, edit)
    _text(parent, "width", edit.width)
    _text(parent, "height", edit.height)
    _text(parent, "pixelaspectratio", "square")


def _marker(clip: Element, mark: Mark, is_stretch: bool) -> None:
    """Write a marker in frames from the video's first; a point has no end."""
    colour = colours.colour_of(mark.moment.peak.emotion)
    marker = SubElement(clip, "marker")
    _text(marker, "comment", mark.moment.comment)
    _text(marker, "name", mark.moment.name)
    _text(marker, "in", mark.start)
    _text(marker, "out", mark.end if is_stretch else -1)
    red, green, blue = colours.rgb(colour.premiere)
    _text(marker, "pproColor", 0xFF << 24 | blue << 16 | green << 8 | red)  # for Premiere
    shade = SubElement(marker, "color")  # for other programs
    for name, value in zip(("alpha", "red", "green", "blue"), (0, *colour.rgb), strict=True):
        _text(shade, name, value)


def _links(clip: Element, kinds: list[str], number: int) -> None:
    for index, kind in enumerate(kinds):
        link = SubElement(clip, "link")
        _text(link, "linkclipref", f"clip-{index}-{number}")
        _text(link, "mediatype", kind)
        _text(link, "trackindex", max(1, index))
        _text(link, "clipindex", number)


def _rate(parent: Element, edit: Edit) -> None:
    rate = SubElement(parent, "rate")
    _text(rate, "timebase", edit.timecode.nominal)
    _text(rate, "ntsc", "TRUE" if edit.timecode.is_ntsc else "FALSE")


def _timecode(parent: Element, edit: Edit, numbering: Timecode, reel: str | None = None) -> None:
    timecode = SubElement(parent, "timecode")
    _rate(timecode, edit)
    _text(timecode, "string", numbering.label(0))
    _text(timecode, "frame", numbering.first)
    _text(timecode, "displayformat", "DF" if numbering.drops else "NDF")
    if reel is not None:
        _text(SubElement(timecode, "reel"), "name", reel)


def _element(name: str, text: str | int) -> Element:
    element = Element(name)
    element.text = plain(str(text))
    return element


def _text(parent: Element, name: str, text: str | int) -> None:
    parent.append(_element(name, text))
