"""Measure `fervid batch`: clips per second, the gain from a second process, overhead per clip, memory.

    python benchmarks/batch.py --clips 1000 --model default
    python benchmarks/batch.py --clips 100 --jobs 1,2 --keep results/

Clips are cut from the example clip, two seconds each, with different bytes. Overhead is the time of a clip in
a batch besides decoding, faces and networks: planning, hashing, cache, stitching, outputs and the journal,
but not the pipe between processes. It is measured as elapsed time and as CPU time, which a busy machine
changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS = 2
EVERY = 0.25  # seconds between two samples of the memory
DIRECT = 60  # clips over which the shares are timed

# Times decoding, faces and networks, which any program would need, and the whole batch. Both come from one
# pass, because two passes differ by more than the overhead.
SHARES = """
import json, sys, time
from fervid import execute, model
from fervid.analysis import spans
from fervid.batch import Batch, Request, Results, find_inputs
from fervid.cache import Store
from fervid.types import Settings

name, results, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
inside, running = [0.0, 0.0], []

def clocks():
    return time.perf_counter(), time.process_time()

def timed(function, *arguments):
    if running:  # networks within a span
        return function(*arguments)
    running.append(function)
    begun = clocks()
    try:
        return function(*arguments)
    finally:
        running.pop()
        inside[:] = [sum_ + end - start for sum_, end, start in zip(inside, clocks(), begun)]

def analyze(*arguments, of=spans.analyze):
    steps = of(*arguments)
    while (step := timed(next, steps, None)) is not None:
        yield step

spans.analyze = analyze
model.Model.logits = lambda *arguments, of=model.Model.logits: timed(of, *arguments)
request = Request(("json",), Settings(), name, model.info(name).sha256)
times, folder = [], Results(results)
folder.read()
folder.open()
with execute.serial() as executor:
    for item in find_inputs(paths, None, results).inputs:
        inside[:], begun = [0.0, 0.0], clocks()
        Batch([item], request, folder, executor, Store.default(), 1).run()
        times.append([[end - start for end, start in zip(clocks(), begun)], list(inside)])
folder.close()
print(json.dumps(times))
"""


@dataclass
class Memory:
    """Samples of the resident bytes of a process and of its largest child."""

    parent: list[int] = field(default_factory=list)
    worker: list[int] = field(default_factory=list)

    def share(self, values: list[int], part: slice) -> float | None:
        """Return the mean in MB of a part of the samples."""
        chosen = values[part]
        return round(statistics.mean(chosen) / 1e6, 1) if chosen else None

    def as_json(self) -> dict[str, Any]:
        count = max(1, len(self.parent) // 5)
        first, last = (
            slice(count, 2 * count),
            slice(-2 * count, -count),
        )  # the second fifth and the last but one: without start and end
        return {
            "parent_first_mb": self.share(self.parent, first),
            "parent_last_mb": self.share(self.parent, last),
            "worker_first_mb": self.share(self.worker, first),
            "worker_last_mb": self.share(self.worker, last),
            "worker_peak_mb": round(max(self.worker, default=0) / 1e6, 1),
        }


def resident(process: int) -> int:
    """Return the resident bytes of a process; 0 if it has ended, or the system does not report them."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def cpu_of_children() -> float:
    """Return the CPU seconds of all ended children and their descendants."""
    times = os.times()
    return times.children_user + times.children_system


