"""Run fervid for hours under all kinds of trouble, and check that nothing grows and nothing is left.

    python benchmarks/soak.py --hours H [--continue] [--folder DIR] [--turn T]... INPUT...

Turns follow each other: batches and single runs of good and bad files, here and on a Dask cluster,
with kills, a jumping clock, a deleted cache, stopped workers, a server that hangs, and a full disk. After
each, every file must be that of an undisturbed run, and no process and no temporary file left. Memory,
descriptors and threads are those of the processes that stay for the whole time. The state is kept in a
folder: --continue resumes from it, and adds up the hours.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import soak_turns
from soak_turns import LEAVE_WITHIN, TURNS, Stage

HOUR = 3600.0
COLUMNS = ("memory", "descriptors", "threads", "temporary files", "cache bytes")
# More than this in the last hour than in the first one is growth: a share, and an amount.
ALLOWED = {
    "memory": (0.25, 50 << 20),
    "descriptors": (0.0, 8),
    "threads": (0.0, 8),
    "temporary files": (0.0, 8),
}
BAD = {"text.mp4": b"hello", "empty.mp4": b""}


@dataclass
class State:
    """The progress of a soak, which is kept on the disk."""

    seconds: float = 0.0
    turns: dict[str, int] = field(default_factory=dict)
    hours: list[dict[str, int]] = field(default_factory=list)  # the largest figures of each hour
    interruptions: int = 0
    skipped: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, turn: str, seconds: float, figures: dict[str, int]) -> None:
        """Add a turn to the hour in which it ended."""
        self.seconds += seconds
        self.turns[turn] = self.turns.get(turn, 0) + 1
        while len(self.hours) <= self.seconds // HOUR:
            self.hours.append({"turns": 0})
        hour = self.hours[int(self.seconds // HOUR)]
        hour["turns"] += 1
        hour.update({name: max(hour.get(name, 0), figure) for name, figure in figures.items()})

    def growth(self) -> Iterator[str]:
        """Yield the figures that are larger in the last hour than in the first."""
        full = [hour for hour in self.hours if "memory" in hour]
        for name, (share, amount) in ALLOWED.items() if len(full) > 1 else ():
            first, last = full[0][name], full[-1][name]
            if last > first * (1 + share) + amount:
                yield f"{name} has grown from {first} to {last}"

    def save(self, path: Path) -> None:
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1))
        part.replace(path)


def soak(stage: Stage, state: State, path: Path, turns: list[str], hours: float) -> None:
    """Run rounds of turns until the hours are full; the first round warms up, its figures do not count."""
    for is_warm in chain((False,), repeat(True)):
        for name in turns:
            began = time.monotonic()
            faults = run(stage, name)
            seconds = time.monotonic() - began
            moment = f"{state.seconds / HOUR:.2f} h, {name}"
            state.faults += [f"{moment}: {fault}" for fault in faults]
            state.add(name, seconds, measure(stage) if is_warm else {})
            state.skipped = sorted({*state.skipped, *stage.skipped})
            state.save(path)
        if is_warm and state.seconds >= hours * HOUR:
            return


def run(stage: Stage, name: str) -> list[str]:
    """Run one turn in empty folders; return its faults, with what it has left."""
    stage.results.mkdir()
    faults = list(TURNS[name](stage))
    faults += left(stage)
    shutil.rmtree(stage.results)
    return faults


def left(stage: Stage) -> Iterator[str]:
    """Yield the things that a turn has left: processes, temporary files, spans."""
    staying = {process for top in stage.staying.values() for process in soak_turns.family(top)}
    until = time.monotonic() + LEAVE_WITHIN
    while (others := set(soak_turns.marked(stage.folder)) - staying) and time.monotonic() < until:
        time.sleep(0.1)
    for process in others:
        yield f"process {process} is left"
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for folder in (stage.temporary, stage.cache):
        for path in folder.iterdir() if folder.is_dir() else ():
            yield f"{path.relative_to(stage.folder)} is left"
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def measure(stage: Stage) -> dict[str, int]:
    """Return the figures of the processes that stay, and of the folders."""
    memory = descriptors = threads = 0
    for process in {process for top in stage.staying.values() for process in soak_turns.family(top)}:
        folder = Path("/proc", str(process))
        with suppress(OSError):
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
            memory += int(status["VmRSS"].split()[0]) << 10
            threads += int(status["Threads"])
            descriptors += len(os.listdir(folder / "fd"))
    files = [path for top in (stage.temporary, stage.dask) for path in top.rglob("*") if path.is_file()]
    cache = sum(path.stat().st_size for path in stage.cache.rglob("*") if path.is_file())
    return dict(zip(COLUMNS, (memory, descriptors, threads, len(files), cache), strict=True))


def prepare(stage: Stage) -> None:
    """Run a batch undisturbed, for the bytes to compare with, in empty folders."""
    soak_turns.end(stage.folder)  # of a soak that was killed
    while (stage.folder / "disk").is_mount():
        subprocess.run(["umount", str(stage.folder / "disk")], check=True)
    for folder in (stage.results, stage.cache, stage.temporary, stage.dask):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (stage.results, stage.temporary, stage.dask):
        folder.mkdir()
    faults = list(soak_turns.batch(stage))
    stage.expected = soak_turns.contents(stage.results)
    if any("exit code" in fault for fault in faults) or not stage.expected:
        raise SystemExit(f"fervid fails even without trouble: {faults[0]}")
    shutil.rmtree(stage.results)


def prepare_singles(stage: Stage) -> None:
    """Analyze each good file undisturbed, for the bytes to compare with."""
    singles = stage.folder / "singles"
    singles.mkdir(exist_ok=True)
    for path in stage.good:
        output = singles / f"{path.name}.json"
        words = ["-q", "analyze", str(path), "-y", "-t", str(output), "--model", stage.model]
        if stage.finish(stage.start(words))[0]:
            raise SystemExit(f"fervid fails even without trouble: {path}")
    stage.singles = soak_turns.contents(singles)


def table(state: State) -> list[str]:
    """Return the figures as a table, with the faults."""
    rows = [["hour", "turns", "memory (MB)", *COLUMNS[1:]]]
    for number, hour in enumerate(state.hours, 1):
        figures = [hour.get(name, 0) for name in COLUMNS]
        rows.append([str(number), str(hour["turns"]), f"{figures[0] / 1e6:.0f}", *map(str, figures[1:])])
    turns = ", ".join(f"{count} {name}" for name, count in state.turns.items())
    return [
        f"{state.seconds / HOUR:.2f} hours, {state.interruptions} interruptions; turns: {turns}",
        *("| " + " | ".join(row) + " |" for row in rows),
        *(f"skipped: {reason}" for reason in state.skipped),
        *(state.faults + list(state.growth()) or ["nothing grows, nothing is left, every byte is the same"]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="short clips")
    parser.add_argument("--hours", type=float, required=True, help="hours in all; 0: two rounds of the turns")
    parser.add_argument(
        "--continue", action="store_true", dest="goes_on", help="go on with the folder's state"
    )
    parser.add_argument("--folder", type=Path, default=Path("soak-state"), help="of the state [soak-state]")
    parser.add_argument("--turn", choices=TURNS, action="append", help="only these turns")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments [0]")
    parser.add_argument("--model", default="untrained", help="a model's name or path [untrained]")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not Path("/proc/self/stat").is_file():
        parser.error("this system has no /proc, which is needed to find processes")
    if importlib.util.find_spec("fervid") is None:
        parser.error("fervid is not installed for this Python: pip install .")
    folder = options.folder.resolve()
    path = folder / "state.json"
    if path.exists() and not options.goes_on:
        parser.error(f"{path} exists: use --continue, or another --folder")
    folder.mkdir(parents=True, exist_ok=True)
    state = State()
    if path.exists():
        state = State(**json.loads(path.read_text()))
        state.interruptions += 1
    bad = [folder / name for name in BAD]
    for file in bad:
        file.write_bytes(BAD[file.name])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process stays
    with ExitStack() as stack:
        stack.callback(soak_turns.end, folder)
        good = [file.resolve() for file in options.inputs]
        stage = Stage(folder, good, bad, options.model, random.Random(options.seed), stack)
        prepare(stage)
        prepare_singles(stage)
        soak(stage, state, path, options.turn or list(TURNS), options.hours)
    figures: dict[str, Any] = {**asdict(state), "growth": list(state.growth())}
    print(json.dumps(figures, indent=1) if options.json else "\n".join(table(state)))
    sys.exit(1 if state.faults or list(state.growth()) else 0)


if __name__ == "__main__":
    main()
