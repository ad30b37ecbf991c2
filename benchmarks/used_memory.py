"""The peak memory of a process and its descendants, from /proc."""

from __future__ import annotations

import os
import threading
from pathlib import Path

SAMPLE_EVERY = 0.05  # seconds between two samples
PROCESSES = Path("/proc")


class Memory:
    """The peak memory of a process and its descendants, sampled while the block runs.

    It is the sum of their private memory, plus once the largest shared memory (shared or mapped from files),
    which is nearly always the same libraries. PSS would be exact, but takes milliseconds per process.
    """

    def __init__(self, process: int) -> None:
        self._process = process
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._sample_repeatedly, daemon=True)
        self.is_measured = (PROCESSES / f"self/task/{os.getpid()}/children").exists()
        self.peak, self.processes = 0, 0

    def __enter__(self) -> Memory:
        if self.is_measured:
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self.is_measured:
            self._watch.join()

    def _sample_repeatedly(self) -> None:
        while not self._is_over.wait(SAMPLE_EVERY):
            sizes = [size for number in family(self._process) if (size := size_of(number)) is not None]
            if sizes:
                total = sum(private for private, _ in sizes) + max(shared for _, shared in sizes)
                self.peak = max(self.peak, total)
                self.processes = max(self.processes, len(sizes))


def family(process: int) -> list[int]:
    """Return a process and all its descendants."""
    members, unseen = [], [process]
    while unseen:
        member = unseen.pop()
        members.append(member)
        try:
            for thread in os.listdir(PROCESSES / str(member) / "task"):
                children = (PROCESSES / f"{member}/task/{thread}/children").read_text(encoding="ascii")
                unseen += map(int, children.split())
        except OSError:  # it has ended
            continue
    return members


def size_of(process: int) -> tuple[int, int] | None:
    """Return the bytes of a process's private and of its shared or mapped memory; None once it has ended."""
    try:
        resident, shared = map(int, (PROCESSES / f"{process}/statm").read_text(encoding="ascii").split()[1:3])
    except (OSError, ValueError):  # the file became empty while it was read
        return None
    page = os.sysconf("SC_PAGE_SIZE")
    return (resident - shared) * page, shared * page
