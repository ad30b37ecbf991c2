"""Tables of a whole batch: emotions of each input, and the accuracy of predictions with known labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fervid.batch.folder import EMOTIONS, Results
from fervid.batch.inputs import Input, InputList
from fervid.batch.records import Record
from fervid.datasets import naming
from fervid.errors import InputError, ModelError
from fervid.export.timelines.fields import NOTE
from fervid.files import encodable
from fervid.metrics import Predictions, report, rows

PREDICTIONS, ACCURACY = "predictions.csv", "accuracy.json"
OWN = ("input", "status", "emotion", "score", "seconds", "share")  # columns of the table of emotions


def write_emotions(
    results: Results, listing: InputList, records: Sequence[Record], labels: Sequence[str]
) -> None:
    """Write a row per emotion and row of the list (or input), after the list's other columns."""
    # Columns of the list keep their names; ours with the same name get a prefix.
    own = [f"fervid_{name}" if name in listing.columns else name for name in OWN]

    def rows_of_all() -> Iterator[list[str]]:
        for index, cells in listing.rows:
            others = [encodable(cells.get(column, "")) for column in listing.columns]
            for label in labels:
                yield [*others, *_cells(records[index], label)]

    results.write_table(EMOTIONS, [*map(encodable, listing.columns), *own], rows_of_all())


def _cells(record: Record, label: str) -> list[str]:
    """Return the cells of one emotion of one input; empty if it failed or no face was readable."""
    if not record.is_done:
        return [record.input, record.status, label, "", "", ""]
    total = sum(record.shown.values())
    seconds = record.shown.get(label, 0.0)
    score = "" if record.scores is None else f"{record.scores.get(label, 0.0):.6f}"
    share = f"{seconds / total:.6f}" if total else ""
    return [record.input, record.status, label, score, f"{seconds:.6f}", share]


def labels_by_folder(inputs: Sequence[Input], known: Sequence[str]) -> dict[int, str]:
    """Return the label of each input, by index: the nearest folder above it that is named after an emotion.

    Raise an error if there is no label, or none that the model knows.
    """
    true_labels: dict[int, str] = {}
    for index, item in enumerate(inputs):
        above = item.name.split("/")[:-1]
        label = next((label for name in reversed(above) if (label := naming.label_of(name))), None)
        if label is not None:
            true_labels[index] = label
    if not true_labels:
        raise InputError(
            "no input is in a folder named after an emotion: --labels folder needs folders like Angry/ and "
            f"Happy/ ({naming.FULL_WORDS})"
        )
    if not set(true_labels.values()) & set(known):
        raise ModelError(
            f"the model predicts {', '.join(known)}, and none of the folders' labels: use another model"
        )
    return true_labels


def score(
    known: Mapping[int, str], records: Sequence[Record], labels: tuple[str, ...]
) -> tuple[Predictions, dict[str, Any]]:
    """Return the predictions of inputs with a known label, and their metrics.

    Inputs that failed or have no face count as wrong.
    """
    indices = sorted(known)
    wanted = naming.ordered(known.values())
    scores = np.full((len(indices), len(labels)), np.nan, np.float32)
    for row, index in enumerate(indices):
        shares = records[index].scores
        if shares is not None:
            scores[row] = [shares.get(label, 0.0) for label in labels]
    has_face = np.array([records[index].scores is not None for index in indices], bool)
    names = tuple(records[index].input for index in indices)
    predictions = Predictions(
        labels=wanted,
        model_labels=labels,
        names=names,
        subjects=names,
        fold=np.zeros(len(indices), np.int64),
        truth=np.array([wanted.index(known[index]) for index in indices], np.int64),
        has_face=has_face,
        rejected=np.zeros(len(indices), bool),
        # Scores include the temperature. Rounded to six decimals, they can be zero.
        logits={"clip": np.log(np.maximum(scores, 1e-7)).astype(np.float32)},
        temperature=np.ones(len(indices), np.float32),
        headline="clip",
    )
    figures = report(predictions)
    failed = sum(not records[index].is_done for index in indices)
    left = len(records) - len(indices)
    remarks = list(figures["remarks"])
    if failed:
        remarks.append(f"{failed} of these could not be analyzed: they show no face, and so are wrong.")
    if left:
        remarks.append(f"{left} inputs are in no folder named after an emotion: left out of these figures.")
    return predictions, {"note": NOTE, **figures, "remarks": remarks}


def write_scores(results: Results, predictions: Predictions, figures: Mapping[str, Any]) -> None:
    """Write the predictions as a table, and the figures as JSON."""
    results.write_table(PREDICTIONS, *rows(predictions))
    results.write(ACCURACY, lambda stream: stream.write(json.dumps(figures, indent=2).encode() + b"\n"))
