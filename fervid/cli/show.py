"""`fervid show`: a timeline in the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.reading import read_timeline
from fervid.files import shown
from fervid.times import clock, stamp

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from fervid.export.page.rows import Row
    from fervid.types import Array, Timeline

PIPED = 100  # columns where no terminal tells its own
NARROWEST = 20  # columns of a band
NAME = 18  # columns of a name, at most
MOST_ROWS = 20
LEVELS = " ▁▂▃▄▅▆▇█"
NEUTRAL_MARK, UNREADABLE_MARK, BLOCK = "─", "·", "█"


@options.command("show", examples="fervid show out.json\nfervid show out.json --top 0 | less")
@click.argument("input", metavar="TIMELINE")
@click.option(
    "--top", type=click.IntRange(0), default=10, show_default=True, help="So many peaks; 0 leaves them out."
)
def show(input: str, top: int) -> None:
    """Show TIMELINE in the terminal: a band for each person or track, its intensity, and the highest peaks.

    TIMELINE is what `fervid analyze` wrote (.json, .jsonl); - is standard input. Without colours, in a pipe
    for one, an expression is a letter.
    """
    with local_path(input) as path:
        timeline = read_timeline(path, input)
    from rich.console import Console

    with output.open_text(output.STANDARD) as stream:
        width = None if stream.isatty() else _columns()
        show_on(Console(file=stream, highlight=False, width=width), timeline, top)


def _columns() -> int:
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isdecimal() and int(text) > 0 else PIPED


def show_on(console: Console, timeline: Timeline, top: int) -> None:
    """Print a timeline as wide as the console."""
    from rich.text import Text

    from fervid.export.page.rows import rows
    from fervid.export.timelines.shapes import NOTE

    found = rows(timeline)
    console.print(Text(shown(timeline.source.name), style="bold", overflow="fold"))
    for line in facts(timeline, found):
        console.print(Text(line))
    if found:
        console.print()
        has_colour = console.color_system is not None and not console.no_color
        for text in bands(timeline, found[:MOST_ROWS], console.width, has_colour):
            text.rstrip()
            console.print(text, no_wrap=True, crop=True)
        if len(found) > MOST_ROWS:
            console.print(f"and {len(found) - MOST_ROWS} more rows")
    lines = list(peak_lines(timeline, found, top)) if top else []
    if lines:
        console.print("\nHighest peaks", style="bold")
    elif top:
        console.print("\nNo expression stands out enough to be a peak.")
    for peak in lines:
        console.print(Text(peak, overflow="ellipsis", no_wrap=True))
    console.print()
    console.print(Text(NOTE, style="dim"))


def facts(timeline: Timeline, found: Sequence[Row]) -> Iterator[str]:
    """What was looked at, in lines."""
    from fervid.export.page.rows import analysed
    from fervid.timeline import covered

    start, end = analysed(timeline)
    seen = covered((curve.start, curve.end) for curve in timeline.curves) / (end - start)
    readable = covered((one.start, one.end) for one in timeline.segments) / (end - start)
    length = clock((end - start) * timeline.source.time_base)
    people = sum(row.kind == "person" for row in found)
    who = f"{people} people in " if people else ""
    model = shown(timeline.model.name)
    yield f"{length} looked at, {who}{len(timeline.curves)} tracks, model {model}"
    if not found:
        yield "No face was found."
    else:
        yield f"A face is seen for {seen:.0%} of the time, and can be read for {readable:.0%}."
    if not timeline.tally.complete:
        yield "The video ends before its file says so."
    if not timeline.model.trained:
        yield "The model is untrained: its scores mean nothing."


def bands(timeline: Timeline, found: Sequence[Row], width: int, has_colour: bool) -> Iterator[Text]:
    """A line of times; then for each row its band, and below it how intense the expression is."""
    import numpy as np
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    from fervid.export.page.rows import analysed, shares

    names = [shown(row.name) for row in found]
    wide = min(NAME, max(cell_len(name) for name in names), max(0, width - NARROWEST - 1))
    cells = max(1, width - wide - 1)
    start, end = analysed(timeline)
    edges = np.linspace(start, end, cells + 1)
    marks = letters(timeline.labels)
    pens = styles(timeline.labels) if has_colour else {}
    yield Text(" " * (wide + 1) + times(timeline, cells))
    for row, name in zip(found, names, strict=True):
        text = name if cell_len(name) <= wide else set_cell_size(name, max(0, wide - 1)) + "…"
        line = Text(set_cell_size(text, wide) + " ")
        for mark in band(shares(timeline, row, edges), marks):
            line.append(brush(mark, pens), pens.get(mark))
        yield line
        yield Text(" " * (wide + 1) + sparkline(intensities(timeline, row, edges)), style="dim")
    yield Text()
    items = [(mark, label) for label, mark in zip(timeline.labels, marks, strict=True)]
    line = Text()
    for mark, label in [*items, (UNREADABLE_MARK, "a face that cannot be read"), (LEVELS[1:], "intensity")]:
        has_room = line.cell_len + cell_len(mark) + 1 + len(label) <= width
        if line.cell_len and not has_room:
            yield line
            line = Text()
        line.append(brush(mark, pens), pens.get(mark))
        line.append(f" {label}  ")
    yield line


def brush(mark: str, pens: Mapping[str, str]) -> str:
    """What a mark is drawn as: in colour, an expression is a block."""
    return BLOCK if mark in pens and mark != NEUTRAL_MARK else mark


def peak_lines(timeline: Timeline, found: Sequence[Row], top: int) -> Iterator[str]:
    """The most prominent peaks, a line each."""
    from fervid.timeline.peaks import rank

    who = {track: shown(row.name) for row in found for track in row.tracks}
    peaks = rank(timeline.peaks, timeline.source.time_base, top=top)
    moments = [clock(timeline.source.seconds(peak.apex)) for peak in peaks]
    wide = max(map(len, moments), default=0)
    longest = max((len(peak.emotion) for peak in peaks), default=0)
    for peak, moment in zip(peaks, moments, strict=True):
        yield f"{moment:>{wide}}  {peak.emotion:<{longest}}  {peak.score:4.0%}  {who[peak.track]}"


def letters(labels: Sequence[str]) -> list[str]:
    """A mark for each label: its first letter that no other has, and a line for neutral."""
    from fervid.labels import NEUTRAL

    found: list[str] = []
    for label in labels:
        free = [letter for letter in label.upper() if letter.isalpha() and letter not in found]
        found.append(NEUTRAL_MARK if label == NEUTRAL else free[0] if free else "?")
    return found


def styles(labels: Sequence[str]) -> dict[str, str]:
    """What each mark is drawn in."""
    from fervid.export.page.rows import colours

    return dict(zip(letters(labels), colours(labels), strict=True))


def band(table: Array, marks: Sequence[str]) -> str:
    """A mark for each cell: what it shows for longest; a blank where nobody is for most of it."""
    text = []
    for cell in table:
        best = int(cell[:-1].argmax())
        nobody = cell[-1] <= 0 or cell[best] <= 0
        text.append(" " if nobody else [*marks, UNREADABLE_MARK][best])
    return "".join(text)


def intensities(timeline: Timeline, row: Row, edges: Array) -> Array:
    """The mean intensity in each cell, nan where nothing is read; of JSON Lines that of the segments."""
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
    for segment in timeline.segments:  # where a cell is finer than the windows lie
        if segment.track in inside:
            overlap = np.minimum(segment.end, edges[1:]) - np.maximum(segment.start, edges[:-1])
            bare = (overlap > 0) & (weight == 0)
            total[bare], weight[bare] = segment.intensity, 1
    return np.divide(total, weight, out=np.full(len(total), np.nan), where=weight > 0)


def sparkline(values: Array) -> str:
    """A bar for each value from 0 to 1, a blank for what is unknown."""
    top = len(LEVELS) - 1
    return "".join(
        " " if value != value else LEVELS[min(top, max(1, round(float(value) * top)))] for value in values
    )


def times(timeline: Timeline, cells: int) -> str:
    """Times from the first frame, spread over the width."""
    from fervid.export.page.rows import analysed

    start, end = analysed(timeline)
    line = ""
    gap = max(12, cells // 6)
    for place in range(0, cells, gap):
        moment = timeline.source.seconds(start + round((end - start) * place / cells))
        text = stamp(int(moment))
        if place + len(text) <= cells:
            line = line.ljust(place) + text
    return line
