"""One pure writer per format, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, TextIO

from fervid.errors import UsageError

if TYPE_CHECKING:
    from fervid.export.edit import Edit

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
    if name not in EDITS:
        raise UsageError(f"there is no format {name!r}: choose one of {', '.join(EDITS)}")
    module, _, function = EDITS[name].partition(":")
    write: Callable[[Edit, TextIO], None] = getattr(import_module(module), function)
    return write
