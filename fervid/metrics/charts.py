"""Charts for run folders: drawn by matplotlib if it is installed (PNG), else written here (SVG).

A chart is described once, as panels of lines or as a matrix of counts, and drawn by either.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, isfinite, log10
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from fervid import files
from fervid.errors import OutputError
from fervid.types import Array

NAME_LENGTH = 24  # characters of a label or series that are shown
# Okabe and Ito's, which colour-blind people can distinguish; further lines are dashed.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES: tuple[tuple[int, ...], ...] = ((), (6, 3), (2, 3))
GREY, PALE = "#888888", "#e5e5e5"
# The colours of a matrix cell with none, and with all, of its row.
LIGHT, FULL = np.array([250, 250, 250]), np.array([0, 74, 128])
DARK = 0.5  # a cell with at least this share of its row has a white number
MANY = 40  # a line with at least this many points has no dots
POINTS = 600  # most points of a line: more are not visible

# All in pixels.
FONT, CHARACTER, ROW = 13, 7.8, 18  # of text: its size, the width of a character, the height of a line
WIDTH = 520  # of a panel's plot
TOP, BELOW = 36, 52  # space for the title, and for the text under a plot
GAP = 8
CELL = 46  # of a matrix, at least


@dataclass(frozen=True)
class Line:
    """One series: drawn through missing values (None), and broken where y is not finite."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]

    @property
    def has_dots(self) -> bool:
        return len(self.x) < MANY

    def stretches(self) -> Iterator[list[tuple[float, float]]]:
        """Yield the points of each unbroken stretch."""
        points = [(x, y) for x, y in zip(self.x, self.y, strict=True) if y is not None]
        for is_finite, stretch in groupby(points, lambda point: isfinite(point[1])):
            if is_finite:
                yield list(stretch)


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its lines."""

    x_name: str
    y_name: str
    lines: Sequence[Line]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    height: int = 200
    diagonal: bool = False  # a grey line from corner to corner, for comparison
    is_whole: bool = False  # x is an integer

    @property
    def tall(self) -> int:
        """The panel's height, which must fit the legend."""
        return max(self.height, ROW * len(self.lines))

    def ticks(self) -> tuple[list[float], list[float]]:
        return ticks(*self.x_range, is_whole=self.is_whole), ticks(*self.y_range, about=self.tall // 40)

    @property
    def has_legend(self) -> bool:
        return len(self.lines) > 1


def confusion(counts: Array, labels: Sequence[str], path: Path) -> Path:
    """Draw a confusion matrix, a row per true label; a column after those of the labels is "no face"."""
    size = len(labels)
    if counts.shape not in ((size, size), (size, size + 1)):
        raise ValueError(f"{size} labels need as many rows and columns, or one more, got {counts.shape}")
    columns = [*labels, "no face"][: counts.shape[1]]
    return _draw(_Matrix(counts, [_shown(name) for name in labels], [_shown(name) for name in columns]), path)


def curves(history: Mapping[str, Sequence[float | None]], path: Path, title: str = "") -> Path:
    """Draw a history of figures per epoch, with a panel per quantity, which is a name's last word."""
    if not history:
        raise ValueError("a history should name at least one quantity")
    groups: dict[str, list[Line]] = defaultdict(list)
    for name, values in history.items():
        words = re.findall(r"[^\s_./-]+", name) or [name]
        groups[words[-1]].append(Line(_shown(name), range(1, len(values) + 1), values))
    last = max((len(values) for values in history.values()), default=0)
    x_range = (1.0, float(last)) if last > 1 else (0.0, 2.0)
    panels = []
    for quantity, lines in groups.items():
        name = lines[0].name if len(lines) == 1 else _shown(quantity)
        panels.append(Panel("epoch", name, lines, x_range, _range(lines), is_whole=True))
    return _draw(_Panels(_shown(title, 80), panels), path)


def reliability(bins: Mapping[str, tuple[Array, Array, Array]], path: Path) -> Path:
    """Draw accuracy by confidence: per name, bins of counts, summed confidence, counts of right."""
    accuracy, share = [], []
    for name, (count, confidence, right) in bins.items():
        filled = count > 0
        mean = (confidence[filled] / count[filled]).tolist()
        accuracy.append(Line(_shown(name), mean, (right[filled] / count[filled]).tolist()))
        share.append(Line(_shown(name), mean, (count[filled] / max(1, count.sum())).tolist()))
    unit = (0.0, 1.0)
    top = (0.0, _range(share)[1])
    panels = [
        Panel("confidence", "accuracy", accuracy, unit, unit, height=360, diagonal=True),
        Panel("confidence", "share of clips", share, unit, top, height=140),
    ]
    return _draw(_Panels("Reliability", panels), path)


def risk_coverage(risks: Mapping[str, tuple[Array, Array]], path: Path) -> Path:
    """Draw the share of errors among the most confident: per name coverage and risk, (N,) each."""
    lines = []
    for name, (x, y) in risks.items():
        rows = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).astype(int))
        lines.append(Line(_shown(name), x[rows].tolist(), y[rows].tolist()))
    panel = Panel("coverage", "share of errors", lines, (0.0, 1.0), (0.0, _range(lines)[1]), height=300)
    return _draw(_Panels("Risk and coverage", [panel]), path)


