"""The terminal view of `fervid live`: each face's expression now and in the last seconds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from fervid.cli.shared.inputs import video_label
from fervid.cli.shared.messages import Messages
from fervid.files import display_name
from fervid.times import format_seconds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from fervid.live.events import Event, LiveFace, LiveFrame
    from fervid.types import Source

EVERY = 0.125  # seconds between two pictures of the view
CELL = 0.25  # seconds of a cell of a band
CELLS = 60  # of a band: the last 15 seconds
GONE = 5.0  # seconds after which a face that left is no longer shown
MOST = 12  # faces
BAR = 10  # cells of a score


@dataclass
class _Row:
    """A face of the view."""

    face: LiveFace
    seen: float  # seconds of the stream
    marks: deque[str] = field(default_factory=lambda: deque(maxlen=CELLS))


class View:
    """Collects events and draws them; without a console its methods do nothing."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._source: Source | None = None
        self._labels: Sequence[str] = ()
        self._rows: dict[int, _Row] = {}
        self._seconds = self._latency = 0.0
        self._frames = self._dropped = 0
        self._began = time.monotonic()
        self._lock = Lock()  # a thread draws while events come
        self.note = ""

    def show(self, event: Event) -> None:
        """Take an event."""
        if self._console is not None:
            with self._lock:
                self._show(event)

    def _show(self, event: Event) -> None:
        from fervid.live.events import Begun, Gap, LiveFrame

        if isinstance(event, Begun):
            self._source, self._labels, self._began = event.video, event.model.labels, time.monotonic()
        elif isinstance(event, Gap):
            self.note, self._rows = event.reason, {}
        elif isinstance(event, LiveFrame):
            self.note = ""
            self._take(event)

    def _take(self, event: LiveFrame) -> None:
        from fervid.cli.show import UNREADABLE_MARK, letters, uncertain
        from fervid.types import CERTAIN, READABLE

        assert self._source is not None
        before, self._seconds = self._seconds, self._source.seconds(event.pts)
        self._latency, self._frames = event.latency, self._frames + 1
        self._dropped += event.dropped
        marks = letters(self._labels)
        for face in event.faces:
            row = self._rows.setdefault(face.track, _Row(face, self._seconds))
            row.face, row.seen = face, self._seconds
        if int(self._seconds / CELL) > int(before / CELL):
            for row in self._rows.values():
                is_readable = row.seen == self._seconds and row.face.quality >= READABLE
                gone = " " if row.seen < self._seconds else UNREADABLE_MARK
                mark = marks[int(row.face.scores.argmax())] if is_readable else gone
                row.marks.append(uncertain(mark) if is_readable and row.face.scores.max() < CERTAIN else mark)
        for track in [track for track, row in self._rows.items() if self._seconds - row.seen > GONE]:
            del self._rows[track]

    def draw(self) -> Text:
        """Return the view."""
        from rich.text import Text

        with self._lock:
            return Text("\n").join(self._lines())

    def _lines(self) -> Iterator[Text]:
        from rich.text import Text

        if self._source is None:
            yield Text(self.note or "waiting for the first frame")
            return
        speed = self._frames / max(time.monotonic() - self._began, 1e-3)
        size = f"{self._source.width}x{self._source.height}"
        yield Text(f"{video_label(self._source.name)}  {size}  {format_seconds(self._seconds)}", style="bold")
        yield Text(
            f"{speed:.1f} frames a second, {self._dropped} dropped, latency {self._latency:.2f} s"
            + (f"; {display_name(self.note)}" if self.note else "")
        )
        rows = sorted(self._rows.items())
        for track, row in rows[:MOST]:
            yield self._line(track, row)
        if len(rows) > MOST:
            yield Text(f"and {len(rows) - MOST} more faces")
        if not rows:
            yield Text("no face")

    def _line(self, track: int, row: _Row) -> Text:
        from rich.text import Text

        from fervid.cli.show import UNCERTAIN_BLOCK, brush, letters, styles
        from fervid.types import CERTAIN, READABLE

        assert self._console is not None
        pens = styles(self._labels) if self._console.color_system and not self._console.no_color else {}
        marks, best = letters(self._labels), int(row.face.scores.argmax())
        line = Text(f"{track:4}  ")
        if row.face.quality >= READABLE:
            share = float(row.face.scores[best])
            full = round(share * BAR)
            line.append(f"{self._labels[best]:<10} {share:4.0%} ")
            block = "█" if share >= CERTAIN else UNCERTAIN_BLOCK
            line.append(block * full + "·" * (BAR - full), pens.get(marks[best]))
        else:
            line.append(f"{'unreadable':<10} {'':4} {'·' * BAR}")
        line.append("  ")
        for mark in row.marks:
            line.append(brush(mark, pens), pens.get(mark))
        line.truncate(max(1, self._console.width - 1))
        return line


@contextmanager
def opened_view(messages: Messages, is_wanted: bool) -> Iterator[View]:
    """Show a view on standard error during the block."""
    if not is_wanted:
        yield View()
        return
    from rich.live import Live

    view = View(messages.console)
    with Live(
        console=messages.console,
        get_renderable=view.draw,
        refresh_per_second=1 / EVERY,
        redirect_stdout=False,  # lines go to standard output
        redirect_stderr=False,
    ):
        yield view
