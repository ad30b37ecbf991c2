"""A timeline's peaks by rank, from 1; times are seconds from the video's first frame."""

from __future__ import annotations

from csv import writer
from json import dumps
from typing import TextIO

from fervid.export.timelines import fields
from fervid.export.timelines.json import NUMBERS, pieces
from fervid.types import Timeline

COLUMNS = ["rank", "time", "pts", "onset", "offset", "track", "person", "emotion", *NUMBERS]


def json(timeline: Timeline, stream: TextIO) -> None:
    """Write the peaks as JSON."""
    content = {"note": fields.NOTE, "source": fields.whole_source(timeline), "peaks": _ranked(timeline)}
    stream.writelines(pieces(content))
    stream.write("\n")


def jsonl(timeline: Timeline, stream: TextIO) -> None:
    """Write a line of JSON per peak."""
    for peak in _ranked(timeline):
        stream.write(dumps({"type": "peak", **peak}, allow_nan=False) + "\n")


def csv(timeline: Timeline, stream: TextIO) -> None:
    """Write a row per peak."""
    table = writer(stream, lineterminator="\n")
    table.writerow(COLUMNS)
    for peak in _ranked(timeline):
        moments = {
            "time": peak["apex"]["seconds"],
            "pts": peak["apex"]["pts"],
            "onset": peak["onset"]["seconds"],
            "offset": peak["offset"]["seconds"],
        }
        table.writerow([{**peak, **moments}[column] for column in COLUMNS])


def _ranked(timeline: Timeline) -> list[fields.Object]:
    peaks = enumerate(timeline.peaks, 1)
    return [{"rank": rank, **fields.peak(peak, timeline.source)} for rank, peak in peaks]
