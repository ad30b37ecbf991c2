"""Figures for each group of samples, such as men and women, and the gap between best and worst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fervid.files import natural_key, one_line
from fervid.metrics.counts import Confusion
from fervid.metrics.predictions import Predictions, predicted
from fervid.metrics.report import ROUNDS, interval, resampled, without_nan

LEAST = 10  # samples of a group that counts in a gap
FIGURES = ("accuracy", "mean_recall")


def by_group(
    predictions: Predictions, groups: Sequence[str], rounds: int = ROUNDS, seed: int = 0
) -> dict[str, Any]:
    """Return the figures of each group as JSON values, and the gaps, with intervals over people.

    A gap is between the best and the worst group of at least LEAST samples. Since these two are chosen by
    their figures, a gap is above zero also where groups do not differ: read it with its interval.
    """
    guesses, truth = predicted(predictions), predictions.truth
    names = np.array(groups, dtype=object)
    parts: list[dict[str, Any]] = []
    draws: dict[str, Any] = {}
    for index, name in enumerate(sorted(set(groups), key=_order)):
        rows = np.flatnonzero(names == name)
        whole = Confusion.of(predictions.labels, truth[rows], guesses[rows])
        subjects = [predictions.subjects[row] for row in rows.tolist()]
        # Another seed for each group: they are drawn independently.
        drawn = resampled(subjects, truth[rows], guesses[rows], len(predictions.labels), rounds, seed + index)
        draws[name] = drawn
        ranges = {
            figure: None if drawn is None else list(interval(drawn[:, column]))
            for column, figure in enumerate(FIGURES)
        }
        parts.append(
            {
                "name": name,
                "n": whole.n,
                "n_no_face": int(whole.no_face.sum()),
                "subjects": len(set(subjects)),
                "accuracy": whole.accuracy,
                "mean_recall": whole.mean_recall,
                "interval": ranges,
                "recall": dict(zip(predictions.labels, whole.recall.tolist(), strict=True)),
            }
        )
    gaps = {figure: _gap(parts, draws, column, figure) for column, figure in enumerate(FIGURES)}
    figures: dict[str, Any] = without_nan({"groups": parts, "gap": gaps, "least": LEAST})
    return figures


def _order(name: str) -> tuple[bool, tuple[list[tuple[int, str]], str]]:
    """Return a sort key: the natural order, with "below 30" of a number's groups before "30 to 50"."""
    return not name.startswith("below "), natural_key(name)


def _gap(
    parts: Sequence[dict[str, Any]], draws: dict[str, Any], column: int, figure: str
) -> dict[str, Any] | None:
    """Return the gap of a figure; None for fewer than two groups of LEAST samples."""
    large = [part for part in parts if part["n"] >= LEAST]
    if len(large) < 2:
        return None
    best, worst = (end(large, key=lambda part: part[figure]) for end in (max, min))
    first, second = draws[best["name"]], draws[worst["name"]]
    is_known = first is not None and second is not None
    return {
        "gap": best[figure] - worst[figure],
        "best": best["name"],
        "worst": worst["name"],
        "interval": list(interval(first[:, column] - second[:, column])) if is_known else None,
    }


def as_markdown(column: str, figures: dict[str, Any]) -> str:
    """Return the groups as tables in per cent, in the form of a model card."""
    lines = [
        f"| % by {_cell(column)} | samples | people | no face | accuracy | 95 % | mean recall | 95 % |",
        "|---" * 8 + "|",
    ]
    for part in figures["groups"]:
        ranges = (_range(part["interval"][figure]) for figure in FIGURES)
        shares = (_share(part[figure]) for figure in FIGURES)
        cells = [cell for pair in zip(shares, ranges, strict=True) for cell in pair]
        counts = (part["n"], part["subjects"], part["n_no_face"])
        lines.append(_line(_cell(part["name"]), *map(str, counts), *cells))
    gaps = [figures["gap"][figure] for figure in FIGURES]
    if any(gaps):
        cells = [
            cell
            for gap in gaps
            for cell in ((_share(gap["gap"]), _range(gap["interval"])) if gap else ("", ""))
        ]
        lines.append(_line("gap", "", "", "", *cells))
        names = [
            f"{figure.replace('_', ' ')} {_cell(gap['best'])} over {_cell(gap['worst'])}"
            for figure, gap in zip(FIGURES, gaps, strict=True)
            if gap
        ]
        lines += ["", f"Gap, of groups with {figures['least']} samples or more: {', '.join(names)}."]
    labels = list(figures["groups"][0]["recall"]) if figures["groups"] else []
    lines += ["", _line("recall %", *labels), "|---" * (len(labels) + 1) + "|"]
    lines += [
        _line(_cell(part["name"]), *(_share(part["recall"][label]) for label in labels))
        for part in figures["groups"]
    ]
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return one_line(text).replace("|", "/")


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _range(values: Sequence[float] | None) -> str:
    return "" if values is None else f"{100 * values[0]:.1f} to {100 * values[1]:.1f}"
