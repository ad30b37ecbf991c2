"""Kill fervid at many moments, let it go on, and compare what it leaves with what nobody disturbed.

    python benchmarks/kills.py INPUT... [--command batch] [--rounds N] [--kills N] [--seed S] [--jobs N]

A round is one piece of work, begun in an empty folder with an empty cache. It is killed (SIGKILL) at a moment
drawn anew each time, either the program alone, whose workers then have to notice, or the program with all of
its workers; the same command follows until it has been killed as often as --kills says, or is done before.
Then every file that it leaves is compared, byte for byte, with that of a run in peace.
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
LEAVE_WITHIN = 60.0  # seconds in which workers notice that the program is gone
FAILURES_ALLOWED = (0, 3)  # exit codes of work that came to its end


@dataclass(frozen=True)
class Work:
    """What is run again and again."""

    command: str
    inputs: tuple[Path, ...]
    model: str
    jobs: int

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Begin, or go on, in a folder that holds results and cache."""
        (folder / "results").mkdir(exist_ok=True)
        target = "timeline.json" if self.command == "analyze" else "."
        # -y: a run killed in its last moment has written what the next one writes again.
        option = ["-y", "-t"] if self.command == "analyze" else ["-o"]
        words = ["-q", self.command, *map(str, self.inputs), *option, str(folder / "results" / target)]
        words += ["--model", self.model, "--jobs", str(self.jobs), "--keep-cache"]
        # -P: the same fervid as this process would import, whatever folder we stand in.
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "fervid", *words],
            env={**os.environ, "FERVID_CACHE_DIR": str(folder / "cache")},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


@dataclass
class Tally:
    """What many rounds found."""

    rounds: int = 0
    kills: int = 0
    kills_of_the_program_alone: int = 0
    done_before_the_kill: int = 0
    spans_found: int = 0  # that lay in the cache when something was killed, over all kills
    spans_done_again: int = 0  # of these, that were written once more: none should be
    differing: list[str] = field(default_factory=list)  # round and file: there should be none
    seconds_undisturbed: float = 0.0


def measure(work: Work, rounds: int, kills: int, seed: int) -> Tally:
    """Kill and compare."""
    tally, chance = Tally(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        peace = Path(name) / "peace"
        peace.mkdir()
        began = time.monotonic()
        process = work.start(peace)
        expected = process.wait()
        if expected not in FAILURES_ALLOWED:
            raise SystemExit(f"fervid fails even in peace, with exit code {expected}")
        tally.seconds_undisturbed = time.monotonic() - began
        wanted = contents(peace / "results")
        for number in range(rounds):
            folder = Path(name) / f"round-{number}"
            folder.mkdir()
            code = disturbed(work, folder, kills, tally.seconds_undisturbed, chance, tally)
            found = contents(folder / "results")
            if code != expected:
                tally.differing.append(f"round {number}: exit code {code}, not {expected}")
            tally.differing += [
                f"round {number}: {file}"
                for file in sorted(wanted.keys() | found.keys())
                if wanted.get(file) != found.get(file)
            ]
            tally.rounds += 1
    return tally


def disturbed(
    work: Work, folder: Path, kills: int, seconds: float, chance: random.Random, tally: Tally
) -> int:
    """One round; the exit code of the run that came to its end."""
    for _ in range(kills):
        before = spans(folder)
        process = work.start(folder)
        try:
            code = process.wait(chance.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            tally.kills += 1
            kill(process, chance.random() < 0.5, tally)
            again(before, spans(folder), tally)
            continue
        tally.done_before_the_kill += 1
        again(before, spans(folder), tally)
        return code
    before = spans(folder)
    code = work.start(folder).wait()
    again(before, spans(folder), tally)
    return code


def kill(process: subprocess.Popen[bytes], is_alone: bool, tally: Tally) -> None:
    """End the program and wait until its workers are gone."""
    if is_alone:
        tally.kills_of_the_program_alone += 1
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + LEAVE_WITHIN
    while lives(process.pid):
        if time.monotonic() > until:
            os.killpg(process.pid, signal.SIGKILL)
            raise SystemExit("workers outlive the program that they work for")
        time.sleep(0.05)


def lives(group: int) -> bool:
    """Whether a process of the group is left; one that has ended and waits to be buried is not."""
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = place.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            return True
    return False


def spans(folder: Path) -> dict[str, int]:
    """Each span in the cache, and when it was written."""
    return {str(path): path.stat().st_mtime_ns for path in (folder / "cache").glob("**/*.span")}


def again(before: dict[str, int], after: dict[str, int], tally: Tally) -> None:
    """Count the spans that were there, and those of them that were done again."""
    tally.spans_found += len(before)
    tally.spans_done_again += sum(after.get(path) != moment for path, moment in before.items())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def table(tally: Tally) -> list[str]:
    """The figures for people."""
    return [
        f"{tally.rounds} rounds, {tally.kills} kills ({tally.kills_of_the_program_alone} of the program "
        f"alone), {tally.done_before_the_kill} runs done before theirs",
        f"undisturbed: {tally.seconds_undisturbed:.1f} s",
        f"spans found in the cache by the runs that followed: {tally.spans_found}; "
        f"done again: {tally.spans_done_again}",
        *(tally.differing or ["every file is the same, byte for byte"]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill fervid at many moments and compare what it leaves.")
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT")
    parser.add_argument("--command", choices=COMMANDS, default="analyze")
    parser.add_argument("--rounds", type=int, default=20, help="pieces of work [20]")
    parser.add_argument("--kills", type=int, default=5, help="kills in a round, at most [5]")
    parser.add_argument("--seed", type=int, default=0, help="of the moments [0]")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes [2]")
    parser.add_argument("--model", default="untrained", help="a model's name or path [untrained]")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not Path("/proc/self/stat").is_file():
        parser.error("this system has no /proc, in which the processes are looked for")
    missing = [str(path) for path in options.inputs if not path.exists()]
    if missing:
        parser.error(f"{missing[0]} is not there")
    if options.command == "analyze" and len(options.inputs) > 1:
        parser.error("one film at a time, or --command batch")
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
