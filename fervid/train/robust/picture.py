"""The figures of damaged faces as one picture, drawn by matplotlib: bars of accuracy and error."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from fervid.errors import OutputError
from fervid.train.robust.measure import UNDAMAGED, Figure

FORMATS = ("png", "svg", "pdf")
WIDTH, ROW, AROUND = 7.2, 0.19, 1.3  # inches: the picture, a row, title and axes
LETTERS = 8  # points
DOTS = 200  # per inch, for PNG
# Okabe and Ito's, which colour-blind people can distinguish.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
INK, GREY, PALE = "#1b1b1f", "#888888", "#e5e5e5"
RECALL, BEFORE = "mean recall", "undamaged"


def draw(title: str, figures: Sequence[Figure], form: str = "png") -> bytes:
    """Return the picture in one of FORMATS: a row per damage and strength, from the top."""
    try:
        import matplotlib
        from matplotlib.figure import Figure as Picture
    except ImportError as error:
        raise OutputError("plots need matplotlib: python -m pip install 'fervid[charts]'") from error
    settings = {
        "text.parse_math": False,
        "text.usetex": False,
        "font.size": LETTERS,
        "svg.fonttype": "none",
        "svg.hashsalt": "fervid",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    stream = io.BytesIO()
    with matplotlib.rc_context(settings):
        picture = Picture(figsize=(WIDTH, len(figures) * ROW + AROUND), layout="constrained")
        left, right = picture.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        _fill(left, right, figures)
        picture.suptitle(title, fontsize=LETTERS + 1)
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[form]
        picture.savefig(stream, format=form, dpi=DOTS, metadata=metadata)
    return stream.getvalue()


def _fill(left: Any, right: Any, figures: Sequence[Figure]) -> None:
    """Draw accuracy and mean recall on the left axes, and the calibration error on the right ones."""
    rows, groups = range(len(figures)), list(dict.fromkeys(_group(figure) for figure in figures))
    colours = [_colour(groups.index(_group(figure))) for figure in figures]
    left.barh(rows, [figure.accuracy for figure in figures], 0.7, color=colours)
    recalls = [figure.mean_recall for figure in figures]
    left.plot(recalls, rows, "|", color=INK, markersize=7, markeredgewidth=1.5, label=RECALL)
    right.barh(rows, [figure.error for figure in figures], 0.7, color=colours)
    before = next((figure for figure in figures if figure.name == UNDAMAGED), None)
    for axes, value in ((left, before and before.accuracy), (right, before and before.error)):
        if value is not None:
            axes.axvline(value, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), label=BEFORE)
        axes.grid(axis="x", color=PALE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
    left.set_yticks(rows, [_name(figure) for figure in figures])
    left.set_ylim(len(figures) - 0.4, -0.6)
    left.set_xlim(0, 1)
    right.set_xlim(0, max(0.3, *(1.05 * figure.error for figure in figures)))
    left.set_xlabel("accuracy")
    right.set_xlabel("expected calibration error")
    left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0)


def _group(figure: Figure) -> str:
    """Return the group of a row: rows of a group have the same colour."""
    return figure.name.partition(" from ")[0]


def _colour(index: int) -> str:
    return GREY if index == 0 else COLOURS[(index - 1) % len(COLOURS)]


def _name(figure: Figure) -> str:
    """Return the text beside a row, with the number of its faces if they are only a part."""
    name, pose, low = figure.name.partition(" from ")
    if pose:
        return f"{name} {low}° to {figure.strength:g}°, {figure.count} faces"
    return name if figure.strength in (None, 1.0) else f"{name} {figure.strength:g}"