def children(process: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        if parent == process:
            yield int(path.parent.name)


@contextmanager
def watched(process: int) -> Iterator[Memory]:
    """Sample the memory of a process and its children while the block runs."""
    memory, stop = Memory(), threading.Event()

    def sample() -> None:
        while not stop.wait(EVERY):
            memory.parent.append(resident(process))
            memory.worker.append(max(map(resident, children(process)), default=0))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield memory
    finally:
        stop.set()
        thread.join()


def make_clips(folder: Path, count: int, source: Path) -> list[Path]:
    """Write clips of two seconds with copied packets, and make the bytes of each different."""
    import av

    pieces: list[bytes] = []
    with av.open(str(source)) as film:
        stream = film.streams.video[0]
        packets = [packet for packet in film.demux(stream) if packet.size]
    assert stream.time_base is not None
    length = round(SECONDS / stream.time_base)
    starts = [packet.pts for packet in packets if packet.is_keyframe and packet.pts is not None]
    for start in [at for at in starts if at + length <= (packets[-1].pts or 0)] or starts[:1]:
        path = folder / "piece.mp4"
        with av.open(str(source)) as film, av.open(str(path), "w") as out:
            own = film.streams.video[0]
            target = out.add_stream_from_template(own)
            for packet in film.demux(own):
                if packet.pts is None or not start <= packet.pts < start + length:
                    continue
                packet.pts -= start
                packet.dts = None if packet.dts is None else packet.dts - start
                packet.stream = target
                out.mux(packet)
        pieces.append(path.read_bytes())
        path.unlink()
    clips = []
    for number in range(count):
        path = folder / f"{number // 100:03}" / f"{number:06}.mp4"
        path.parent.mkdir(exist_ok=True)
        # A free box at the end, which decoders ignore.
        path.write_bytes(pieces[number % len(pieces)] + b"\0\0\0\x0cfree" + number.to_bytes(4, "big"))
        clips.append(path)
    return clips


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "FERVID_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}


def batch(clips: Path, results: Path, cache: Path, model: str, jobs: int) -> dict[str, Any]:
    """Run a whole batch in its own process, and return its figures."""
    line = [sys.executable, "-m", "fervid", "batch", str(clips), "-o", str(results), "--model", model]
    begun, busy = time.perf_counter(), cpu_of_children()
    first: float | None = None
    last: dict[str, Any] = {}
    with subprocess.Popen(
        [*line, "--jobs", str(jobs), "--progress", "json"],
        env=environment(cache),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        with watched(process.pid) as memory:
            for text in process.stderr:
                event = json.loads(text) if text.startswith("{") else sys.exit(text)
                if event["event"] == "input" and first is None:
                    first = time.perf_counter() - begun
                last = event
    if process.returncode != 0:
        sys.exit(f"the batch ended with {process.returncode}")
    wall = time.perf_counter() - begun
    done = int(last["done"])
    # Workers start and load during the first clip, so it does not count.
    pace = (done - 1) / (wall - first) if first is not None and done > 1 and wall > first else None
    return {
        "jobs": jobs,
        "clips": done,
        "seconds": round(wall, 2),
        "cpu_seconds": round(cpu_of_children() - busy, 2),
        "to_first_clip": None if first is None else round(first, 2),
        "clips_per_second": None if pace is None else round(pace, 3),
        "memory": memory.as_json(),
    }


def shares(clips: list[Path], folder: Path, model: str) -> dict[str, float]:
    """Return the milliseconds per clip of decoding, faces and networks, and of the rest."""
    chosen = clips[: min(len(clips), DIRECT + 1)]
    done = subprocess.run(
        [sys.executable, "-c", SHARES, model, str(folder / "shares"), *map(str, chosen)],
        env=environment(folder / "cache"),
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(done.stdout)
    (wall, busy), (wall_inside, busy_inside) = (
        map(statistics.fmean, zip(*column, strict=True))
        for column in zip(*(rows[1:] or rows), strict=True)  # the first one loads the model
    )
    return {
        "needed_ms": round(1000 * wall_inside, 1),
        "needed_cpu_ms": round(1000 * busy_inside, 1),
        "overhead_ms": round(1000 * (wall - wall_inside), 1),
        "overhead_cpu_ms": round(1000 * (busy - busy_inside), 1),
    }


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    clips = make_clips(folder / "clips", args.clips, Path(args.source))
    runs = []
    for jobs in args.jobs:
        results = folder / f"results{jobs}"
        runs.append(batch(folder / "clips", results, folder / "cache", args.model, jobs))
        if args.keep:
            shutil.copytree(results, Path(args.keep) / f"jobs{jobs}")
    paces = {run["jobs"]: run["clips_per_second"] for run in runs}
    figures: dict[str, Any] = {
        "clips": args.clips,
        "seconds_of_video": args.clips * SECONDS,
        "model": args.model,
        "cores": os.cpu_count(),
        "load": [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "runs": runs,
        **shares(clips, folder, args.model),
        "result_bytes_per_clip": round(size_of(folder / f"results{args.jobs[0]}") / args.clips),
        "same_bytes": len({_digest(folder / f"results{jobs}") for jobs in args.jobs}) == 1,
    }
    if paces.get(1) and paces.get(2):
        figures["scaling_2_over_1"] = round(paces[2] / paces[1], 2)
    return figures


def _digest(folder: Path) -> str:
    import hashlib

    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            state.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return state.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=1000, help="number of clips (1000)")
    parser.add_argument("--model", default="default")
    parser.add_argument(
        "--jobs", type=lambda text: [int(number) for number in text.split(",")], default=[1, 2]
    )
    parser.add_argument("--source", default=str(ROOT / "examples" / "clip.mp4"), help="the film to cut from")
    parser.add_argument("--keep", metavar="DIR", help="keep the results here")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fervid-bench-") as name:
        folder = Path(name)
        (folder / "clips").mkdir()
        figures = measure(args, folder)
    if args.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{figures['clips']} clips of {SECONDS} s, model {args.model}, load {figures['load']}")
    for run in figures["runs"]:
        print(
            f"  {run['jobs']} process(es): {run['clips_per_second']} clips/s, first after "
            f"{run['to_first_clip']} s, {run['seconds']} s in all; MB {run['memory']}"
        )
    print(
        f"  decoding, faces and networks of a clip: {figures['needed_ms']} ms; everything else in a batch: "
        f"{figures['overhead_ms']} ms, {figures['overhead_cpu_ms']} ms of CPU time"
    )
    print(f"  2 over 1: {figures.get('scaling_2_over_1')}; same bytes: {figures['same_bytes']}")
    print(f"  results: {figures['result_bytes_per_clip']} bytes per clip")


if __name__ == "__main__":
    main()
