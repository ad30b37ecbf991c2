"""Kill fervid at many moments, resume it, and compare its results with those of an uninterrupted run.

    python benchmarks/kills.py INPUT... [--command batch] [--rounds N] [--kills N] [--seed S] [--jobs N]

A round begins in an empty folder with an empty cache. The program is killed (SIGKILL) at a random moment,
either alone, so that its workers have to notice, or together with its workers. Then the same command starts
again, until it has been killed --kills times or has finished. Then every file is compared, byte for byte,
with that of an uninterrupted run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

COMMANDS = ("analyze", "batch")
LEAVE_WITHIN = 60.0  # seconds in which workers have to notice that the program has ended
FAILURES_ALLOWED = (0, 3)  # exit codes of a finished run


@dataclass(frozen=True)
class Work:
    """The command that is run and killed."""

    command: str
    inputs: tuple[Path, ...]
    model: str
    jobs: int

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start or resume the command in a folder with results and cache."""
        (folder / "results").mkdir(exist_ok=True)
        target = "timeline.json" if self.command == "analyze" else "."
        # -y: a run killed in its last moment may have written its output.
        option = ["-y", "-t"] if self.command == "analyze" else ["-o"]
        words = ["-q", self.command, *map(str, self.inputs), *option, str(folder / "results" / target)]
        words += ["--model", self.model, "--jobs", str(self.jobs), "--keep-cache"]
        # -P: import the same fervid as this process, in any working folder.
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "fervid", *words],
            env={**os.environ, "FERVID_CACHE_DIR": str(folder / "cache")},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


@dataclass
class Tally:
    """The figures of many rounds."""

    rounds: int = 0
    kills: int = 0
    kills_of_the_program_alone: int = 0
    done_before_the_kill: int = 0
    spans_found: int = 0  # in the cache after a kill, summed over all kills
    spans_done_again: int = 0  # of these, written again: should be 0
    differing: list[str] = field(default_factory=list)  # round and file: should be empty
    seconds_undisturbed: float = 0.0


def measure(work: Work, rounds: int, kills: int, seed: int) -> Tally:
    """Run all rounds, and compare their results with those of an uninterrupted run."""
    tally, chance = Tally(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        undisturbed = Path(name) / "undisturbed"
        undisturbed.mkdir()
        began = time.monotonic()
        process = work.start(undisturbed)
        expected = process.wait()
        if expected not in FAILURES_ALLOWED:
            raise SystemExit(f"fervid fails even without a kill, with exit code {expected}")
        tally.seconds_undisturbed = time.monotonic() - began
        expected_files = contents(undisturbed / "results")
        for number in range(rounds):
            folder = Path(name) / f"round-{number}"
            folder.mkdir()
            code = run_round(work, folder, kills, tally.seconds_undisturbed, chance, tally)
            files = contents(folder / "results")
            if code != expected:
                tally.differing.append(f"round {number}: exit code {code}, not {expected}")
            tally.differing += [
                f"round {number}: {file}"
                for file in sorted(expected_files.keys() | files.keys())
                if expected_files.get(file) != files.get(file)
            ]
            tally.rounds += 1
    return tally


def run_round(
    work: Work, folder: Path, kills: int, seconds: float, chance: random.Random, tally: Tally
) -> int:
    """Run one round, and return the exit code of the run that finished."""
    for _ in range(kills):
        before = spans(folder)
        process = work.start(folder)
        try:
            code = process.wait(chance.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            tally.kills += 1
            kill(process, chance.random() < 0.5, tally)
            count_again(before, spans(folder), tally)
            continue
        tally.done_before_the_kill += 1
        count_again(before, spans(folder), tally)
        return code
    before = spans(folder)
    code = work.start(folder).wait()
    count_again(before, spans(folder), tally)
    return code


def kill(process: subprocess.Popen[bytes], is_alone: bool, tally: Tally) -> None:
    """Kill the program, and wait until its workers have ended."""
    if is_alone:
        tally.kills_of_the_program_alone += 1
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + LEAVE_WITHIN
    while is_running(process.pid):
        if time.monotonic() > until:
            os.killpg(process.pid, signal.SIGKILL)
            raise SystemExit("the workers of a killed program do not end")
        time.sleep(0.05)


def is_running(group: int) -> bool:
    """Return whether a process of the group still runs; a zombie does not."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            return True
    return False


def spans(folder: Path) -> dict[str, int]:
    """Return each span in the cache, with the time at which it was written."""
    return {str(path): path.stat().st_mtime_ns for path in (folder / "cache").glob("**/*.span")}


def count_again(before: dict[str, int], after: dict[str, int], tally: Tally) -> None:
    """Count the spans that were in the cache, and those of them that were written again."""
    tally.spans_found += len(before)
    tally.spans_done_again += sum(after.get(path) != written for path, written in before.items())


def contents(folder: Path) -> dict[str, bytes]:
    """Return the contents of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def table(tally: Tally) -> list[str]:
    """Return the figures as lines of text."""
    return [
        f"{tally.rounds} rounds, {tally.kills} kills ({tally.kills_of_the_program_alone} of the program "
        f"alone), {tally.done_before_the_kill} runs finished before their kill",
        f"undisturbed: {tally.seconds_undisturbed:.1f} s",
        f"spans in the cache after a kill: {tally.spans_found}; done again: {tally.spans_done_again}",
        *(tally.differing or ["every file is the same, byte for byte"]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill fervid at many moments and compare its results.")
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT")
    parser.add_argument("--command", choices=COMMANDS, default="analyze")
    parser.add_argument("--rounds", type=int, default=20, help="rounds [20]")
    parser.add_argument("--kills", type=int, default=5, help="kills in a round, at most [5]")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments [0]")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes [2]")
    parser.add_argument("--model", default="untrained", help="a model's name or path [untrained]")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not Path("/proc/self/stat").is_file():
        parser.error("this system has no /proc, which is needed to find processes")
    missing = [str(path) for path in options.inputs if not path.exists()]
    if missing:
        parser.error(f"{missing[0]} does not exist")
    if options.command == "analyze" and len(options.inputs) > 1:
        parser.error("analyze takes one INPUT: use --command batch for several")
    if min(options.rounds, options.kills, options.jobs) < 1:
        parser.error("--rounds, --kills and --jobs should be at least 1")
    if importlib.util.find_spec("fervid") is None:
        parser.error("fervid is not installed for this Python: pip install .")
    inputs = tuple(path.resolve() for path in options.inputs)
    work = Work(options.command, inputs, options.model, options.jobs)
    tally = measure(work, options.rounds, options.kills, options.seed)
    figures: dict[str, Any] = asdict(tally)
    print(json.dumps(figures, indent=1) if options.json else "\n".join(table(tally)))
    sys.exit(1 if tally.differing or tally.spans_done_again else 0)


if __name__ == "__main__":
    main()