@dataclass(frozen=True)
class _Panels:
    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class _Matrix:
    counts: Array
    rows: Sequence[str]
    columns: Sequence[str]

    @property
    def cell(self) -> int:
        return max(CELL, ceil(len(str(self.counts.max(initial=0))) * CHARACTER) + 2 * GAP)

    @property
    def shares(self) -> Array:
        """Each cell's share of its row."""
        return self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)

    def ink(self, row: int, column: int) -> str:
        """Return the colour of a cell's number."""
        return "white" if self.shares[row, column] > DARK else "black"

    @property
    def colours(self) -> Array:  # (R, C, 3)
        shares = self.shares[:, :, None]
        return np.rint((1 - shares) * LIGHT + shares * FULL).astype(np.uint8)


def ticks(low: float, high: float, about: int = 5, is_whole: bool = False) -> list[float]:
    """Return round numbers within [low, high], `about` that many."""
    rough = (high - low) / about
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    if is_whole:
        step = max(1, ceil(step))
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(number * step, 12) + 0.0 for number in range(first, last + 1)]


def _range(lines: Sequence[Line]) -> tuple[float, float]:
    """Return the range of y, widened to round numbers."""
    values = [y for line in lines for stretch in line.stretches() for _, y in stretch]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        low, high = low - max(abs(low), 1) / 10, high + max(abs(high), 1) / 10
    marks = ticks(low, high)
    step = marks[1] - marks[0] if len(marks) > 1 else high - low
    return floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step


def _shown(text: str, length: int = NAME_LENGTH) -> str:
    """Return a text for a chart: not too long, and without characters that XML forbids."""
    clean = re.sub(r"[^\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+", "?", text)
    return clean if len(clean) <= length else clean[: length - 1] + "…"


def _width(text: str) -> float:
    """Return the approximate width of a text."""
    return CHARACTER * sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _style(index: int) -> tuple[str, tuple[int, ...]]:
    """Return the colour and dashes of a panel's line."""
    return COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]


