"""Measure how long short commands take, compared with importing torch.

    python benchmarks/startup.py CLIP [--model M] [--runs N] [--json]

Each round runs every command once, in its own process, so that all are measured under the same load.
README.md in this folder explains each figure.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

UNIT = 'python -c "import torch"'  # 1 in the ratios


@dataclass(frozen=True)
class Spent:
    """The seconds of one process."""

    elapsed: float
    cpu: float  # user and system, of all its threads and child processes


def run(command: list[str]) -> Spent:
    """Run a command, and return its time from start to exit."""
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    elapsed, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Spent(elapsed, cpu)


def commands(clip: Path, model: str, folder: Path) -> dict[str, list[str]]:
    """Return what is measured; the analysis writes the timeline that `peaks` reads."""
    # -P: import the same fervid as this process, in any working folder.
    fervid = [sys.executable, "-P", "-m", "fervid"]
    timeline = str(folder / "timeline.json")
    return {
        UNIT: [sys.executable, "-P", "-c", "import torch"],
        "fervid analyze CLIP": [
            *fervid,
            "analyze",
            str(clip),
            "--model",
            model,
            "-t",
            timeline,
            "--no-cache",
            "-y",
        ],
        "fervid peaks TIMELINE": [*fervid, "peaks", timeline],
        "fervid --help": [*fervid, "--help"],
    }


def measure(clip: Path, model: str, runs: int) -> dict[str, list[Spent]]:
    """Run every command `runs` times, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = commands(clip, model, Path(folder))
        for command in chosen.values():  # once unmeasured: the files are in memory afterwards
            run(command)
        spent: dict[str, list[Spent]] = {name: [] for name in chosen}
        for _ in range(runs):
            for name, command in chosen.items():
                spent[name].append(run(command))
    return spent


def summarize(spent: dict[str, list[Spent]]) -> dict[str, dict[str, float]]:
    """Return the median seconds of each command, and the median over the rounds of its ratio to the unit."""
    figures = {}
    for name, rounds in spent.items():
        pairs = list(zip(rounds, spent[UNIT], strict=True))
        figures[name] = {
            "seconds": median(spent.elapsed for spent in rounds),
            "cpu_seconds": median(spent.cpu for spent in rounds),
            "ratio": median(spent.elapsed / unit.elapsed for spent, unit in pairs),
            "cpu_ratio": median(spent.cpu / unit.cpu for spent, unit in pairs),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", metavar="CLIP", type=Path, help="a short video")
    parser.add_argument("--model", default="default", help="the model of the analysis [default: %(default)s]")
    parser.add_argument("--runs", type=int, default=7, help="runs of each command [default: %(default)s]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if not options.clip.is_file():
        parser.error(f"there is no file {options.clip}")
    figures = summarize(measure(options.clip, options.model, options.runs))
    if options.json:
        print(json.dumps({"runs": options.runs, "model": options.model, "commands": figures}, indent=1))
        return
    print(f"{'':30}{'elapsed':>10}{'CPU':>10}{'ratio':>10}{'CPU ratio':>12}")
    for name, row in figures.items():
        times = f"{row['seconds']:>8.2f} s{row['cpu_seconds']:>8.2f} s"
        print(f"{name:30}{times}{row['ratio']:>10.2f}{row['cpu_ratio']:>12.2f}")


if __name__ == "__main__":
    main()
