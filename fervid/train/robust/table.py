"""The figures of damaged faces as JSON values and as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fervid.train.robust.measure import Figure

BAR = 30  # characters of an accuracy of 1


def as_json(model: str, data: Sequence[str], figures: Sequence[Figure]) -> dict[str, Any]:
    """Return the figures as JSON values."""
    rounded = [
        {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(figure).items()
        }
        for figure in figures
    ]
    return {"model": model, "data": list(data), "figures": rounded}


def as_text(figures: Sequence[Figure]) -> str:
    """Return the figures as a table, with a bar for each accuracy."""
    lines = [f"{'':<16}{'strength':>9}{'faces':>7}{'accuracy':>10}{'recall':>8}{'calibration':>13}"]
    for figure in figures:
        strength = "" if figure.strength is None else f"{figure.strength:g}"
        bar = "█" * round(BAR * figure.accuracy)
        lines.append(
            f"{figure.name:<16}{strength:>9}{figure.count:>7}{figure.accuracy:>10.3f}"
            f"{figure.mean_recall:>8.3f}{figure.error:>13.3f}  {bar}"
        )
    lines += ["", "calibration: the expected calibration error; yaw and pitch: from, and up to, degrees"]
    return "\n".join(lines)
