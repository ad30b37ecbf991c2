"""Streams of decoded frames: in groups, for several spans (`Shared`), with the last one kept (`Watched`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from fervid.types import Frame


def in_groups(frames: Iterator[Frame], count: int) -> Iterator[Frame]:
    """Yield the same frames, of which `count` are decoded at once."""
    while group := deque(islice(frames, count)):
        while group:
            yield group.popleft()


class Shared:
    """One stream of frames for several overlapping ranges; it keeps a frame until every reader has it."""

    def __init__(self, frames: Iterator[Frame], ranges: Iterable[tuple[int, int | None]]) -> None:
        self._frames = frames
        self._waiting: list[deque[Frame]] = []
        self._ahead: deque[tuple[int, int | None, deque[Frame]]] = deque()  # ranges that are not over
        for low, high in ranges:
            self._waiting.append(deque())
            self._ahead.append((low, high, self._waiting[-1]))

    def has(self, index: int) -> bool:
        """Return whether a frame is ready for the reader of this range."""
        return index < len(self._waiting) and bool(self._waiting[index])

    def read(self, index: int) -> Iterator[Frame]:
        """Yield the frames of a range."""
        waiting = self._waiting[index]
        while waiting or self._pull(waiting):
            yield waiting.popleft()

    def _pull(self, waiting: deque[Frame]) -> bool:
        """Decode until this reader has a frame; return False at the end of its range."""
        while not waiting and any(queue is waiting for _, _, queue in self._ahead):
            frame = next(self._frames, None)
            while self._ahead and (frame is None or _is_past(frame.pts, self._ahead[0][1])):
                self._ahead.popleft()
            for low, _, queue in self._ahead:
                if frame is None or frame.pts < low:
                    break
                queue.append(frame)
        return bool(waiting)


def _is_past(pts: int, high: int | None) -> bool:
    return high is not None and pts >= high


class Watched:
    """A stream of frames that keeps the last frame until the next one is read."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self.last: Frame | None = None

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        self.last = None
        self.last = next(self._frames)
        return self.last
