"""Measure what it costs a batch that its results survive a power failure.

    python benchmarks/syncs.py [--folder DIR] [--records N]

It writes records of a batch, each with one output, in turn with and without syncing anything to the disk, and
prints the milliseconds per record and their ratio. They depend on the disk of the folder.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from fervid.batch import Input, Record, Results

BYTES = 5000  # of an output: JSON of a clip of five seconds
ROUNDS = 4


def seconds(folder: Path, records: int, sync: Callable[[int], object]) -> float:
    """Return the seconds that a record takes."""
    content = bytes(BYTES)
    with tempfile.TemporaryDirectory(dir=folder) as name, patch("os.fsync", sync):
        results = Results(name)
        results.open()
        begin = time.perf_counter()
        for index in range(records):
            item = Input(f"/{index}", str(index), f"films/{index}")
            results.save(item, Record(str(index), "done"), {"json": lambda s: s.write(content)}, "")
        taken = time.perf_counter() - begin
        results.close()
    return taken / records


def main() -> None:
    """Measure in turn, and print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(), help="where to write; default: here")
    parser.add_argument("--records", type=int, default=100, help="per round; default: %(default)s")
    options = parser.parse_args()
    sync, none = os.fsync, lambda _: None
    pairs = [
        (seconds(options.folder, options.records, sync), seconds(options.folder, options.records, none))
        for _ in range(ROUNDS)
    ]
    synced, plain = (min(times) * 1000 for times in zip(*pairs, strict=True))
    print(f"with syncs {synced:.1f} ms per record, without {plain:.1f} ms: a ratio of {synced / plain:.1f}")


if __name__ == "__main__":
    main()
