"""A list of peaks, from a video just analysed or from a timeline read back."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from json import dumps
from typing import Any, TextIO

from fervid.errors import UsageError
from fervid.export.timelines import shapes
from fervid.export.timelines.json import NUMBERS, pieces
from fervid.types import Peak

FORMATS = ("json", "jsonl", "csv")
COLUMNS = ["rank", "time", "pts", "onset", "offset", "track", "person", "emotion", *NUMBERS]


def write(peaks: Sequence[Peak], source: Mapping[str, Any], stream: TextIO, format: str) -> None:
    """Write peaks in the order given, which is their rank, first 1.

    `source` is a timeline's, or `shapes.source(video)`; times are seconds from the video's first frame.
    """
    clock = shapes.Clock.of(source)
    found = [{"rank": place, **shapes.peak(peak, clock)} for place, peak in enumerate(peaks, 1)]
    if format == "json":
        stream.writelines(pieces({"note": shapes.NOTE, "source": dict(source), "peaks": found}))
        stream.write("\n")
    elif format == "jsonl":
        stream.writelines(dumps({"type": "peak", **peak}, allow_nan=False) + "\n" for peak in found)
    elif format == "csv":
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(COLUMNS)
        for peak in found:
            moments = {
                "time": peak["apex"]["seconds"],
                "pts": peak["apex"]["pts"],
                "onset": peak["onset"]["seconds"],
                "offset": peak["offset"]["seconds"],
            }
            table.writerow([{**peak, **moments}[column] for column in COLUMNS])
    else:
        raise UsageError(f"peaks have no format {format!r}: choose one of {', '.join(FORMATS)}")
