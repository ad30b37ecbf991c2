"""A timeline as a still picture for papers, drawn by matplotlib: bands, peaks, valence and arousal."""

from __future__ import annotations

import io
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
CURVES = 0.95  # inches of each of the two
AROUND = 1.1  # inches for the axis, the legend and the note
BAND, RESTING = 0.56, 0.16  # heights, in rows
PALE, GREY = "#E4E4E1", "#5D5D66"
LETTERS = 8  # points
LEGEND = 0.95  # inches of an entry of the legend
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
MARKS = 9  # times on the axis, at most


@dataclass(frozen=True)
class Look:
    """How the picture is made."""

    form: str = "png"
    width: float = 7.2  # inches
    dots: int = 200  # an inch, of PNG
    start: float | None = None  # seconds from the first frame
    end: float | None = None


def draw(timeline: Timeline, peaks: Sequence[Peak], look: Look) -> bytes:
    """The picture of a timeline."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OutputError("plots need matplotlib: python -m pip install 'fervid[charts]'") from error
    low, high = shown(timeline, look)
    found = rows(timeline)
    has_curves = any(len(curve.pts) for curve in timeline.curves)
    tall = max(1, len(found)) * ROW + AROUND + (2 * CURVES if has_curves else 0)
    settings = {
        "text.parse_math": False,
        "text.usetex": False,
        "font.size": LETTERS,
        "svg.fonttype": "none",  # text stays text: any script, and it can be searched
        "svg.hashsalt": "fervid",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    stream = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        warnings.filterwarnings("ignore", message="Glyph")  # a letter that no font has is a box
        figure = Figure(figsize=(look.width, tall), layout="constrained")
        ratios = [max(1, len(found)) * ROW + 0.2, *([CURVES, CURVES] if has_curves else [])]
        axes = figure.subplots(len(ratios), squeeze=False, sharex=True, height_ratios=ratios).ravel()
        _bands(axes[0], timeline, found, peaks)
        if has_curves:
            _curves(axes[1:], timeline, found)
        _times(axes[-1], low, high)
        _words(figure, timeline, found)
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(look.form, {})
        figure.savefig(stream, format=look.form, dpi=look.dots, metadata=metadata)
    return stream.getvalue()


def shown(timeline: Timeline, look: Look) -> tuple[float, float]:
    """The seconds that the picture shows."""
    start, end = (shapes.seconds(timeline.source, pts) for pts in analysed(timeline))
    low = start if look.start is None else max(start, look.start)
    high = end if look.end is None else min(end, look.end)
    if high <= low:
        raise UsageError(
            f"there is nothing to plot from {low:g} s to {high:g} s: "
            f"the timeline is of {start:g} s to {end:g} s"
        )
    return low, high


def _bands(axes: Any, timeline: Timeline, found: Sequence[Row], peaks: Sequence[Peak]) -> None:
    seconds = partial(shapes.seconds, timeline.source)
    place = {track: number for number, row in enumerate(found) for track in row.tracks}
    for start in timeline.shots[1:].tolist():
        axes.axvline(seconds(start), color=PALE, linewidth=0.5, zorder=0)
    for number, row in enumerate(found):
        inside = set(row.tracks)
        spans = [
            (seconds(one.start), seconds(one.end) - seconds(one.start))
            for one in timeline.curves
            if one.track in inside
        ]
        axes.broken_barh(spans, (number - BAND / 2, BAND), color=PALE, linewidth=0, zorder=1)
    for label, colour in zip(timeline.labels, colours(timeline.labels), strict=True):
        tall = RESTING if label == NEUTRAL else BAND
        for number, stretches in _by_row(timeline.segments, place, label).items():
            spans = [(seconds(one.start), seconds(one.end) - seconds(one.start)) for one in stretches]
            axes.broken_barh(
                spans, (number - tall / 2, tall), color=colour, edgecolor="white", linewidth=0.3, zorder=2
            )
        moments = [one for one in peaks if one.emotion == label]
        axes.scatter(
            [seconds(one.apex) for one in moments],
            [place[one.track] - BAND / 2 - 0.12 for one in moments],
            marker="v", s=9, color=colour, linewidths=0, zorder=3,
        )  # fmt: skip
    axes.set_yticks(range(len(found)), [row.name for row in found])
    axes.set_ylim(max(1, len(found)) - 0.5, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if not found:
        axes.text(
            0.5, 0.5, "no face was found", transform=axes.transAxes, ha="center", va="center", color=GREY
        )


def _by_row(segments: Sequence[Segment], place: dict[int, int], label: str) -> dict[int, list[Segment]]:
    found: dict[int, list[Segment]] = {}
    for segment in segments:
        if segment.emotion == label:
            found.setdefault(place[segment.track], []).append(segment)
    return found


def _curves(all_axes: Any, timeline: Timeline, found: Sequence[Row]) -> None:
    """Everyone's lines: the first row's dark, the others' pale; where a face cannot be read there is none."""
    first = set(found[0].tracks)
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
    step = next((each for each in STEPS if (high - low) / each <= MARKS), STEPS[-1])
    marks = np.arange(np.ceil(low / step), np.floor(high / step + 1e-9) + 1) * step
    axes.set_xticks(marks, [stamp(mark, step < 1) for mark in marks])
    axes.set_xlim(low, high)


def _words(figure: Any, timeline: Timeline, found: Sequence[Row]) -> None:
    """The legend of what is there, whose lines are dark, and the note."""
    from matplotlib.patches import Patch

    there = {segment.emotion for segment in timeline.segments}
    patches = [
        Patch(color=colour, label=label)
        for label, colour in zip(timeline.labels, colours(timeline.labels), strict=True)
        if label in there
    ]
    if found:
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
    dark = (
        f" Dark lines: {found[0].name}."
        if len(found) > 1 and any(len(one.pts) for one in timeline.curves)
        else ""
    )
    figure.supxlabel(NOTE + dark, fontsize=LETTERS - 1.5, color=GREY)
