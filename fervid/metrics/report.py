"""The figures of an evaluation as JSON values, and its predictions as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fervid.metrics.counts import Confusion, Doubles, adaptive_ece, ece, mean, ratio, risk_coverage
from fervid.metrics.predictions import (
    Bools,
    Predictions,
    confidence,
    log_probabilities,
    predicted,
    probabilities,
)
from fervid.types import Ints

ROUNDS = 1000  # of the bootstrap
LEVEL = 0.95  # of its interval
INTERVALS = ("accuracy", "mean_recall")
COVERAGES = (1.0, 0.9, 0.8, 0.5)  # at which a report has the accuracy
DECIMALS = 6  # of scores in a table, as in all text outputs


def bootstrap(
    predictions: Predictions, rounds: int = ROUNDS, seed: int = 0, which: str | None = None
) -> dict[str, tuple[float, float]] | None:
    """Return percentile intervals of accuracy and mean recall over resampled subjects; None below two."""
    guesses = predicted(predictions, which)
    figures = resampled(
        predictions.subjects, predictions.truth, guesses, len(predictions.labels), rounds, seed
    )
    if figures is None:
        return None
    return {name: interval(figures[:, column]) for column, name in enumerate(INTERVALS)}


def resampled(
    subjects: Sequence[str], truth: Ints, guesses: Ints, classes: int, rounds: int = ROUNDS, seed: int = 0
) -> Doubles | None:
    """Return accuracy and mean recall (rounds, 2) of resampled subjects; None for fewer than two subjects.

    For the same samples and seed, each round draws the same people, so figures of two models can be compared
    round by round.
    """
    drawn = _draw(subjects, truth, guesses, classes, rounds, seed)
    if drawn is None:
        return None
    hits, support = drawn
    accuracy = hits.sum(axis=1) / support.sum(axis=1)
    recall = [mean(ratio(*counts)) for counts in zip(hits, support, strict=True)]
    return np.column_stack([accuracy, recall])


def recall_intervals(
    predictions: Predictions, rounds: int = ROUNDS, seed: int = 0
) -> list[list[float] | None]:
    """Return the interval of each label's recall over resampled subjects; None if fewer than two have it."""
    guesses = predicted(predictions)
    classes = len(predictions.labels)
    drawn = _draw(predictions.subjects, predictions.truth, guesses, classes, rounds, seed)
    if drawn is None:
        return [None] * classes
    recalls = ratio(*drawn)  # (rounds, classes), nan where a label was not drawn
    owners = np.array(predictions.subjects, dtype=object)
    people = [len(set(owners[predictions.truth == label])) for label in range(classes)]
    return [
        list(interval(column[~np.isnan(column)])) if count > 1 else None
        for column, count in zip(recalls.T, people, strict=True)
    ]


def _draw(
    subjects: Sequence[str], truth: Ints, guesses: Ints, classes: int, rounds: int, seed: int
) -> tuple[Ints, Ints] | None:
    """Return hits and support (rounds, classes) of resampled subjects; None for fewer than two subjects."""
    people, own = np.unique(np.array(subjects, dtype=object), return_inverse=True)
    if len(people) < 2:
        return None
    right = guesses == truth
    support = np.zeros((len(people), classes), np.int64)
    np.add.at(support, (own, truth), 1)
    hits = np.zeros_like(support)
    np.add.at(hits, (own[right], truth[right]), 1)
    generator = np.random.default_rng(seed)
    all_hits, all_support = (np.empty((rounds, classes), np.int64) for _ in range(2))
    for row in range(rounds):
        drawn = np.bincount(generator.integers(len(people), size=len(people)), minlength=len(people))
        all_hits[row], all_support[row] = drawn @ hits, drawn @ support
    return all_hits, all_support


