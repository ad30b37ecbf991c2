"""The table: rows ranked by mean recall, with intervals, and a mark for ties with the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fervid import metrics
from fervid.metrics import Confusion
from fervid.train.survey.rows import Failure, Row
from fervid.train.survey.timing import PASSES, WINDOWS

FORMAT = 1
WIDTH = 100  # characters of the table at most
DIGITS = 9  # of shares that are compared
NAME = 23  # characters of a system's name at most
TIMED = (
    f"ms a window of 16 frames: the nets alone on one core, batches of 8, the fastest of {PASSES} passes "
    f"over {WINDOWS} windows"
)

Range = tuple[float, float]


@dataclass(frozen=True)
class Ranked:
    """A system with its figures and its rank."""

    row: Row
    rank: int
    is_tied: bool  # with the first: the interval of their difference contains 0
    accuracy: float
    mean_recall: float
    accuracy_range: Range | None  # None if there are fewer than two people
    mean_recall_range: Range | None


def ranked(rows: Sequence[Row]) -> list[Ranked]:
    """Return rows by falling mean recall; equal figures share a rank."""
    whole = [Confusion.of(row.labels, row.truth, row.said) for row in rows]
    drawn = [metrics.resampled(row.subjects, row.truth, row.said, len(row.labels)) for row in rows]
    # Rounded, because sums of equal shares can differ in their last digit.
    recalls = [round(figures.mean_recall, DIGITS) for figures in whole]
    order = sorted(range(len(rows)), key=lambda index: (-recalls[index], rows[index].system.name))
    table = []
    for index in order:
        own, best = drawn[index], drawn[order[0]]
        is_tied = False
        if index != order[0] and own is not None and best is not None:
            low, high = metrics.interval(best[:, 1] - own[:, 1])  # of the same people in each round
            is_tied = low <= 0.0 <= high
        table.append(
            Ranked(
                row=rows[index],
                rank=1 + sum(other > recalls[index] for other in recalls),
                is_tied=is_tied,
                accuracy=whole[index].accuracy,
                mean_recall=recalls[index],
                accuracy_range=None if own is None else metrics.interval(own[:, 0]),
                mean_recall_range=None if own is None else metrics.interval(own[:, 1]),
            )
        )
    return table


def as_json(facts: dict[str, Any], rows: Sequence[Row | Failure]) -> dict[str, Any]:
    """Return the table for JSON: shares in [0, 1]; a failed system has a reason and no figures."""
    table = ranked([row for row in rows if isinstance(row, Row)])
    failures = [row for row in rows if isinstance(row, Failure)]
    return {
        "format": FORMAT,
        **facts,
        "ranked_by": "mean_recall",
        "level": metrics.LEVEL,
        "timing": TIMED,
        "rows": [*map(_ranked, table), *map(_failure, failures)],
    }


def _ranked(ranked: Ranked) -> dict[str, Any]:
    row = ranked.row
    return {
        "system": row.system.name,
        "streams": list(row.system.streams),
        "fusion": row.system.fusion or None,
        "failure": None,
        "rank": ranked.rank,
        "tied_with_first": ranked.is_tied,
        "accuracy": round(ranked.accuracy, 6),
        "accuracy_interval": _rounded(ranked.accuracy_range),
        "mean_recall": round(ranked.mean_recall, 6),
        "mean_recall_interval": _rounded(ranked.mean_recall_range),
        "n": len(row.truth),
        "n_no_face": int((row.said == metrics.NO_FACE).sum()),
        "parameters": row.parameters,
        "ms_per_window": row.milliseconds,
        "times_default_pair": row.ratio,
        "reads": list(row.reads),
        "sizes": {name: dict(sizes) for name, sizes in row.sizes.items()},
        "device": row.device,
        "versions": dict(row.versions),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    system = failure.system
    return {
        "system": system.name,
        "streams": list(system.streams),
        "fusion": system.fusion or None,
        "failure": failure.reason,
    }


def _rounded(interval: Range | None) -> list[float] | None:
    return None if interval is None else [round(value, 6) for value in interval]


def as_text(facts: dict[str, Any], rows: Sequence[Row | Failure]) -> str:
    """Return the table as text, at most WIDTH characters wide."""
    table = ranked([row for row in rows if isinstance(row, Row)])
    name = max([len("system"), *(len(_name(row)) for row in rows)])
    head = f"{'rank':>4}   {'system':<{name}} {'weights':>8} {'ms':>8} {'x pair':>7}"
    lines = [f"{head}  {'accuracy %':<18}  {'mean recall %':<18}".rstrip()]
    for ranked_row in table:
        row, mark = ranked_row.row, "=" if ranked_row.is_tied else " "
        costs = f"{_count(row.parameters):>8} {_number(row.milliseconds):>8} {_number(row.ratio):>7}"
        figures = (
            f"{_share(ranked_row.accuracy, ranked_row.accuracy_range):<18}  "
            f"{_share(ranked_row.mean_recall, ranked_row.mean_recall_range)}"
        )
        lines.append(f"{ranked_row.rank:>4} {mark} {_name(row):<{name}} {costs}  {figures}".rstrip())
    for failure in (row for row in rows if isinstance(row, Failure)):
        line = f"{'':>4}   {_name(failure):<{name}} failed: {failure.reason}"
        lines.append(line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}...")
    return "\n".join([*lines, "", *_legend(facts, any(ranked_row.is_tied for ranked_row in table))])


def _legend(facts: dict[str, Any], has_ties: bool) -> list[str]:
    data, settings = facts["data"], facts["settings"]
    lines = [
        f"{data['clips']} clips of {data['people']} people, {settings['protocol']}, "
        f"{settings['epochs']} epochs, seed {settings['seed']}; ranked by mean recall.",
        f"[ ]: {metrics.LEVEL:.0%} intervals, by resampling people.",
        "ms: a window of 16 frames, the networks alone, one core, batches of 8. x pair: times c3d+phrnn's.",
        "Labels are of visible expression, not of what a person feels.",
    ]
    if has_ties:
        lines.insert(2, "=: a tie with the first; the interval of their difference contains 0.")
    if settings["size"] != "full":
        lines.append(
            "Size smoke: narrow networks. This checks that everything runs; its figures mean nothing."
        )
    return lines


def _name(row: Row | Failure) -> str:
    name = row.system.name
    return name if len(name) <= NAME else f"{name[: NAME - 3]}..."


def _share(value: float, interval: Range | None) -> str:
    if interval is None:
        return f"{100 * value:.1f}"
    low, high = (100 * end for end in interval)
    return f"{100 * value:.1f} [{low:.1f}, {high:.1f}]"


def _number(value: float | None) -> str:
    """Round to three digits: networks differ by a factor of thousands."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def _count(parameters: int) -> str:
    """Format a number of weights: 5.77 M or 53.2 k."""
    return f"{parameters / 1e6:.2f} M" if parameters >= 999_500 else f"{parameters / 1e3:.1f} k"
