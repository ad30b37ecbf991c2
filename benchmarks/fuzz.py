"""Damage thousands of files at random and run fervid on each: a result, or one line and exit code 1.

    python benchmarks/fuzz.py [--files N] [--seed S] [--continue --state DIR] [--only INDEX] [--jobs N]

Tiny clips in every container and codec that PyAV writes are damaged by flips, cuts, repeats, swaps, false
sizes of boxes, times that jump, and sizes and rates that are not true. Real commands run on them, inside a
few processes that stay alive. A finding is: a traceback or an unexpected error, another exit code than 0 or
1, a crash, more memory or processor time than the limits, a partial file, and anything that stays for the
next file: open files, threads, temporary files, memory, other results of an intact file.

The file of an index depends only on the seed: `--only INDEX` makes it again, keeps it, and prints what
happens.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import fuzz_seeds
from fuzz_worker import make, seeds_in

MEMORY = 3 << 29  # bytes more than the loaded program: a film of the largest pictures needs 1.1 GiB
SECONDS = 60.0  # of processor time for one file
PATIENCE = 600.0  # seconds in which no thread of the worker runs or wants to: it hangs
START = 600.0  # seconds for loading everything
POLL = 0.05  # seconds between two looks at memory
TICK = os.sysconf("SC_CLK_TCK")


LASTING = (" stay", " after this one")  # findings after which a new worker begins


class Gone(Exception):
    """The worker has died or was killed."""


class Process:
    """A worker, watched from outside."""

    def __init__(self, seeds: Path, folder: Path, seed: int, keeps: bool = False) -> None:
        self.dump = folder / "stacks.txt"
        folder.mkdir(parents=True, exist_ok=True)
        script = Path(__file__).with_name("fuzz_worker.py")
        words = [str(seeds), str(folder), str(seed), "keep" if keeps else "drop", str(self.dump)]
        self.errors = (folder / "stderr.txt").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, str(script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
        )
        self.memory = 0
        self._pending = b""
        try:
            self._wait(START, START, sys.maxsize)
        except Gone as error:
            raise SystemExit(f"the worker does not start: {error}\n{self._tail()}") from error
        self.memory = usage(self.process.pid)[0]

    def ask(self, index: int) -> dict[str, Any]:
        """Let the worker do the file of an index; raise Gone if it dies or exceeds a limit."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{index}\n".encode())
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._wait(PATIENCE, SECONDS, self.memory + MEMORY))
        self.memory = max(self.memory, answer.pop("loaded"))
        return answer

    def _wait(self, patience: float, seconds: float, memory: int) -> bytes:
        """Return the next line of the worker."""
        assert self.process.stdout is not None
        awake, began = time.monotonic(), usage(self.process.pid)[1]
        while b"\n" not in self._pending:
            if select.select([self.process.stdout], [], [], POLL)[0]:
                part = os.read(self.process.stdout.fileno(), 1 << 16)
                if not part:
                    code = self.process.wait()
                    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                    raise Gone(f"the process died: {name}; {self._stack()}")
                self._pending += part
                continue
            held, used = usage(self.process.pid)
            if held > memory:
                raise Gone(f"more than {MEMORY >> 20} MiB of memory; {self._stack(True)}")
            if used - began > seconds:
                raise Gone(f"more than {seconds:g} s of processor time; {self._stack(True)}")
            if is_running(self.process.pid):
                awake = time.monotonic()
            if time.monotonic() - awake > patience:
                raise Gone(f"no answer after {patience:g} s; {self._stack(True)}")
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _stack(self, asks: bool = False) -> str:
        """Return where the worker is, as the files and lines of its stack."""
        if asks:
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(1)
        lines = self.dump.read_text("utf-8", "replace").splitlines() if self.dump.exists() else []
        return " < ".join(line.strip() for line in lines if line.lstrip().startswith("File"))[:1500]

    def _tail(self) -> str:
        self.errors.seek(0)
        return self.errors.read()[-3000:]

    def end(self) -> None:
        """Kill the worker and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            if stream is not None:
                stream.close()


def usage(number: int) -> tuple[int, float]:
    """Return the resident memory of a process in bytes, and its processor time in seconds."""
    try:
        words = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0.0
    return int(words[21]) * os.sysconf("SC_PAGE_SIZE"), (int(words[11]) + int(words[12])) / TICK


def is_running(number: int) -> bool:
    """Return whether a thread of a process runs, or waits for a processor."""
    for path in Path("/proc").glob(f"{number}/task/*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if path.read_text().rpartition(")")[2].split()[0] == "R":
                return True
    return False


class Campaign:
    """Files that are done, listed in a file from which a later run continues."""

    def __init__(self, state: Path, seed: int) -> None:
        self.state, self.seed = state, seed
        self.seeds, self.log = state / "seeds", state / "results.jsonl"
        self.commit = commit()
        self._lock = Lock()

    def prepare(self, names: Sequence[str]) -> dict[str, str]:
        """Write the seeds, or those of these names; return those that cannot be written, with the reasons."""
        shutil.rmtree(self.seeds, ignore_errors=True)
        self.seeds.mkdir(parents=True)
        return fuzz_seeds.write_all(self.seeds, names)[1]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the files that are done; a later row of an index replaces an earlier one."""
        if not self.log.exists():
            return []
        rows = [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]
        return list({row["index"]: row for row in rows}.values())

    def run(self, indices: list[int], jobs: int) -> None:
        """Run the files of these indices."""
        source = iter(indices)
        with ThreadPoolExecutor(jobs) as threads:
            for end in [threads.submit(self._run_some, number, source) for number in range(jobs)]:
                end.result()

    def _run_some(self, number: int, source: Iterator[int]) -> None:
        folder = self.state / f"worker-{number}"
        process: Process | None = None
        try:
            while True:
                with self._lock:
                    index = next(source, None)
                if index is None:
                    return
                if process is None:
                    shutil.rmtree(folder, ignore_errors=True)
                    process = Process(self.seeds, folder, self.seed)
                try:
                    row = process.ask(index)
                except Gone as error:
                    row = {**self.describe(index), "findings": [str(error)]}
                if any(text.endswith(LASTING) or "code" not in row for text in row["findings"]):
                    process.end()
                    process = None
                self._write({**row, "commit": self.commit})
        finally:
            if process is not None:
                process.end()
            shutil.rmtree(folder, ignore_errors=True)

    def describe(self, index: int) -> dict[str, Any]:
        """Return the seed, the damage and the command line of a file."""
        with tempfile.TemporaryDirectory() as name:
            seed, damage, words = make(seeds_in(self.seeds), Path(name), self.seed, index)
        return {"index": index, "seed": seed, "damage": damage, "command": words}

    def _write(self, row: dict[str, Any]) -> None:
        with self._lock, self.log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        if row["findings"]:
            print(f"{row['index']}: {'; '.join(row['findings'])}", file=sys.stderr, flush=True)


