"""Fail the power at each moment of a run of fervid, resume it, and compare its results.

    python benchmarks/power.py INPUT... [--scenario S] [--resumes N] [--seed S] [--ignore-syncs]

strace records what fervid and its workers write, rename, delete and sync. From this record come the states in
which a disk can be if the power fails: after each change, with and without what was not synced by then. In
each state every file must be the old one or the new one, and all that the manifest and the journal list must
be there. The same command resumes from each state, and must end in the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import power_disk
from power_disk import Disk, Files, Sync

SCENARIOS = ("batch", "overwrite", "analyze")
FAILURES_ALLOWED = (0, 3)  # exit codes of a finished run
DRAWS = 2  # random choices of what was lost, per moment
SHOWN = 20  # faults in the list
STATE = ".fervid-batch/"
PART = re.compile(r"\.fervid-[0-9a-f]{12}\.part")


@dataclass(frozen=True)
class Work:
    """A command, and the results that existed before."""

    scenario: str
    inputs: tuple[Path, ...]
    model: str
    jobs: int

    def arguments(self, root: Path, is_first: bool = False) -> list[str]:
        """Return the command; `is_first`: the earlier command, with other settings, before it."""
        results = root / "results"
        words = ["-q", "analyze" if self.scenario == "analyze" else "batch", *map(str, self.inputs)]
        words += ["--model", self.model, "--jobs", str(self.jobs)]
        if self.scenario == "analyze":
            words += ["-y", "-t", str(results / "timeline.json")]
        else:
            words += ["-o", str(results), "-f", "json,csv"]
        if self.scenario == "overwrite":
            words += ["-y"]
        return [*words, "--faces", "largest"] if is_first else words

    def environment(self, root: Path) -> dict[str, str]:
        return {"FERVID_CACHE_DIR": str(root / "cache"), "TMPDIR": str(root.parent / "temporary")}


@dataclass
class Tally:
    """The figures of a scenario."""

    scenario: str
    changes: int = 0  # writes, and names made, moved or deleted
    syncs: int = 0
    states: int = 0  # that differ
    resumed: int = 0  # of these
    faults: list[str] = field(default_factory=list)


def measure(work: Work, resumes: int, seed: int, ignores_syncs: bool) -> Tally:
    """Record a run, and check every state in which the disk can be."""
    tally, faults = Tally(work.scenario), list[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "temporary").mkdir()
        disk, expected, code = record(work, folder)
        begin = disk.changes.index(Sync(None)) + 1
        before, during = disk.changes[:begin], disk.changes[begin:]
        if ignores_syncs:
            during = [change for change in during if not isinstance(change, Sync)]
        tally.changes = sum(not isinstance(change, Sync) for change in during)
        tally.syncs = len(during) - tally.changes
        chosen = distinct(power_disk.states([*before, *during], seed, DRAWS))
        tally.states = len(chosen)
        for moment, files in chosen:
            faults += [f"change {moment - begin}: {fault}" for fault in mixed(files, disk.before, expected)]
        random.Random(seed).shuffle(chosen)
        with here():
            for moment, files in chosen[:resumes]:
                root = folder / f"state-{tally.resumed}"
                power_disk.write(root, files)
                end = resume(work, root, expected, code)
                faults += [f"change {moment - begin}, resumed: {fault}" for fault in end]
                tally.resumed += 1
                shutil.rmtree(root)
        tally.faults = list(dict.fromkeys(faults))
    return tally


def record(work: Work, folder: Path) -> tuple[Disk, Files, int]:
    """Run the command under strace; return the disk, its files in the end, and the exit code."""
    root, prefix = folder / "recorded", folder / "trace"
    for path in (root, root / "results", root / "cache"):
        path.mkdir()
    environment = {**os.environ, **work.environment(root), "PYTHONDONTWRITEBYTECODE": "1"}
    # -P: import the same fervid as this process, in any working folder.
    program = [sys.executable, "-P", "-m", "fervid"]
    if work.scenario != "batch":
        line = [*program, *work.arguments(root, is_first=True)]
        subprocess.run(line, env=environment, check=False, stderr=subprocess.DEVNULL)
    disk = Disk(str(root), power_disk.contents(root))
    line = [*power_disk.STRACE, "-o", str(prefix), *program, *work.arguments(root)]
    done = subprocess.run(line, env=environment, cwd=root, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode not in FAILURES_ALLOWED:
        raise SystemExit(f"fervid fails even with power, with exit code {done.returncode}: {done.stderr}")
    for call in power_disk.calls(prefix):
        disk.apply(call)
    expected = power_disk.contents(root)
    if disk.files() != expected:
        raise SystemExit("the record is not complete: it does not end in the files that are there")
    return disk, expected, done.returncode


def distinct(states: Iterator[tuple[int, dict[str, bytes | None]]]) -> list[tuple[int, Files]]:
    """Return states with different files."""
    seen: dict[tuple[tuple[str, bytes | None], ...], tuple[int, Files]] = {}
    for moment, files in states:
        digests = [(path, None if data is None else _digest(data)) for path, data in files.items()]
        seen.setdefault(tuple(sorted(digests, key=lambda pair: pair[0])), (moment, files))
    return list(seen.values())


def mixed(files: Files, before: Files, expected: Files) -> Iterator[str]:
    """Yield the faults that a user must never meet after a power failure."""
    for path, content in files.items():
        name = path.removeprefix("results/")
        if content is None or name == path or name.startswith(STATE) or PART.search(name):
            continue
        if content not in (before.get(path), expected.get(path)):
            yield f"{path} is neither the old file nor the new one"
    manifest = "results/manifest.jsonl"
    lists = [f"results/{STATE}journal.jsonl"]
    if files.get(manifest) != before.get(manifest):  # an old manifest describes the old files
        lists.append(manifest)
    for path in lists:
        for line in (files.get(path) or b"").split(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:  # a line that was cut off, which fervid skips
                continue
            for form, output in record.get("outputs", {}).items():
                content = files.get(f"results/{output}")
                if content is None or hashlib.sha256(content).hexdigest() != record["digests"][form]:
                    yield f"{path} lists {output}, which is not there"


def resume(work: Work, root: Path, expected: Files, code: int) -> Iterator[str]:
    """Run the command on a state; yield the differences of its results from an undisturbed run."""
    from fervid.cli import main

    (root / "results").mkdir(exist_ok=True)
    with patch.dict(os.environ, work.environment(root)), redirect_stderr(None):
        ended = main.run(work.arguments(root))
    if ended != code:
        yield f"exit code {ended}, not {code}"
    files = power_disk.contents(root)
    yield from (
        f"{path} differs"
        for path in sorted(expected.keys() | files.keys())
        if files.get(path, "") != expected.get(path, "") and path != "cache"
    )


@contextmanager
def here() -> Iterator[None]:
    """Run fervid's tasks in this process: starting workers for each of hundreds of states takes hours."""
    from fervid import execute

    @contextmanager
    def serial(*_: object, **__: object) -> Iterator[execute.Executor]:
        with execute.serial() as executor:
            yield executor

    with patch.object(execute, "open_executor", serial):
        yield


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def table(tally: Tally) -> list[str]:
    """Return the figures as lines of text."""
    more = len(tally.faults) - SHOWN
    return [
        f"{tally.scenario}: {tally.changes} changes, {tally.syncs} syncs, {tally.states} different states; "
        f"resumed from {tally.resumed}",
        *(
            tally.faults[:SHOWN]
            or ["  every file is old or new, and every resumed run ends in the same bytes"]
        ),
        *([f"and {more} more"] if more > 0 else []),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="short clips")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="default: all")
    parser.add_argument("--resumes", type=int, default=10**6, help="states to resume from [all]")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random choices [0]")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes of the recorded run [2]")
    parser.add_argument("--model", default="untrained", help="a model's name or path [untrained]")
    parser.add_argument("--ignore-syncs", action="store_true", help="as if fervid synced nothing: must fail")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if shutil.which("strace") is None:
        parser.error("strace is needed: apt-get install strace")
    missing = [str(path) for path in options.inputs if not path.is_file()]
    if missing:
        parser.error(f"{missing[0]} is not a file")
    if importlib.util.find_spec("fervid") is None:
        parser.error("fervid is not installed for this Python: pip install .")
    inputs = tuple(path.resolve() for path in options.inputs)
    tallies = []
    for scenario in options.scenario or SCENARIOS:
        work = Work(scenario, inputs[:1] if scenario == "analyze" else inputs, options.model, options.jobs)
        tallies.append(measure(work, options.resumes, options.seed, options.ignore_syncs))
        if not options.json:
            print("\n".join(table(tallies[-1])), flush=True)
    if options.json:
        figures: list[dict[str, Any]] = [asdict(tally) for tally in tallies]
        print(json.dumps(figures, indent=1))
    sys.exit(any(tally.faults for tally in tallies))


if __name__ == "__main__":
    main()
