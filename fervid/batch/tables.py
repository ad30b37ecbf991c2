"""What a batch tells as a whole: a tidy table of emotions, and how good predictions of known labels were."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fervid.batch.folder import Results
from fervid.batch.inputs import Chosen, Input
from fervid.batch.records import Record
from fervid.datasets import naming
from fervid.errors import InputError, ModelError
from fervid.export.timelines.shapes import NOTE
from fervid.files import encodable
from fervid.metrics import Predictions, report, rows

EMOTIONS, PREDICTIONS, ACCURACY = "emotions.csv", "predictions.csv", "accuracy.json"
OWN = ("input", "status", "emotion", "score", "seconds", "share")  # the tidy table's columns


def write_emotions(
    results: Results, chosen: Chosen, records: Sequence[Record], labels: Sequence[str]
) -> None:
    """Write a row per row of the list (or input) and emotion, with the list's further columns first."""
    # A column of the list keeps its name; one of ours that is called the same gives way.
    own = [f"fervid_{name}" if name in chosen.columns else name for name in OWN]

    def rows_of_all() -> Iterator[list[str]]:
        for place, cells in chosen.rows:
            given = [encodable(cells.get(column, "")) for column in chosen.columns]
            for label in labels:
                yield [*given, *_cells(records[place], label)]

    results.put_table(EMOTIONS, [*map(encodable, chosen.columns), *own], rows_of_all())


def _cells(record: Record, label: str) -> list[str]:
    """One emotion of one input; empty where it failed, and where no face was read."""
    if not record.is_done:
        return [record.input, record.status, label, "", "", ""]
    total = sum(record.shown.values())
    seconds = record.shown.get(label, 0.0)
    score = "" if record.scores is None else f"{record.scores.get(label, 0.0):.6f}"
    share = f"{seconds / total:.6f}" if total else ""
    return [record.input, record.status, label, score, f"{seconds:.6f}", share]


def labels_by_folder(inputs: Sequence[Input], known: Sequence[str]) -> dict[int, str]:
    """The emotion that the nearest folder above each input is named after, by the input's place.

    Refused, before any work, where there is none, or none that the model knows.
    """
    found: dict[int, str] = {}
    for place, item in enumerate(inputs):
        above = item.name.split("/")[:-1]
        label = next((label for name in reversed(above) if (label := naming.label_of(name))), None)
        if label is not None:
            found[place] = label
    if not found:
        raise InputError(
            "no input lies in a folder named after an emotion: --labels folder takes Angry/, Happy/ and the "
            f"like ({naming.FULL_WORDS})"
        )
    if not set(found.values()) & set(known):
        raise ModelError(
            f"the model knows {', '.join(known)}, and none of the folders' labels: take another model"
        )
    return found


def score(
    known: Mapping[int, str], records: Sequence[Record], labels: tuple[str, ...]
) -> tuple[Predictions, dict[str, Any]]:
    """Predictions of the inputs whose label is known, and every figure of them.

    An input without a face is wrong, and so is one that failed.
    """
    places = sorted(known)
    wanted = naming.ordered(known.values())
    scores = np.full((len(places), len(labels)), np.nan, np.float32)
    for row, place in enumerate(places):
        own = records[place].scores
        if own is not None:
            scores[row] = [own.get(label, 0.0) for label in labels]
    found = np.array([records[place].scores is not None for place in places], bool)
    names = tuple(records[place].input for place in places)
    said = Predictions(
        labels=wanted,
        model_labels=labels,
        names=names,
        subjects=names,
        fold=np.zeros(len(places), np.int64),
        truth=np.array([wanted.index(known[place]) for place in places], np.int64),
        found=found,
        rejected=np.zeros(len(places), bool),
        # Scores have their temperature already. Rounded to six decimals, one can be zero.
        logits={"clip": np.log(np.maximum(scores, 1e-7)).astype(np.float32)},
        temperature=np.ones(len(places), np.float32),
        headline="clip",
    )
    figures = report(said)
    failed = sum(not records[place].is_done for place in places)
    left = len(records) - len(places)
    remarks = list(figures["remarks"])
    if failed:
        remarks.append(f"{failed} of these could not be analyzed: they show no face, and so are wrong.")
    if left:
        remarks.append(f"{left} inputs lie in no folder named after an emotion: left out of these figures.")
    return said, {"note": NOTE, **figures, "remarks": remarks}


def write_scores(results: Results, said: Predictions, figures: Mapping[str, Any]) -> None:
    """Write the predictions as a table, and the figures as JSON."""
    results.put_table(PREDICTIONS, *rows(said))
    results.put(ACCURACY, lambda stream: stream.write(json.dumps(figures, indent=2).encode() + b"\n"))
