"""A timeline as a figure for a paper, drawn by matplotlib: bands, peaks, valence and arousal."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fervid.errors import OutputError, UsageError
from fervid.export.page.rows import Row, analyzed_range, colours, rows, unreadable_stretches
from fervid.export.timelines import fields
from fervid.labels import NEUTRAL, VALENCE_AROUSAL
from fervid.times import format_clock
from fervid.types import READABLE, Peak, Segment, Timeline

NOTE = "Visible facial expression as a model reads it, not what a person feels."
ROW = 0.34  # inches
CURVES = 0.95  # inches of valence, and of arousal
AROUND = 1.1  # inches for the axis, the legend and the note
BAND, RESTING, UNREAD = 0.56, 0.16, 0.4  # heights, in rows
MUTED = 0.3  # opacity of an uncertain segment, inside its outline
HATCH = "/" * 6  # of a face that cannot be read
PALE, GREY, INK, FAINT = "#E4E4E1", "#5D5D66", "#1B1B1F", "#A5A5AF"
LETTERS = 8  # points
SMALL = 6.5  # points of the note
LETTER = 0.0078  # inches of a letter per point, about
LEGEND = 0.95  # inches of a legend entry
LONGEST_NAME = 0.22  # share of the plot's width
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
MARKS = 9  # times on the axis, at most
MARK = 0.42  # inches of a time on the axis


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
    shown_rows = present(timeline, low, high)
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
        _names(axes[0], shown_rows, look.width)
        if has_curves:
            _curves(axes[1:], timeline, shown_rows)
        _times(axes[-1], low, high, look.width)
        _legend(figure, timeline, shown_rows, (low, high), peaks)
        width = int(look.width / (LETTER * SMALL))
        figure.supxlabel("\n".join(textwrap.wrap(NOTE, width)), fontsize=SMALL, color=GREY)
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(look.form, {})
        figure.savefig(stream, format=look.form, dpi=look.dots, metadata=metadata)
    return stream.getvalue()


def shown(timeline: Timeline, look: Look) -> tuple[float, float]:
    """Return the seconds [low, high) that the plot shows."""
    start, end = (fields.seconds(timeline.source, pts) for pts in analyzed_range(timeline))
    low = start if look.start is None else max(start, look.start)
    high = end if look.end is None else min(end, look.end)
    if high <= low:
        raise UsageError(
            f"there is nothing to plot from {low:g} s to {high:g} s: "
            f"the timeline covers {start:g} s to {end:g} s"
        )
    return low, high


def present(timeline: Timeline, low: float, high: float) -> list[Row]:
    """Return the rows of those who are on screen in [low, high) seconds."""
    tracks = {
        curve.track
        for curve in timeline.curves
        if timeline.source.seconds(curve.start) < high and timeline.source.seconds(curve.end) > low
    }
    return [row for row in rows(timeline) if tracks.intersection(row.tracks)]


def _bands(axes: Any, timeline: Timeline, shown_rows: Sequence[Row], peaks: Sequence[Peak]) -> None:
    seconds = partial(fields.seconds, timeline.source)
    row_of = {track: number for number, row in enumerate(shown_rows) for track in row.tracks}
    for start in timeline.shots[1:].tolist():
        axes.axvline(seconds(start), color=PALE, linewidth=0.5, zorder=0)
    for number, gaps in enumerate(unreadable_stretches(timeline, row) for row in shown_rows):
        spans = [(seconds(start), seconds(end) - seconds(start)) for start, end in gaps]
        axes.broken_barh(
            spans, (number - UNREAD / 2, UNREAD), facecolor="none", edgecolor=FAINT, hatch=HATCH,
            linewidth=0, zorder=1,
        )  # fmt: skip
    for label, colour in zip(timeline.labels, colours(timeline.labels), strict=True):
        tall = RESTING if label == NEUTRAL else BAND
        for (number, is_uncertain), segments in _by_row(timeline.segments, row_of, label).items():
            spans = [
                (seconds(segment.start), seconds(segment.end) - seconds(segment.start))
                for segment in segments
            ]
            axes.broken_barh(
                spans, (number - tall / 2, tall), facecolor=(colour, MUTED if is_uncertain else 1),
                edgecolor=colour if is_uncertain else "white", linewidth=0.3, zorder=2,
            )  # fmt: skip
        shown_peaks = [peak for peak in peaks if peak.emotion == label and peak.track in row_of]
        axes.scatter(
            [seconds(peak.apex) for peak in shown_peaks],
            [row_of[peak.track] - BAND / 2 - 0.12 for peak in shown_peaks],
            marker="v", s=9, color=colour, linewidths=0, zorder=3,
        )  # fmt: skip
    axes.set_ylim(max(1, len(shown_rows)) - 0.5, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if not shown_rows:
        axes.text(
            0.5, 0.5, "no face was found", transform=axes.transAxes, ha="center", va="center", color=GREY
        )


def _names(axes: Any, shown_rows: Sequence[Row], width: float) -> None:
    """Write the names of the rows, long ones cut, so that the bands keep most of the width."""
    most = max(6, int(LONGEST_NAME * width / (LETTER * LETTERS)))
    names = [row.name if len(row.name) <= most else f"{row.name[: most - 1]}…" for row in shown_rows]
    axes.set_yticks(range(len(shown_rows)), names)


def _by_row(
    segments: Sequence[Segment], row_of: dict[int, int], label: str
) -> dict[tuple[int, bool], list[Segment]]:
    """Return the segments of a label by row and by whether they are uncertain."""
    by_row: dict[tuple[int, bool], list[Segment]] = {}
    for segment in segments:
        if segment.emotion == label and segment.track in row_of:
            by_row.setdefault((row_of[segment.track], segment.is_uncertain), []).append(segment)
    return by_row


def _curves(all_axes: Any, timeline: Timeline, shown_rows: Sequence[Row]) -> None:
    """Draw all curves, the first row's dark, the others pale, with gaps where a face is not readable."""
    first = set(shown_rows[0].tracks) if shown_rows else set()
    values_of = [VALENCE_AROUSAL.get(label, (0.0, 0.0)) for label in timeline.labels]
    for index, (axes, kind) in enumerate(zip(all_axes, ("valence", "arousal"), strict=True)):
        axes.axhline(0, color=GREY, linewidth=0.5)
        for curve in timeline.curves:
            values = np.where(curve.quality >= READABLE, getattr(curve, kind), np.nan)
            is_first = curve.track in first
            axes.plot(
                fields.times(timeline.source, curve.pts), values, color=INK if is_first else FAINT,
                linewidth=0.9 if is_first else 0.5, zorder=3 if is_first else 2,
            )  # fmt: skip
        # A curve is a mean of the emotions' values, so no curve leaves their range.
        least, most = (end(pair[index] for pair in values_of) for end in (min, max))
        margin = max(most - least, 0.1) / 12
        axes.set(ylim=(least - margin, most + margin), ylabel=kind)
        axes.set_yticks([tick for tick in (-0.5, 0, 0.5) if least - margin <= tick <= most + margin])


