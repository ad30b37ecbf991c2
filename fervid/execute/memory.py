"""The memory that is free, and how many worker processes fit into it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from fervid.execute.serial import cores

PER_WORKER = 600 << 20  # bytes: the peak of a worker with the default model (docs/batches.md)
MEMORY = Path("/proc/meminfo")
GROUP = Path("/proc/self/cgroup")  # the name of the process's control group, which may have a limit
GROUPS = Path("/sys/fs/cgroup")

log = logging.getLogger("fervid")


def worker_count(jobs: int | None) -> int:
    """Return how many workers to start: `jobs`, or one per core, but no more than there is memory for."""
    wanted, room = cores() if jobs is None else jobs, free_bytes()
    most = wanted if room is None else max(1, room // PER_WORKER)
    if most >= wanted or room is None:
        return wanted
    log.log(
        logging.INFO if jobs is None else logging.WARNING,
        "%d workers need about %.1f GB of memory, and %.1f GB are free: fervid starts %d",
        wanted,
        wanted * PER_WORKER / 1e9,
        room / 1e9,
        most,
    )
    return most


def free_bytes() -> int | None:
    """Return the bytes of memory that processes may still take, None if unknown."""
    if not sys.platform.startswith("linux"):
        try:  # all memory: how much of it is free takes other libraries
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None
    try:
        available = _values(MEMORY)["MemAvailable"] << 10
    except (OSError, KeyError):
        return None
    return min([available, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Yield the bytes that are left of the limits of the process's control group and those above it."""
    try:
        names = [line.split(":", 2) for line in GROUP.read_text("utf-8").splitlines()]
    except OSError:
        return
    for number, kinds, name in (parts for parts in names if len(parts) == 3):
        if number == "0":  # version 2
            top, files = GROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in kinds.split(","):
            top = GROUPS / "memory"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = top / name.lstrip("/")
        for group in [folder, *folder.parents]:
            if group.is_relative_to(top):
                yield from _left(group, *files)


def _left(group: Path, limit: str, used: str, cached: str) -> Iterator[int]:
    try:
        most, now = int((group / limit).read_text()), int((group / used).read_text())
        yield max(0, most - now + _values(group / "memory.stat").get(cached, 0))
    except (OSError, ValueError):  # no such group is visible here, or it has no limit ("max")
        return


def _values(path: Path) -> dict[str, int]:
    """Return the numbers of a file with a name and a number per line."""
    rows = [line.replace(":", " ").split() for line in path.read_text("utf-8").splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
