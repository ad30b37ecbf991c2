"""The progress of a batch: its totals, shown by a bar, or as lines of JSON for programs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fervid.cli.shared.messages import Bar, Messages, log
from fervid.files import display_name, encodable
from fervid.times import format_duration

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from fervid.batch import Event, Input, Record

EVERY = 1.0  # seconds between two lines of progress, at least
NAMES = 2  # files in flight that the bar names


@dataclass
class BatchProgress:
    """The totals of a batch so far; inputs are weighed by size, those of unknown size by the mean size."""

    inputs: Sequence[Input]
    done: int = 0
    skipped: int = 0
    failed: int = 0
    faceless: int = 0
    seconds: float = 0.0  # of video that was analyzed in this run
    spans: int = 0
    reused: int = 0  # of those, done by an earlier run
    in_flight: dict[int, float] = field(default_factory=dict)  # index -> share
    began: float = field(default_factory=time.monotonic)
    _weight: float = 0.0
    _skipped_weight: float = 0.0

    def __post_init__(self) -> None:
        known = [item.size for item in self.inputs if item.size]
        self._mean = sum(known) / len(known) if known else 1.0
        self._total = sum(map(self._weigh, self.inputs))

    def _weigh(self, item: Input) -> float:
        return item.size or self._mean

    def take(self, event: Event) -> None:
        """Count an event."""
        from fervid.batch import Ended

        if not isinstance(event, Ended):
            # A long input begins again with all workers.
            self.in_flight[event.index] = max(self.in_flight.get(event.index, 0.0), event.done)
        else:
            self.in_flight.pop(event.index, None)
            weight = self._weigh(self.inputs[event.index])
            self._weight += weight
            self._count(event.record, event.is_skipped, event.reused, weight)

    def _count(self, record: Record, is_skipped: bool, reused: int, weight: float) -> None:
        if not record.is_done:
            self.failed += 1
            self._skipped_weight += weight
            return
        self.faceless += record.scores is None
        if is_skipped:
            self.skipped += 1
            self._skipped_weight += weight
        else:
            self.done += 1
            self.seconds += record.seconds or 0.0
            self.spans += record.spans or 0
            self.reused += reused

    @property
    def busy(self) -> list[int]:
        """The indices of the inputs in progress."""
        return [index for index, share in self.in_flight.items() if share < 1]

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    @property
    def share(self) -> float:
        """The share of the batch that is done."""
        flying = sum(share * self._weigh(self.inputs[index]) for index, share in self.in_flight.items())
        return min(1.0, (self._weight + flying) / self._total) if self._total else 1.0

    @property
    def speed(self) -> float | None:
        """Seconds of video per second."""
        return self.seconds / self.elapsed if self.seconds and self.elapsed else None

    @property
    def left(self) -> float | None:
        """The estimated seconds to the end; skipped inputs do not count for the speed."""
        skipped = self._skipped_weight / self._total if self._total else 0.0
        worked = self.share - skipped
        return self.elapsed * (1 - self.share) / worked if worked > 0.001 else None

    def as_json(self) -> dict[str, Any]:
        left, speed = self.left, self.speed
        return {
            "done": self.done,
            "skipped": self.skipped,
            "failed": self.failed,
            "of": len(self.inputs),
            "share": round(self.share, 4),
            "in_flight": [encodable(self.inputs[index].name) for index in self.busy],
            "speed": None if speed is None else round(speed, 3),
            "elapsed": round(self.elapsed, 1),
            "seconds_left": None if left is None else round(left, 1),
            "spans": self.spans,
            "reused": self.reused,
        }


class BarView:
    """A view that shows events on a progress bar, and prints failures at once."""

    def __init__(self, messages: Messages, inputs: Sequence[Input], bar: Bar) -> None:
        self.messages, self.progress, self.bar = messages, BatchProgress(inputs), bar

    def __call__(self, event: Event) -> None:
        from fervid.batch import Ended

        self.progress.take(event)
        if isinstance(event, Ended) and not event.record.is_done:
            log.error("%s", event.record.error)
        progress = self.progress
        names = [display_name(os.path.basename(progress.inputs[index].name)) for index in progress.busy]
        more = f" +{len(names) - NAMES}" if len(names) > NAMES else ""
        self.bar.show(
            completed=progress.share,
            count=f"{progress.done + progress.skipped + progress.failed}/{len(progress.inputs)}",
            failed=f"{progress.failed} failed" if progress.failed else "",
            speed="" if progress.speed is None else f"{progress.speed:.1f}x",
            left="" if progress.left is None else f"{format_duration(progress.left)} left",
            names=", ".join(names[:NAMES]) + more,
        )


class JsonView:
    """A view that prints events, failures too, as lines of JSON on standard error."""

    def __init__(self, messages: Messages, inputs: Sequence[Input]) -> None:
        self.messages, self.progress, self._shown = messages, BatchProgress(inputs), 0.0

    def line(self, kind: str, **facts: Any) -> None:
        """Write one line."""
        self.messages.say(json.dumps({"event": kind, **facts}))

    def __call__(self, event: Event) -> None:
        from fervid.batch import Ended

        self.progress.take(event)
        if isinstance(event, Ended):
            record = event.record
            status = "skipped" if event.is_skipped else record.status
            self.line("input", input=record.input, status=status, error=record.error, seconds=record.seconds)
        now = time.monotonic()
        if now - self._shown >= EVERY:
            self._shown = now
            self.line("progress", **self.progress.as_json())


@contextmanager
def shown_progress(
    messages: Messages, inputs: Sequence[Input], form: str | None
) -> Iterator[BarView | JsonView]:
    """Show the progress of a batch while the block runs: as JSON if `form` is json, else by a bar."""
    if form == "json":
        lines = JsonView(messages, inputs)
        lines.line("begin", inputs=len(inputs))
        yield lines
        lines.line("end", **lines.progress.as_json())
        return
    values = dict.fromkeys(("count", "failed", "speed", "left", "names"), "")
    with messages.bar("", _columns, total=1.0, **values) as bar:
        yield BarView(messages, inputs, bar)


def _columns() -> list[ProgressColumn]:
    from rich.progress import BarColumn, TextColumn

    return [
        TextColumn("{task.fields[count]}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[speed]}", style="progress.data.speed"),
        TextColumn("{task.fields[left]}", style="progress.remaining"),
        TextColumn("{task.fields[failed]}", style="red"),
        TextColumn("{task.fields[names]}", markup=False, style="dim"),
    ]
