"""A whole survey: row by row, with the table in the folder after each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from fervid import files
from fervid.errors import OutputError
from fervid.metrics import Confusion
from fervid.train.survey import table
from fervid.train.survey.rows import SURVEY, Failure, Row, Setup, Survey
from fervid.train.survey.systems import System

TABLE, LOCK = "table.txt", "lock"


def run(setup: Setup, systems: Sequence[System]) -> Iterator[Row | Failure]:
    """Yield the row of each system, after writing the table of all rows in the folder."""
    survey = Survey(setup)
    lock = files.take_lock(setup.folder / LOCK)
    if lock is None:
        raise OutputError(f"another survey is running in {setup.folder}: wait for it, or name another folder")
    try:
        for system in systems:
            row = survey.row(system)
            rows = survey.rows()
            files.write(setup.folder / SURVEY, json.dumps(table.as_json(survey.facts, rows), indent=1) + "\n")
            files.write(setup.folder / TABLE, table.as_text(survey.facts, rows) + "\n")
            yield row
    finally:
        lock.release(remove=True)


def line(row: Row | Failure) -> str:
    """Return a row as a line of text."""
    if isinstance(row, Failure):
        return f"{row.system.name}: failed"
    confusion = Confusion.of(row.labels, row.truth, row.said)
    return f"{row.system.name}: accuracy {confusion.accuracy:.3f}, mean recall {confusion.mean_recall:.3f}"
