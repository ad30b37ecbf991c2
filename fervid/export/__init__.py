"""One pure writer per format, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from fervid.errors import UsageError

# Formats of a whole timeline: `write(timeline, stream)`.
TIMELINES = {"json": "fervid.export.json", "jsonl": "fervid.export.jsonl"}
# Formats of a row per frame and face: `write(chunks, video, labels, stream)`.
TABLES = {"frames": "fervid.export.frames", "openface": "fervid.export.openface"}
# Formats of moments, for editing programs and players: `write(edit, stream)`.
EDITS = {
    "edl": "fervid.export.edl",
    "otio": "fervid.export.otio",
    "markers": "fervid.export.resolve",
    "premiere": "fervid.export.premiere",
    "fcpxml": "fervid.export.fcpxml",
    "ffmetadata": "fervid.export.ffmetadata",
}


def writer(name: str) -> Callable[..., None]:
    """The `write` function of a format of TIMELINES, TABLES or EDITS."""
    modules = {**TIMELINES, **TABLES, **EDITS}
    module = modules.get(name)
    if module is None:
        raise UsageError(f"there is no format {name!r}: choose one of {', '.join(modules)}")
    write: Callable[..., None] = import_module(module).write
    return write