def _times(axes: Any, low: float, high: float, width: float) -> None:
    count = max(2, min(MARKS, int((width - AROUND) / MARK)))
    most = STEPS[-1] * math.ceil((high - low) / count / STEPS[-1])  # if all steps are too short
    step = next((step for step in STEPS if (high - low) / step <= count), most)
    marks = np.arange(np.ceil(low / step), np.floor(high / step + 1e-9) + 1) * step
    axes.set_xticks(marks, [format_clock(mark, step < 1) for mark in marks])
    axes.set_xlim(low, high)


def _legend(
    figure: Any,
    timeline: Timeline,
    shown_rows: Sequence[Row],
    range_of: tuple[float, float],
    peaks: Sequence[Peak],
) -> None:
    """Draw a legend of every mark in the plot."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if not shown_rows:
        return
    seconds = partial(fields.seconds, timeline.source)
    low, high = range_of
    inside = {track for row in shown_rows for track in row.tracks}
    marks: list[Any] = []
    shown_segments = [
        segment
        for segment in timeline.segments
        if segment.track in inside and seconds(segment.start) < high and seconds(segment.end) > low
    ]
    shown_labels = {segment.emotion for segment in shown_segments}
    marked = {peak.emotion for peak in peaks if peak.track in inside and low <= seconds(peak.apex) <= high}
    for label, colour in zip(timeline.labels, colours(timeline.labels), strict=True):
        if label == NEUTRAL and label in shown_labels:
            marks.append(Line2D([], [], color=colour, linewidth=2, label=label))
        elif label in shown_labels | marked:
            marks.append(Patch(color=colour, label=label))
    if any(segment.is_uncertain for segment in shown_segments):
        marks.append(Patch(facecolor=(GREY, MUTED), edgecolor=GREY, linewidth=0.3, label="uncertain"))
    gaps = [gap for row in shown_rows for gap in unreadable_stretches(timeline, row)]
    if any(seconds(start) < high and seconds(end) > low for start, end in gaps):
        marks.append(Patch(facecolor="none", edgecolor=FAINT, hatch=HATCH, linewidth=0, label="not readable"))
    if marked:
        marks.append(Line2D([], [], marker="v", color=GREY, linestyle="", markersize=3.5, label="peak"))
    if any(low < seconds(start) < high for start in timeline.shots[1:].tolist()):
        marks.append(Line2D([], [], color=PALE, linewidth=1, label="new shot"))
    if any(len(curve.pts) for curve in timeline.curves) and len(shown_rows) > 1:
        name = shown_rows[0].name
        marks.append(
            Line2D([], [], color=INK, linewidth=0.9, label=name if len(name) < 14 else f"{name[:12]}…")
        )
        marks.append(Line2D([], [], color=FAINT, linewidth=0.7, label="others"))
    columns = max(1, min(len(marks), int(figure.get_figwidth() / LEGEND)))
    figure.legend(
        handles=marks,
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
    )
