"""A whole survey: row by row, with the table as it stands in the folder after each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from fervid import files
from fervid.errors import OutputError
from fervid.metrics import Confusion
from fervid.survey import table
from fervid.survey.rows import SURVEY, Failure, Ground, Row, Survey
from fervid.survey.systems import System

TABLE, LOCK = "table.txt", "lock"


def run(ground: Ground, wanted: Sequence[System]) -> Iterator[Row | Failure]:
    """Yield what comes of each system; the table in the folder holds all that was ever made there."""
    survey = Survey(ground)
    lock = files.take_lock(ground.folder / LOCK)
    if lock is None:
        raise OutputError(
            f"another survey is at work in {ground.folder}: wait for it, or name another folder"
        )
    try:
        for system in wanted:
            row = survey.row(system)
            rows = survey.rows()
            files.write(
                ground.folder / SURVEY, json.dumps(table.as_json(survey.facts, rows), indent=1) + "\n"
            )
            files.write(ground.folder / TABLE, table.as_text(survey.facts, rows) + "\n")
            yield row
    finally:
        lock.release(remove=True)


def line(row: Row | Failure) -> str:
    """Return a row in a line, for those who wait."""
    if isinstance(row, Failure):
        return f"{row.system.name}: failed"
    whole = Confusion.of(row.labels, row.truth, row.said)
    return f"{row.system.name}: accuracy {whole.accuracy:.3f}, mean recall {whole.mean_recall:.3f}"
