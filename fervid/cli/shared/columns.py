"""Tables that fit the width of a terminal: if it is narrow, less important columns are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

GAP = 3  # cells between two columns of a rich table


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Columns with a `rank` above 0 go when there is no room, the highest first. `narrowest` is the least width
    of a column with text that may be broken into lines; all others keep their width.
    """

    heading: str
    cells: Sequence[str]
    rank: int = 0
    is_number: bool = False
    narrowest: int | None = None

    @property
    def least(self) -> int:
        """The width below which the column cannot be read."""
        widest = max(cell_len(line) for text in (self.heading, *self.cells) for line in text.split("\n"))
        return widest if self.narrowest is None else min(self.narrowest, widest)


@dataclass(frozen=True)
class Fitted:
    """A table that chooses its columns by the width of the console on which it is printed."""

    columns: Sequence[Column]
    caption: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=self.caption, caption_justify="left")
        chosen = fitting(self.columns, options.max_width)
        for column in chosen:
            table.add_column(
                column.heading,
                justify="right" if column.is_number else "left",
                overflow="fold",
                no_wrap=column.narrowest is None,
                min_width=column.least,
            )
        for row in zip(*(column.cells for column in chosen), strict=True):
            table.add_row(*row)
        yield table


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that fit into a width: without those of the highest ranks."""
    chosen = list(columns)
    while sum(column.least + GAP for column in chosen) - GAP > width:
        last = max(chosen, key=lambda column: column.rank)
        if last.rank == 0:
            break
        chosen.remove(last)
    return chosen


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], gap: int = 1) -> list[str]:
    """Return lines of plain text: names at the left, and numbers below their whole headings."""
    widths = [max(map(cell_len, cells)) for cells in zip(header, *rows, strict=True)]
    align: list[Callable[[str, int], str]] = [str.ljust, *[str.rjust] * (len(widths) - 1)]
    return [
        (" " * gap).join(put(cell, wide) for put, cell, wide in zip(align, row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: 1 track, 2 tracks."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
