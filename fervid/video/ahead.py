"""A generator that runs in a thread, ahead of the code that uses its items."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Generator[Item], count: int) -> Generator[Item]:
    """Yield the items of a generator in order, while a thread computes up to `count` further ones.

    Decoding, drawing and encoding release Python's lock, so that they run at the same time. Close this
    generator, and the thread ends. With a count of 0 there is no thread.
    """
    if not count:
        yield from items
        return
    thread, end = ThreadPoolExecutor(1), object()
    try:
        waiting = deque(thread.submit(next, items, end) for _ in range(count))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(thread.submit(next, items, end))
            yield item  # type: ignore[misc]
    finally:
        thread.shutdown(cancel_futures=True)
        items.close()
