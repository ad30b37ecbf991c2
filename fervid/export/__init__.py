"""The tables of output formats; each writer's module is imported when it is first used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from fervid.errors import UsageError


@dataclass(frozen=True)
class Format:
    """An output format: its writer and its file suffixes."""

    writer: str  # module:function
    suffix: str  # of files that fervid names itself
    others: tuple[str, ...] = ()

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of a file's name in this format; their case does not matter."""
        return tuple(Path(f"_{suffix}").suffix for suffix in (self.suffix, *self.others))

    def write(self, *arguments: Any, **options: Any) -> None:
        """Call the writer."""
        module, _, function = self.writer.partition(":")
        getattr(import_module(module), function)(*arguments, **options)


# Formats of a timeline: `write(timeline, stream)`.
TIMELINES = {
    "json": Format("fervid.export.timelines.json:write", ".json"),
    "jsonl": Format("fervid.export.timelines.jsonl:write", ".jsonl"),
    "csv": Format("fervid.export.timelines.tidy:scores", ".csv"),
    "windows": Format("fervid.export.timelines.tidy:windows", ".windows.csv"),
    "segments": Format("fervid.export.timelines.tidy:segments", ".segments.csv"),
    "srt": Format("fervid.export.timelines.subtitles:srt", ".srt"),
    "vtt": Format("fervid.export.timelines.subtitles:vtt", ".vtt"),
    "textgrid": Format("fervid.export.timelines.textgrid:write", ".TextGrid"),
    "eaf": Format("fervid.export.timelines.eaf:write", ".eaf"),
}
# Lists of a timeline's peaks, by rank: `write(timeline, stream)`.
PEAKS = {
    "json": Format("fervid.export.timelines.peaks:json", ".json"),
    "jsonl": Format("fervid.export.timelines.peaks:jsonl", ".jsonl"),
    "csv": Format("fervid.export.timelines.peaks:csv", ".csv"),
}
# Formats of peaks for editing programs and players: `write(edit, stream)`.
EDITS = {
    "edl": Format("fervid.export.editors.edl:write", ".edl"),
    "otio": Format("fervid.export.editors.otio:write", ".otio"),
    "markers": Format("fervid.export.editors.resolve:write", ".edl"),
    "premiere": Format("fervid.export.editors.premiere:write", ".xml", (".premiere",)),
    "fcpxml": Format("fervid.export.editors.fcpxml:write", ".fcpxml"),
    "ffmetadata": Format("fervid.export.editors.ffmetadata:write", ".ffmeta", (".ffmetadata",)),
    "auto-editor": Format("fervid.export.editors.auto_editor:write", ".v1", (".json",)),
    "srt": Format("fervid.export.timelines.subtitles:peaks_srt", ".srt"),
    "vtt": Format("fervid.export.timelines.subtitles:peaks_vtt", ".vtt"),
}
# Tables with a row per frame and face: `write(chunks, clock, labels, stream)`.
FRAMES = {
    "frames": Format("fervid.export.frames.table:write", ".csv"),
    "openface": Format("fervid.export.frames.openface:write", ".openface.csv"),
}
# Tables as Parquet, written as those of TIMELINES and FRAMES, but to binary streams.
PARQUET = {
    "csv": Format("fervid.export.parquet:scores", ".parquet"),
    "windows": Format("fervid.export.parquet:windows", ".parquet"),
    "segments": Format("fervid.export.parquet:segments", ".parquet"),
    "frames": Format("fervid.export.parquet:frames", ".parquet"),
    "openface": Format("fervid.export.parquet:openface", ".parquet"),
}


def with_parquet(formats: Mapping[str, Format], table: str) -> dict[str, Format]:
    """Return the formats with the suffix of Parquet for tables, and "parquet", which means one of them."""
    tables = {
        name: replace(form, others=(*form.others, ".parquet")) if name in PARQUET else form
        for name, form in formats.items()
    }
    return {"parquet": PARQUET[table], **tables}  # first, since its suffix means it, unless a format is given


def is_parquet(target: str) -> bool:
    """Return whether a table with this file name is Parquet, not CSV."""
    return Path(target).suffix.lower() == ".parquet"


def check_parquet(target: str, form: str | None = None) -> None:
    """Raise UsageError if the target is Parquet, and pyarrow is not installed."""
    if form == "parquet" or is_parquet(target):
        import_module("fervid.export.parquet").require()


def choose(
    formats: Mapping[str, Format], target: str, form: str | None = None, default: str | None = None
) -> str:
    """Return the format to write `target` in: `form`, else the format of its suffix, else `default`.

    A suffix must belong to the format; standard output, pipes and names without a suffix take any format.
    """
    if form is not None and form not in formats:
        raise UsageError(f"there is no format {form!r}: choose one of {', '.join(formats)}")
    is_file = os.path.isfile(target) or not os.path.exists(target)
    suffix = Path(target).suffix.lower() if is_file else ""
    if not suffix:
        if form is None and default is None:
            raise UsageError(f"give a --format: {', '.join(formats)}")
        return form or default or ""
    matches = [name for name, known in formats.items() if suffix in map(str.lower, known.suffixes)]
    if matches and form in (None, *matches):
        return form or matches[0]
    problem = f"is not a file name for {form}" if matches else f"has an unknown suffix, {suffix}"
    names = ", ".join(f"{name} ({' '.join(known.suffixes)})" for name, known in formats.items())
    raise UsageError(f"{target} {problem}: the formats are {names}")
