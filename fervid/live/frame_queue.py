"""The queue of frames that wait for analysis, and the thread that reads them.

A camera cannot wait. At most MOST frames are in the queue; when another comes, the oldest is dropped. So a
frame is never more than MOST frames late when its analysis begins, however slow the analysis is, and the
frames that are analyzed are spread evenly.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from threading import Condition, Event, Thread

from fervid.errors import InputError
from fervid.video.feed import Arrival, Feed

MOST = 8  # frames that wait: 0.32 s at 25 frames a second, the time that the networks of some faces take
SLICE = 0.1  # seconds after which to check again whether to stop
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before a broken feed is opened again; each pause doubles


@dataclass(frozen=True)
class FeedEnd:
    """The end of the feed, or of one of its sessions."""

    error: Exception | None = None  # None: it ended by itself
    is_final: bool = True  # False: the feed will be opened again


class FrameQueue:
    """A queue of frames between the thread that reads and the thread that analyzes."""

    def __init__(self, stopped: Event, drops: bool = True, most: int = MOST) -> None:
        self._stopped, self._drops, self._most = stopped, drops, most
        self._items: deque[Arrival | FeedEnd] = deque()
        self._changed = Condition()
        self.dropped = 0
        self.deepest = 0  # the most frames that have waited

    def put(self, item: Arrival | FeedEnd) -> None:
        """Add a frame: drop the oldest if too many wait, or wait for the analysis if none may be dropped."""
        with self._changed:
            while not self._drops and len(self._items) >= self._most and not self._stopped.is_set():
                self._changed.wait(SLICE)
            self._items.append(item)
            arrivals = [other for other in self._items if isinstance(other, Arrival)]
            if self._drops and len(arrivals) > self._most:
                self._items.remove(arrivals[0])
                self.dropped += 1
            self.deepest = max(self.deepest, len(self._items))
            self._changed.notify_all()

    def take(self, patience: float) -> Arrival | FeedEnd | None:
        """Return the oldest frame or the end; None after `patience` seconds without any, or when stopped."""
        limit = time.monotonic() + patience
        with self._changed:
            while not self._items:
                left = limit - time.monotonic()
                if left <= 0 or self._stopped.is_set():
                    return None
                self._changed.wait(min(left, SLICE))
            item = self._items.popleft()
            self._changed.notify_all()
            return item


class Reader:
    """The thread that reads a feed into the queue, and opens the feed again if it breaks."""

    def __init__(self, feed: Feed, queue: FrameQueue, stopped: Event, reconnect: int) -> None:
        self._feed, self._queue, self._stopped, self._reconnect = feed, queue, stopped, reconnect
        # A daemon: a device that does not answer must not keep the program from ending.
        self._thread = Thread(target=self._work, name="reader", daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(1.0)

    def _work(self) -> None:
        tries = 0
        while not self._stopped.is_set():
            before = self._feed.count
            try:
                for arrival in self._feed.session():
                    self._queue.put(arrival)
            except Exception as error:  # the other thread raises it
                tries = 0 if self._feed.count > before else tries
                # A feed that never had a picture is an error: its name or its settings are wrong.
                can_try = isinstance(error, InputError) and self._feed.origin.can_reopen
                can_try = can_try and self._feed.count > 0 and tries < self._reconnect
                self._queue.put(FeedEnd(error, is_final=not can_try))
                if not can_try:
                    return
                self._stopped.wait(min(FIRST_PAUSE * 2**tries, LONGEST_PAUSE))
                tries += 1
            else:
                self._queue.put(FeedEnd())
                return
