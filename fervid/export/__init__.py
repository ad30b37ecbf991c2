"""One pure writer per format, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, TextIO

from fervid.errors import UsageError

if TYPE_CHECKING:
    from fervid.export.edit import Edit
    from fervid.export.reading import Document

# Formats of a whole timeline: `write(timeline, stream)`.
TIMELINES = {"json": "fervid.export.json", "jsonl": "fervid.export.jsonl"}
# Formats of a row per frame and face: `write(chunks, video, labels, stream)`.
TABLES = {"frames": "fervid.export.frames", "openface": "fervid.export.openface"}
# Formats of moments, for editing programs and players: `function(edit, stream)`.
EDITS = {
    "edl": "fervid.export.edl:write",
    "otio": "fervid.export.otio:write",
    "markers": "fervid.export.resolve:write",
    "premiere": "fervid.export.premiere:write",
    "fcpxml": "fervid.export.fcpxml:write",
    "ffmetadata": "fervid.export.ffmetadata:write",
    "srt": "fervid.export.subtitles:peaks_srt",
    "vtt": "fervid.export.subtitles:peaks_vtt",
}
# Formats of a timeline that was read back: `function(document, stream)`.
DOCUMENTS = {
    "jsonl": "fervid.export.jsonl:convert",
    "csv": "fervid.export.tidy:scores",
    "windows": "fervid.export.tidy:windows",
    "segments": "fervid.export.tidy:segments",
    "srt": "fervid.export.subtitles:srt",
    "vtt": "fervid.export.subtitles:vtt",
    "textgrid": "fervid.export.textgrid:write",
    "eaf": "fervid.export.eaf:write",
}


def writer(name: str) -> Callable[..., None]:
    """The `write` function of a format of TIMELINES or TABLES."""
    module = {**TIMELINES, **TABLES}.get(name)
    if module is None:
        raise UsageError(f"there is no format {name!r}: choose one of {', '.join([*TIMELINES, *TABLES])}")
    write: Callable[..., None] = import_module(module).write
    return write


def edit_writer(name: str) -> Callable[[Edit, TextIO], None]:
    """The function that writes a format of EDITS."""
    return _function(EDITS, name)


def document_writer(name: str) -> Callable[[Document, TextIO], None]:
    """The function that writes a format of DOCUMENTS."""
    return _function(DOCUMENTS, name)


def _function(formats: Mapping[str, str], name: str) -> Callable[..., None]:
    if name not in formats:
        raise UsageError(f"there is no format {name!r}: choose one of {', '.join(formats)}")
    module, _, function = formats[name].partition(":")
    found: Callable[..., None] = getattr(import_module(module), function)
    return found