def commit() -> str:
    """Return the commit of the tree, with a mark if it has changes; empty outside a repository."""
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of the files that are done."""
    whole = [row for row in rows if "code" in row]
    return {
        "files": len(rows),
        "done": sum(row["code"] == 0 for row in whole),
        "refused": sum(row["code"] != 0 for row in whole),
        "findings": {row["index"]: row["findings"] for row in rows if row["findings"]},
        "commits": dict(Counter(row["commit"] for row in rows)),
        "seconds_median": quantile([row["seconds"] for row in whole], 0.5),
        "seconds_most": max((row["seconds"] for row in whole), default=0.0),
        "peak_most": max((row["peak"] for row in whole), default=0),
        "stays_most": max((row["stays"] for row in whole), default=0),
        "commands": dict(Counter(row["command"][0] for row in whole)),
        "damage": dict(Counter(name for row in whole for name in row["damage"])),
    }


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * len(values))] if values else 0.0


def table(totals: dict[str, Any]) -> list[str]:
    """Return the figures as lines of text."""
    return [
        f"{totals['files']} files: {totals['done']} with a result, {totals['refused']} with one line and "
        f"exit code 1, {len(totals['findings'])} with findings",
        f"processor time of a file: median {totals['seconds_median']:.2f} s, "
        f"at most {totals['seconds_most']:.1f} s",
        f"memory beyond the loaded program: at most {totals['peak_most'] >> 20} MiB; "
        f"memory that stays after a file: at most {totals['stays_most'] >> 20} MiB",
        f"commits: {', '.join(f'{name} ({count})' for name, count in totals['commits'].items())}",
        *(f"{index}: {'; '.join(texts)}" for index, texts in totals["findings"].items()),
    ]


def show_one(campaign: Campaign, index: int) -> int:
    """Run one file again in the current folder, keep it, and print what happens."""
    folder = Path(f"fuzz-{campaign.seed}-{index}").resolve()
    process = Process(campaign.seeds, folder, campaign.seed, keeps=True)
    try:
        row = process.ask(index)
    except Gone as error:
        row = {**campaign.describe(index), "findings": [str(error)]}
    process.end()
    print(json.dumps(row, indent=1))
    print(f"kept in {folder / f'file-{index}'}")
    return 1 if row["findings"] else 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Damage files at random and run fervid on each.")
    parser.add_argument("--files", type=int, default=200, help="how many files [200]")
    parser.add_argument("--seed", type=int, default=1, help="seed of the damage [1]")
    parser.add_argument(
        "--clips",
        type=lambda text: text.split(","),
        default=[],
        metavar="NAME,...",
        help="damage only these intact clips; the files of an index are then others [all]",
    )
    parser.add_argument("--jobs", type=int, default=1, help="worker processes [1]")
    parser.add_argument(
        "--state", type=Path, help="a folder for the log, to go on later; default: none is kept"
    )
    parser.add_argument(
        "--continue", dest="goes_on", action="store_true", help="skip the files that are done"
    )
    parser.add_argument(
        "--again", action="store_true", help="with --continue: also do those with findings again"
    )
    parser.add_argument("--only", type=int, metavar="INDEX", help="run one file, and keep it in this folder")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not Path("/proc/self/stat").is_file():
        parser.error("this system has no /proc, which is needed to watch memory")
    if options.goes_on and options.state is None:
        parser.error("--continue needs --state")
    os.environ["SVT_LOG"] = "0"  # the AV1 encoder's own messages
    with tempfile.TemporaryDirectory() as name:
        campaign = Campaign((options.state or Path(name)).resolve(), options.seed)
        if campaign.log.exists() and not options.goes_on and options.only is None:
            parser.error(f"{campaign.log} exists: add --continue, or name another folder")
        for seed, reason in campaign.prepare(options.clips).items():
            print(f"cannot be written here: {seed} ({reason})", file=sys.stderr)
        if options.only is not None:
            sys.exit(show_one(campaign, options.only))
        rows = campaign.rows()
        ended = {row["index"] for row in rows if not (options.again and row["findings"])}
        campaign.run([index for index in range(options.files) if index not in ended], options.jobs)
        totals = figures(campaign.rows())
    print(json.dumps(totals, indent=1) if options.json else "\n".join(table(totals)))
    sys.exit(1 if totals["findings"] else 0)


if __name__ == "__main__":
    main()
