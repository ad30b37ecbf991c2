"""A timeline as a picture for papers, drawn by matplotlib: bands, peaks, valence and arousal."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fervid.errors import OutputError, UsageError
from fervid.export.page.rows import Row, analysed, colours, rows
from fervid.export.timelines import shapes
from fervid.labels import NEUTRAL
from fervid.times import stamp
from fervid.types import READABLE, Peak, Segment, Timeline

FORMATS = ("png", "svg", "pdf")
NOTE = "Visible facial expression as a model reads it, not what a person feels."
ROW = 0.34  # inches
CURVES = 0.95  # inches of valence, and of arousal
AROUND = 1.1  # inches for the axis, the legend and the note
BAND, RESTING = 0.56, 0.16  # heights, in rows
PALE, GREY = "#E4E4E1", "#5D5D66"
LETTERS = 8  # points
LEGEND = 0.95  # inches of a legend entry
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
MARKS = 9  # times on the axis, at most


@dataclass(frozen=True)
class Look:
    """The format, size and range of a plot."""

    form: str = "png"
    width: float = 7.2  # inches
    dots: int = 200  # per inch, for PNG
    start: float | None = None  # seconds from the first frame
    end: float | None = None


def draw(timeline: Timeline, peaks: Sequence[Peak], look: Look) -> bytes:
    """Return the plot of a timeline in the format of `look`."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OutputError("plots need matplotlib: python -m pip install 'fervid[charts]'") from error
    low, high = shown(timeline, look)
    shown_rows = rows(timeline)
    has_curves = any(len(curve.pts) for curve in timeline.curves)
    tall = max(1, len(shown_rows)) * ROW + AROUND + (2 * CURVES if has_curves else 0)
    settings = {
        "text.parse_math": False,
        "text.usetex": False,
        "font.size": LETTERS,
        "svg.fonttype": "none",  # text stays text: it can be searched, and any script works
        "svg.hashsalt": "fervid",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    stream = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        warnings.filterwarnings("ignore", message="Glyph")  # letters without a glyph become boxes
        figure = Figure(figsize=(look.width, tall), layout="constrained")
        ratios = [max(1, len(shown_rows)) * ROW + 0.2, *([CURVES, CURVES] if has_curves else [])]
        axes = figure.subplots(len(ratios), squeeze=False, sharex=True, height_ratios=ratios).ravel()
        _bands(axes[0], timeline, shown_rows, peaks)
        if has_curves:
            _curves(axes[1:], timeline, shown_rows)
        _times(axes[-1], low, high)
        _words(figure, timeline, shown_rows)
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(look.form, {})
        figure.savefig(stream, format=look.form, dpi=look.dots, metadata=metadata)
    return stream.getvalue()


def shown(timeline: Timeline, look: Look) -> tuple[float, float]:
    """Return the seconds [low, high) that the plot shows."""
    start, end = (shapes.seconds(timeline.source, pts) for pts in analysed(timeline))
    low = start if look.start is None else max(start, look.start)
    high = end if look.end is None else min(end, look.end)
    if high <= low:
        raise UsageError(
            f"there is nothing to plot from {low:g} s to {high:g} s: "
            f"the timeline covers {start:g} s to {end:g} s"
        )
    return low, high


def _bands(axes: Any, timeline: Timeline, shown_rows: Sequence[Row], peaks: Sequence[Peak]) -> None:
    seconds = partial(shapes.seconds, timeline.source)
    row_of = {track: number for number, row in enumerate(shown_rows) for track in row.tracks}
    for start in timeline.shots[1:].tolist():
        axes.axvline(seconds(start), color=PALE, linewidth=0.5, zorder=0)
    for number, row in enumerate(shown_rows):
        inside = set(row.tracks)
        spans = [
            (seconds(curve.start), seconds(curve.end) - seconds(curve.start))
            for curve in timeline.curves
            if curve.track in inside
        ]
        axes.broken_barh(spans, (number - BAND / 2, BAND), color=PALE, linewidth=0, zorder=1)
    for label, colour in zip(timeline.labels, colours(timeline.labels), strict=True):
        tall = RESTING if label == NEUTRAL else BAND
        for number, segments in _by_row(timeline.segments, row_of, label).items():
            spans = [(seconds(each.start), seconds(each.end) - seconds(each.start)) for each in segments]
            axes.broken_barh(
                spans, (number - tall / 2, tall), color=colour, edgecolor="white", linewidth=0.3, zorder=2
            )
        shown_peaks = [peak for peak in peaks if peak.emotion == label]
        axes.scatter(
            [seconds(peak.apex) for peak in shown_peaks],
            [row_of[peak.track] - BAND / 2 - 0.12 for peak in shown_peaks],
            marker="v", s=9, color=colour, linewidths=0, zorder=3,
        )  # fmt: skip
    axes.set_yticks(range(len(shown_rows)), [row.name for row in shown_rows])
    axes.set_ylim(max(1, len(shown_rows)) - 0.5, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if not shown_rows:
        axes.text(
            0.5, 0.5, "no face was found", transform=axes.transAxes, ha="center", va="center", color=GREY
        )


def _by_row(segments: Sequence[Segment], row_of: dict[int, int], label: str) -> dict[int, list[Segment]]:
    by_row: dict[int, list[Segment]] = {}
    for segment in segments:
        if segment.emotion == label:
            by_row.setdefault(row_of[segment.track], []).append(segment)
    return by_row


def _curves(all_axes: Any, timeline: Timeline, shown_rows: Sequence[Row]) -> None:
    """Draw all curves, the first row's dark, the others pale, with gaps where a face is not readable."""
    first = set(shown_rows[0].tracks)
    for axes, kind in zip(all_axes, ("valence", "arousal"), strict=True):
        axes.axhline(0, color=GREY, linewidth=0.5)
        for curve in timeline.curves:
            values = np.where(curve.quality >= READABLE, getattr(curve, kind), np.nan)
            is_first = curve.track in first
            axes.plot(
                shapes.times(timeline.source, curve.pts), values, color="#1B1B1F" if is_first else "#A5A5AF",
                linewidth=0.9 if is_first else 0.5, zorder=3 if is_first else 2,
            )  # fmt: skip
        axes.set(ylim=(-1, 1), ylabel=kind)
        axes.set_yticks((-1, 0, 1))


def _times(axes: Any, low: float, high: float) -> None:
    most = STEPS[-1] * math.ceil((high - low) / MARKS / STEPS[-1])  # if all steps are too short
    step = next((each for each in STEPS if (high - low) / each <= MARKS), most)
    marks = np.arange(np.ceil(low / step), np.floor(high / step + 1e-9) + 1) * step
    axes.set_xticks(marks, [stamp(mark, step < 1) for mark in marks])
    axes.set_xlim(low, high)


def _words(figure: Any, timeline: Timeline, shown_rows: Sequence[Row]) -> None:
    """Draw the legend and the note."""
    from matplotlib.patches import Patch

    shown_labels = {segment.emotion for segment in timeline.segments}
    patches = [
        Patch(color=colour, label=label)
        for label, colour in zip(timeline.labels, colours(timeline.labels), strict=True)
        if label in shown_labels
    ]
    if shown_rows:
        patches.append(Patch(color=PALE, label="not readable"))
        columns = max(1, min(len(patches), int(figure.get_figwidth() / LEGEND)))
        figure.legend(
            handles=patches,
            loc="outside upper center",
            ncols=columns,
            frameon=False,
            handlelength=1,
            columnspacing=1.2,
        )
    has_curves = any(len(curve.pts) for curve in timeline.curves)
    dark = f" Dark lines: {shown_rows[0].name}." if len(shown_rows) > 1 and has_curves else ""
    figure.supxlabel(NOTE + dark, fontsize=LETTERS - 1.5, color=GREY)
