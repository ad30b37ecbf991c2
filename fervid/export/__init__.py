"""One pure writer per format, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, TextIO

from fervid.errors import UsageError

if TYPE_CHECKING:
    from fervid.export.editors.edit import Edit
    from fervid.export.timelines.reading import Document

# Formats of a whole timeline: `write(timeline, stream)`.
TIMELINES = {"json": "fervid.export.timelines.json", "jsonl": "fervid.export.timelines.jsonl"}
# Formats of a row per frame and face: `write(chunks, video, labels, stream)`.
TABLES = {"frames": "fervid.export.frames.table", "openface": "fervid.export.frames.openface"}
# Formats of moments, for editing programs and players: `function(edit, stream)`.
EDITS = {
    "edl": "fervid.export.editors.edl:write",
    "otio": "fervid.export.editors.otio:write",
    "markers": "fervid.export.editors.resolve:write",
    "premiere": "fervid.export.editors.premiere:write",
    "fcpxml": "fervid.export.editors.fcpxml:write",
    "ffmetadata": "fervid.export.editors.ffmetadata:write",
    "srt": "fervid.export.timelines.subtitles:peaks_srt",
    "vtt": "fervid.export.timelines.subtitles:peaks_vtt",
}
# Formats of a timeline that was read back: `function(document, stream)`.
DOCUMENTS = {
    "jsonl": "fervid.export.timelines.jsonl:convert",
    "csv": "fervid.export.timelines.tidy:scores",
    "windows": "fervid.export.timelines.tidy:windows",
    "segments": "fervid.export.timelines.tidy:segments",
    "srt": "fervid.export.timelines.subtitles:srt",
    "vtt": "fervid.export.timelines.subtitles:vtt",
    "textgrid": "fervid.export.timelines.textgrid:write",
    "eaf": "fervid.export.timelines.eaf:write",
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
