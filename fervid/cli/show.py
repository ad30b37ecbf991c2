"""`fervid show`: show a timeline in the terminal."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path, video_label
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.timelines import OPTIONS, timeline_of
from fervid.files import display_name
from fervid.times import format_clock

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from fervid.export.page.rows import Row
    from fervid.types import Array, Timeline

PIPED = 100  # columns of output without a terminal
NARROWEST = 20  # the least columns of a band
NAME = 18  # the most columns of a name
MOST_ROWS = 20
LABEL = 10  # the least cells from one time to the next
DAY = 86400
STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, DAY)  # seconds
LEVELS = " ▁▂▃▄▅▆▇█"
NEUTRAL_MARK, UNREADABLE_MARK, BLOCK = "─", "·", "█"
UNCERTAIN_NEUTRAL, UNCERTAIN_BLOCK = "┄", "░"


@options.command(
    "show",
    examples="""
    fervid show movie.mp4
    fervid show out.json
    fervid show out.json --top 0 | less
    """,
)
@click.argument("input", metavar="INPUT")
@click.option(
    "--top",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="The number of peaks; 0 leaves them out.",
)
@options.apply(*OPTIONS)
@click.pass_obj
def show(messages: Messages, /, input: str, top: int, **values: Any) -> None:
    """Show INPUT in the terminal: a band for each person or track, its intensity, and the highest peaks.

    INPUT is a timeline that `fervid analyze` wrote (.json, .jsonl), or a video; - is standard input. fervid
    analyzes a video first, and keeps its timeline beside it. Without colours, such as in a pipe, each
    expression is a letter.
    """
    with local_path(input) as path:
        timeline = timeline_of(messages, input, path, values).timeline
    from fervid.cli.shared.console import console

    with output.open_text(output.STANDARD) as stream:
        show_on(console(stream, _columns()), timeline, top)


def _columns() -> int:
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isdecimal() and int(text) > 0 else PIPED


def show_on(console: Console, timeline: Timeline, top: int) -> None:
    """Print a timeline on a console, in its whole width."""
    from rich.text import Text

    from fervid.cli.shared.columns import counted
    from fervid.export.page.rows import rows as rows_of
    from fervid.export.timelines.fields import NOTE

    rows = rows_of(timeline)
    console.print(Text(video_label(timeline.source.name), style="bold", overflow="fold"))
    for line in facts(timeline, rows):
        console.print(Text(line))
    if rows:
        console.print()
        has_colour = console.color_system is not None and not console.no_color
        for text in bands(timeline, rows[:MOST_ROWS], console.width, has_colour):
            text.rstrip()
            console.print(text, no_wrap=True, crop=True)
        if len(rows) > MOST_ROWS:
            console.print(f"and {counted(len(rows) - MOST_ROWS, 'more row')}")
    lines = list(peak_lines(timeline, rows, top)) if top else []
    if lines:
        console.print("\nHighest peaks", style="bold")
    elif top:
        console.print("\nNo expression stands out enough to be a peak.")
    for line in lines:
        console.print(Text(line, overflow="ellipsis", no_wrap=True))
    console.print()
    console.print(Text(NOTE, style="dim"))


def facts(timeline: Timeline, rows: Sequence[Row]) -> Iterator[str]:
    """Yield lines on what was analyzed and how much of it shows faces."""
    from fervid.cli.shared.columns import counted
    from fervid.export.page.rows import analyzed_range
    from fervid.timeline import covered

    start, end = analyzed_range(timeline)
    seen = covered((curve.start, curve.end) for curve in timeline.curves) / (end - start)
    readable = covered((segment.start, segment.end) for segment in timeline.segments) / (end - start)
    length = format_clock((end - start) * timeline.source.time_base, has_tenths=True)
    people = sum(row.kind == "person" for row in rows)
    who = f"{counted(people, 'person', 'people')} in " if people else ""
    model = display_name(timeline.model.name)
    yield f"{length} analyzed, {who}{counted(len(timeline.curves), 'track')}, model {model}"
    if not rows:
        yield "No face was found."
    else:
        yield f"A face is visible for {seen:.0%} of the time, and readable for {readable:.0%}."
    if not timeline.tally.complete:
        yield "The video ends before its file says so."
    if not timeline.model.trained:
        yield "The model is untrained: its scores mean nothing."


def bands(timeline: Timeline, rows: Sequence[Row], width: int, has_colour: bool) -> Iterator[Text]:
    """Yield a line of times, then the band and the intensity of each row, then the legend."""
    from dataclasses import replace

    import numpy as np
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    from fervid.export.page.rows import analyzed_range, shares

    names = [display_name(row.name) for row in rows]
    wide = min(NAME, max(cell_len(name) for name in names), max(0, width - NARROWEST - 1))
    cells = max(1, width - wide - 1)
    start, end = analyzed_range(timeline)
    edges = np.linspace(start, end, cells + 1)
    marks = letters(timeline.labels)
    pens = styles(timeline.labels) if has_colour else {}
    doubtful = replace(timeline, segments=tuple(part for part in timeline.segments if part.is_uncertain))
    yield Text(" " * (wide + 1) + times(timeline, cells))
    for row, name in zip(rows, names, strict=True):
        text = name if cell_len(name) <= wide else set_cell_size(name, max(0, wide - 1)) + "…"
        line = Text(set_cell_size(text, wide) + " ")
        for mark in band(shares(timeline, row, edges), marks, shares(doubtful, row, edges)):
            line.append(brush(mark, pens), pens.get(mark))
        yield line
        yield Text(" " * (wide + 1) + sparkline(intensities(timeline, row, edges)), style="dim")
    yield Text()
    yield from _legend(timeline, bool(doubtful.segments), width, pens)


def _legend(timeline: Timeline, has_uncertain: bool, width: int, pens: Mapping[str, str]) -> Iterator[Text]:
    """Yield the lines that explain the marks."""
    from rich.cells import cell_len
    from rich.text import Text

    items = list(zip(letters(timeline.labels), timeline.labels, strict=True))
    if has_uncertain:
        small = UNCERTAIN_BLOCK if pens else "a-z"
        items.append((f"{small} {UNCERTAIN_NEUTRAL}", "uncertain"))
    items += [(UNREADABLE_MARK, "a face that cannot be read"), (LEVELS[1:], "intensity")]
    line = Text()
    for mark, label in items:
        has_room = line.cell_len + cell_len(mark) + 1 + len(label) <= width
        if line.cell_len and not has_room:
            yield line
            line = Text()
        line.append(brush(mark, pens), pens.get(mark))
        line.append(f" {label}  ")
    yield line


def brush(mark: str, pens: Mapping[str, str]) -> str:
    """Return the character of a mark: in colour, an expression is a block."""
    if mark not in pens or mark in (NEUTRAL_MARK, UNCERTAIN_NEUTRAL):
        return mark
    return UNCERTAIN_BLOCK if mark.islower() else BLOCK


def uncertain(mark: str) -> str:
    """Return the mark of an uncertain reading: a small letter, a dashed line for neutral."""
    return UNCERTAIN_NEUTRAL if mark == NEUTRAL_MARK else mark.lower()


def peak_lines(timeline: Timeline, rows: Sequence[Row], top: int) -> Iterator[str]:
    """Yield a line for each of the most prominent peaks."""
    from fervid.timeline.peaks import rank

    names = {track: display_name(row.name) for row in rows for track in row.tracks}
    peaks = rank(timeline.peaks, timeline.source.time_base, top=top)
    moments = [format_clock(timeline.source.seconds(peak.apex), has_tenths=True) for peak in peaks]
    wide = max(map(len, moments), default=0)
    longest = max((len(peak.emotion) for peak in peaks), default=0)
    for peak, moment in zip(peaks, moments, strict=True):
        yield f"{moment:>{wide}}  {peak.emotion:<{longest}}  {peak.score:4.0%}  {names[peak.track]}"


def letters(labels: Sequence[str]) -> list[str]:
    """Return a mark for each label: its first letter that is still free, and a line for neutral."""
    from fervid.labels import NEUTRAL

    marks: list[str] = []
    for label in labels:
        free = [letter for letter in label.upper() if letter.isalpha() and letter not in marks]
        marks.append(NEUTRAL_MARK if label == NEUTRAL else free[0] if free else "?")
    return marks


def styles(labels: Sequence[str]) -> dict[str, str]:
    """Return the colour of each mark, certain or not."""
    from fervid.export.page.rows import colours

    pens = dict(zip(letters(labels), colours(labels), strict=True))
    return pens | {uncertain(mark): colour for mark, colour in pens.items()}


def band(table: Array, marks: Sequence[str], doubtful: Array) -> str:
    """Return a mark for each cell: its longest expression, or a blank if nobody is visible.

    An expression is shown as uncertain if most of its time in the cell, of `doubtful`, is.
    """
    text = []
    for cell, part in zip(table, doubtful, strict=True):
        best = int(cell[:-1].argmax())
        nobody = cell[-1] <= 0 or cell[best] <= 0
        mark = " " if nobody else [*marks, UNREADABLE_MARK][best]
        is_uncertain = best < len(marks) and 2 * part[best] > cell[best]
        text.append(uncertain(mark) if is_uncertain else mark)
    return "".join(text)


def intensities(timeline: Timeline, row: Row, edges: Array) -> Array:
    """Return the mean intensity in each cell, nan without a readable face; from segments without curves."""
    import numpy as np

    from fervid.types import READABLE

    inside = set(row.tracks)
    total, weight = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    for curve in timeline.curves:
        if curve.track in inside:
            readable = curve.quality >= READABLE
            cells = np.searchsorted(edges, curve.pts[readable], "right") - 1
            fits = (cells >= 0) & (cells < len(total))
            np.add.at(total, cells[fits], curve.intensity[readable][fits])
            np.add.at(weight, cells[fits], 1)
    for segment in timeline.segments:  # for cells between two windows, and JSON Lines
        if segment.track in inside:
            overlap = np.minimum(segment.end, edges[1:]) - np.maximum(segment.start, edges[:-1])
            bare = (overlap > 0) & (weight == 0)
            total[bare], weight[bare] = segment.intensity, 1
    return np.divide(total, weight, out=np.full(len(total), np.nan), where=weight > 0)


def sparkline(values: Array) -> str:
    """Return a bar for each value from 0 to 1, and a blank for nan."""
    top = len(LEVELS) - 1
    return "".join(
        " " if value != value else LEVELS[min(top, max(1, round(float(value) * top)))] for value in values
    )


def times(timeline: Timeline, cells: int) -> str:
    """Return a line of round times from the first frame, each above the cell in which it begins."""
    from fervid.export.page.rows import analyzed_range

    start, end = (timeline.source.seconds(pts) for pts in analyzed_range(timeline))
    per_cell = (end - start) / cells
    step = next((step for step in STEPS if step >= LABEL * per_cell), math.ceil(LABEL * per_cell / DAY) * DAY)
    line = ""
    for second in range(math.ceil(start / step) * step, math.ceil(end), step):
        cell, text = int((second - start) / per_cell), format_clock(second)
        if len(line) < cell + (not line) and cell + len(text) <= cells:
            line = line.ljust(cell) + text
    return line
