"""One pure writer per format, loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from fervid.errors import UsageError

# Formats of a whole timeline: `write(timeline, stream)`.
TIMELINES = {"json": "fervid.export.json", "jsonl": "fervid.export.jsonl"}
# Formats of a row per frame and face: `write(chunks, video, labels, stream)`.
TABLES = {"frames": "fervid.export.frames", "openface": "fervid.export.openface"}


def writer(name: str) -> Callable[..., None]:
    """The `write` function of a format of TIMELINES or TABLES."""
    module = {**TIMELINES, **TABLES}.get(name)
    if module is None:
        raise UsageError(f"there is no format {name!r}: choose one of {', '.join([*TIMELINES, *TABLES])}")
    write: Callable[..., None] = import_module(module).write
    return write
