"""One pure writer per format, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, TextIO

from fervid.errors import UsageError

if TYPE_CHECKING:
    from fervid.export.reading import Document

# Formats of a whole timeline: `write(timeline, stream)`.
TIMELINES = {"json": "fervid.export.json", "jsonl": "fervid.export.jsonl"}
# Formats of a row per frame and face: `write(chunks, video, labels, stream)`.
TABLES = {"frames": "fervid.export.frames", "openface": "fervid.export.openface"}
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


def document_writer(name: str) -> Callable[[Document, TextIO], None]:
    """The function that writes a format of DOCUMENTS."""
    if name not in DOCUMENTS:
        raise UsageError(f"there is no format {name!r}: choose one of {', '.join(DOCUMENTS)}")
    module, _, function = DOCUMENTS[name].partition(":")
    write: Callable[[Document, TextIO], None] = getattr(import_module(module), function)
    return write