def _draw(picture: _Panels | _Matrix, path: Path) -> Path:
    """Write a chart to `path` with the suffix of its format, and return that path."""
    content, suffix = _png(picture), ".png"
    if content is None:
        content, suffix = _svg(picture).encode(), ".svg"
    target = path.with_name(path.name + suffix)
    try:
        files.write(target, content)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _png(picture: _Panels | _Matrix) -> bytes | None:
    """Draw a chart by matplotlib; None if it is not installed, or its font lacks a letter."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    stream = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"text.parse_math": False, "text.usetex": False}):
        warnings.filterwarnings("error", message="Glyph", category=UserWarning)
        figure = Figure(layout="constrained")
        if isinstance(picture, _Matrix):
            _fill_matrix(figure, picture)
        else:
            _fill_panels(figure, picture)
        try:
            FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})
        except UserWarning:
            return None
    return stream.getvalue()


def _fill_matrix(figure: Any, picture: _Matrix) -> None:
    rows, columns = picture.counts.shape
    names = max(map(_width, [*picture.rows, *picture.columns])) + 80
    figure.set_size_inches((columns * picture.cell + names) / 100, (rows * picture.cell + names) / 100)
    axes = figure.subplots()
    axes.imshow(picture.colours)
    for (row, column), count in np.ndenumerate(picture.counts):
        axes.text(column, row, str(count), ha="center", va="center", color=picture.ink(row, column))
    axes.set_xticks(range(columns), picture.columns, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(rows), picture.rows)
    axes.set(xlabel="predicted", ylabel="labelled")


def _fill_panels(figure: Any, picture: _Panels) -> None:
    heights = [panel.tall + BELOW for panel in picture.panels]
    figure.set_size_inches((WIDTH + 280) / 100, (sum(heights) + TOP) / 100)
    figure.suptitle(picture.title)
    all_axes = figure.subplots(len(heights), squeeze=False, height_ratios=heights).ravel()
    for axes, panel in zip(all_axes, picture.panels, strict=True):
        axes.set(xlim=panel.x_range, ylim=panel.y_range, xlabel=panel.x_name, ylabel=panel.y_name)
        x_ticks, y_ticks = panel.ticks()
        axes.set_xticks(x_ticks, [f"{tick:g}" for tick in x_ticks])
        axes.set_yticks(y_ticks, [f"{tick:g}" for tick in y_ticks])
        axes.grid(color=PALE)
        if panel.diagonal:
            axes.plot(panel.x_range, panel.y_range, color=GREY, dashes=(6, 3))
        for index, line in enumerate(panel.lines):
            colour, dashes = _style(index)
            points = [(x, y) for stretch in line.stretches() for x, y in [*stretch, (np.nan, np.nan)]]
            x, y = zip(*points, strict=True) if points else ((), ())
            drawn = axes.plot(x, y, color=colour, label=line.name, clip_on=False, zorder=3)[0]
            drawn.set(marker="o" if line.has_dots else "", markersize=4, dashes=dashes or (None, None))
        if panel.has_legend:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


def _svg(picture: _Panels | _Matrix) -> str:
    """Return a chart as SVG."""
    width, height, parts = _svg_matrix(picture) if isinstance(picture, _Matrix) else _svg_panels(picture)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
            f' viewBox="0 0 {width:.0f} {height:.0f}" font-size="{FONT}"'
            ' font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif">',
            '<rect width="100%" height="100%" fill="white"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _svg_matrix(picture: _Matrix) -> tuple[float, float, list[str]]:
    cell, colours = picture.cell, picture.colours
    rows, columns = picture.counts.shape
    slant = 0.71 * max(map(_width, picture.columns))  # of a name at 45 degrees
    left = max(ROW + max(map(_width, picture.rows)), slant - cell / 2) + 3 * GAP
    right, bottom = left + columns * cell, GAP + rows * cell
    parts = []
    for (row, column), count in np.ndenumerate(picture.counts):
        x, y = left + column * cell, GAP + row * cell
        fill = "#{:02x}{:02x}{:02x}".format(*colours[row, column])
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell}" height="{cell}" fill="{fill}"/>')
        parts.append(_text(x + cell / 2, y + cell / 2, str(count), fill=picture.ink(row, column)))
    for row, name in enumerate(picture.rows):
        parts.append(_text(left - GAP, GAP + (row + 0.5) * cell, name, "end"))
    for column, name in enumerate(picture.columns):
        parts.append(_text(left + (column + 0.5) * cell, bottom + GAP + FONT / 2, name, "end", turn=-45))
    below = bottom + slant + 3 * GAP + FONT
    parts.append(_text((left + right) / 2, below, "predicted"))
    parts.append(_text(GAP + FONT / 2, (GAP + bottom) / 2, "labelled", turn=-90))
    parts.append(_box(left, GAP, right, bottom))
    return right + 2 * GAP, below + ROW, parts


def _svg_panels(picture: _Panels) -> tuple[float, float, list[str]]:
    marks = [f"{tick:g}" for panel in picture.panels for tick in panel.ticks()[1]]
    left = ROW + max(map(_width, marks), default=0.0) + 3 * GAP
    names = [_width(line.name) for panel in picture.panels if panel.has_legend for line in panel.lines]
    right = left + WIDTH
    parts, top = [_text((left + right) / 2, TOP / 2, picture.title, size=FONT + 2)], float(TOP)
    for panel in picture.panels:
        parts += _svg_panel(panel, left, top)
        top += panel.tall + BELOW
    return right + max(names, default=0.0) + (6 if names else 2) * GAP, top + GAP, parts


def _svg_panel(panel: Panel, left: float, top: float) -> Iterator[str]:
    right, bottom = left + WIDTH, top + panel.tall

    def pixel(x: float, y: float) -> tuple[float, float]:
        across = (x - panel.x_range[0]) / (panel.x_range[1] - panel.x_range[0])
        up = (y - panel.y_range[0]) / (panel.y_range[1] - panel.y_range[0])
        return left + across * WIDTH, bottom - up * panel.tall

    x_ticks, y_ticks = panel.ticks()
    for tick in x_ticks:
        x, _ = pixel(tick, 0)
        yield _path([(x, top), (x, bottom)], PALE)
        yield _text(x, bottom + GAP + FONT / 2, f"{tick:g}")
    for tick in y_ticks:
        _, y = pixel(0, tick)
        yield _path([(left, y), (right, y)], PALE)
        yield _text(left - GAP, y, f"{tick:g}", "end")
    yield _box(left, top, right, bottom)
    yield _text((left + right) / 2, bottom + GAP + FONT / 2 + ROW, panel.x_name)
    yield _text(GAP + FONT / 2, (top + bottom) / 2, panel.y_name, turn=-90)
    if panel.diagonal:
        yield _path([(left, bottom), (right, top)], GREY, (6, 3))
    for number, line in enumerate(panel.lines):
        colour, dashes = _style(number)
        for stretch in line.stretches():
            points = [pixel(x, y) for x, y in stretch]
            yield _path(points, colour, dashes, width=1.8)
            if line.has_dots or len(points) == 1:
                yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points)
        if panel.has_legend:
            y = (top + bottom) / 2 + (number - (len(panel.lines) - 1) / 2) * ROW
            yield _path([(right + GAP, y), (right + 4 * GAP, y)], colour, dashes, width=1.8)
            yield _text(right + 5 * GAP, y, line.name, "start")


def _text(
    x: float,
    y: float,
    text: str,
    anchor: str = "middle",
    fill: str = "black",
    turn: int = 0,
    size: int = FONT,
) -> str:
    """Return a text element, centred vertically on y."""
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" dy="0.35em" text-anchor="{anchor}" fill="{fill}"'
        f' font-size="{size}"{turned}>{escape(text)}</text>'
    )


def _path(
    points: Sequence[tuple[float, float]], colour: str, dashes: Sequence[int] = (), width: float = 1
) -> str:
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{" ".join(map(str, dashes))}"' if dashes else ""
    return f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>'


def _box(left: float, top: float, right: float, bottom: float) -> str:
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return _path(corners, GREY)