def interval(figures: Doubles) -> tuple[float, float]:
    """Return the range that contains LEVEL of all figures (N,)."""
    low, high = np.quantile(figures, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def brier(predictions: Predictions, which: str | None = None, temperature: bool = True) -> float:
    """Return the mean squared distance of the scores from the truth, 0 to 2, over samples with a face."""
    scores = probabilities(predictions, which, temperature)[predictions.has_face]
    truth = np.eye(len(predictions.labels))[predictions.truth[predictions.has_face]]
    return mean(((scores - truth) ** 2).sum(axis=1))


def log_loss(predictions: Predictions, which: str | None = None, temperature: bool = True) -> float:
    """Return the mean negative log score of the truth, over samples with a face and a label of the model."""
    rows = np.flatnonzero(predictions.has_face & np.isin(predictions.truth, predictions.shared))
    return mean(-log_probabilities(predictions, which, temperature)[rows, predictions.truth[rows]])


def report(predictions: Predictions, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Any]:
    """Return every figure of an evaluation as JSON values: shares in [0, 1], None for undefined figures.

    `confusion` is labels x labels, a row per true label; `confusion_no_face` counts the clips of each label
    that show no face, so that both together sum to `n`. Calibration is measured on clips with a face. Risk
    and coverage are of all clips: one without a face is wrong, and the first to be left out.
    """
    labels, has_face = predictions.labels, predictions.has_face
    guesses = predicted(predictions)
    right = guesses == predictions.truth
    whole = Confusion.of(labels, predictions.truth, guesses)
    sure, raw = confidence(predictions), confidence(predictions, temperature=False)
    curve = risk_coverage(sure, right)
    ranges = bootstrap(predictions, rounds, seed)
    recalls = recall_intervals(predictions, rounds, seed)
    read = has_face & ~predictions.rejected
    figures = {
        "accuracy": whole.accuracy,
        "mean_recall": whole.mean_recall,
        "macro_f1": whole.macro_f1,
        "ece": ece(sure[has_face], right[has_face]),
        "n": whole.n,
        "n_no_face": int(whole.no_face.sum()),
        "labels": list(labels),
        "confusion": whole.counts[:, : len(labels)].tolist(),
        "confusion_no_face": whole.no_face.tolist(),
        "streams": {name: _stream(predictions, name) for name in predictions.logits},
        "headline": predictions.headline,
        "detected": _subset(predictions, guesses, has_face),
        "after_rejection": {
            "coverage": float(ratio(int(read.sum()), len(predictions))),
            **_subset(predictions, guesses, read),
        },
        "ece_before_temperature": ece(raw[has_face], right[has_face]),
        "adaptive_ece": adaptive_ece(sure[has_face], right[has_face]),
        "brier": brier(predictions),
        "nll": log_loss(predictions),
        "per_class": {
            label: {
                "recall": float(whole.recall[index]),
                "precision": float(whole.precision[index]),
                "f1": float(whole.f1[index]) if whole.support[index] else None,
                "support": int(whole.support[index]),
                "interval": recalls[index],  # of the recall
            }
            for index, label in enumerate(labels)
        },
        "folds": _folds(predictions, guesses),
        "parts": _parts(predictions, guesses),
        "interval": {name: None if ranges is None else list(ranges[name]) for name in INTERVALS}
        | {"level": LEVEL, "unit": "subject", "subjects": len(set(predictions.subjects))},
        "risk_coverage": {
            "aurc": curve.area,
            "accuracy_at": {f"{coverage:.0%}": curve.accuracy(coverage) for coverage in COVERAGES},
        },
        "remarks": list(_remarks(predictions)),
    }
    plain: dict[str, Any] = without_nan(figures)
    return plain


def _stream(predictions: Predictions, name: str) -> dict[str, Any]:
    """Return the figures of one stream's logits; `ece` is for the headline alone, as is the temperature."""
    has_face = predictions.has_face
    guesses = predicted(predictions, name)
    right = guesses == predictions.truth
    whole = Confusion.of(predictions.labels, predictions.truth, guesses)
    is_headline = name == predictions.headline
    return {
        "accuracy": whole.accuracy,
        "mean_recall": whole.mean_recall,
        "macro_f1": whole.macro_f1,
        "ece": ece(confidence(predictions, name)[has_face], right[has_face]) if is_headline else None,
        "ece_before_temperature": ece(confidence(predictions, name, False)[has_face], right[has_face]),
        "detected": _subset(predictions, guesses, has_face),
    }


def _subset(predictions: Predictions, guesses: Ints, rows: Bools) -> dict[str, Any]:
    part = Confusion.of(predictions.labels, predictions.truth[rows], guesses[rows])
    return {"n": part.n, "accuracy": part.accuracy, "mean_recall": part.mean_recall}


def _folds(predictions: Predictions, guesses: Ints) -> dict[str, Any]:
    """Return mean and sample standard deviation of figures over the folds; no deviation for a single fold."""
    folds = np.unique(predictions.fold)
    parts = [
        Confusion.of(predictions.labels, predictions.truth[rows], guesses[rows])
        for rows in (predictions.fold == fold for fold in folds)
    ]
    figures: dict[str, Any] = {"n": len(folds)}
    for name in ("accuracy", "mean_recall", "macro_f1"):
        values = np.array([getattr(part, name) for part in parts])
        sd = float(values.std(ddof=1)) if len(parts) > 1 else None
        figures[name] = {"mean": mean(values), "sd": sd}
    return figures


def _parts(predictions: Predictions, guesses: Ints) -> list[dict[str, Any]]:
    """Return the figures of each part of a protocol, with its name."""
    return [
        {
            "name": name,
            **_subset(predictions, guesses, rows),
            "n_no_face": int((rows & ~predictions.has_face).sum()),
        }
        for name, rows in ((name, predictions.fold == fold) for fold, name in enumerate(predictions.parts))
    ]


def _remarks(predictions: Predictions) -> Iterator[str]:
    """Yield sentences that a reader of the figures should know."""
    labels, model_labels = predictions.labels, predictions.model_labels
    for index in sorted(set(range(len(labels))) - set(predictions.shared)):
        count = int((predictions.truth == index).sum())
        yield f"The model does not know {labels[index]}: {_of(count, predictions)} can only be wrong."
    beyond = [label for label in model_labels if label not in labels]
    if beyond:
        yield f"The data has no {', '.join(beyond)}: scores are renormalised over the data's labels."
    no_face = int((~predictions.has_face).sum())
    if no_face:
        yield f"No face was found in {_of(no_face, predictions)}: counted as wrong."
    rejected = int((predictions.rejected & predictions.has_face).sum())
    if rejected:
        yield f"Too poor to read by the rejection rule: {_of(rejected, predictions)}, counted all the same."
    if len(predictions) and predictions.subjects == predictions.names:
        yield "Subjects are unknown: the interval takes every sample for a person of its own."
    elif len(set(predictions.subjects)) == 1:
        yield "There is one subject: no interval can be given."


def _of(count: int, predictions: Predictions) -> str:
    return f"{count} of {len(predictions)} samples"


def without_nan(value: Any) -> Any:
    """Return the same with None for every nan."""
    if isinstance(value, dict):
        return {name: without_nan(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and value != value else value


def rows(predictions: Predictions) -> tuple[list[str], Iterator[list[str]]]:
    """Return a table of the headline's predictions: its header, and a row per sample.

    Prediction, confidence and scores are empty for a sample without a face.
    """
    labels = predictions.labels
    header = ["name", "subject", "fold", "label", "predicted", "confidence", "found", *labels]
    return header, _rows(predictions, probabilities(predictions), predicted(predictions).tolist())


def _rows(predictions: Predictions, scores: Doubles, guesses: list[int]) -> Iterator[list[str]]:
    labels = predictions.labels
    for row, name in enumerate(predictions.names):
        facts = [name, predictions.subjects[row], str(predictions.fold[row]), labels[predictions.truth[row]]]
        if predictions.has_face[row]:
            values = [f"{score:.{DECIMALS}f}" for score in scores[row].tolist()]
            yield [*facts, labels[guesses[row]], values[guesses[row]], "true", *values]
        else:
            yield [*facts, "", "", "false", *[""] * len(labels)]
