"""The process of `fuzz.py` that damages files and runs fervid on them, one after the other, as users would.

It reads a number per line and answers with a line of JSON. fervid runs inside this process, so that what one
file leaves behind meets the next. `fuzz.py` watches its memory and time from outside.
"""

from __future__ import annotations

import csv
import ctypes
import faulthandler
import gc
import io
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fuzz_damage import damage_file

REFERENCE_EVERY = 50  # files between two runs over an intact file, which must give the same results
GROWTH = 400 << 20  # bytes of memory that may stay: caches of libraries, fragmentation
ADDRESSES = 24 << 30  # bytes of virtual memory, so that a sudden block fails before the machine does
NOT_OURS = re.compile(r"Traceback|unexpected \w+|Warning:|^\s+File \"", re.MULTILINE)
EXTRAS = (
    [],
    [],
    ["--frames", "frames.csv", "--tracks", "tracks.npz"],
    ["--aus"],
    ["--sample-fps", "5"],
    ["--start", "0.1", "--end", "0.4"],
    ["--faces", "largest", "--min-segment", "0.05"],
    ["--no-people"],
    ["--model", "default"],
    ["--rotate", "90"],
    ["--no-cache"],
)


def command_of(chance: Random, name: str) -> list[str]:
    """Choose a command line for an input."""
    share = chance.random()
    if share < 0.45:
        extra = chance.choice(EXTRAS)
        target = (
            "out.json" if "--aus" in extra else chance.choice(("out.json",) * 4 + ("out.jsonl", "out.srt"))
        )
        return ["analyze", name, "-t", target, *extra]
    if share < 0.48:
        return ["analyze", "-", "-t", "out.json"]
    if share < 0.60:
        return ["info", name, *chance.choice(([], ["--json"]))]
    if share < 0.72:
        return [
            "extract",
            name,
            "-o",
            "out",
            *chance.choice(([], ["--crops", "png"], ["--what", "csv", "--aus"])),
        ]
    if share < 0.79:
        target = chance.choice(("peaks.json", "peaks.csv", "peaks.txt", "peaks.fcpxml"))
        return ["peaks", name, "-o", target]
    if share < 0.83:
        return ["peaks", name, "--top", "2", "--montage", "reel.mp4", "-o", "peaks.json"]
    if share < 0.88:
        return ["annotate", name, "-o", "annotated.mp4"]
    if share < 0.91:
        return ["report", name, "-o", "page.html"]
    if share < 0.96:
        pace = chance.choice(([], ["--no-drop"]))
        return ["live", name, "-o", "lines.jsonl", "-t", "session.json", "--reconnect", "0", *pace]
    if share < 0.99:
        return ["explain", name, "--at", "0.2", "--json"]
    return ["batch", name, "-o", "results", "--progress", "json"]


def make(seeds: dict[str, Path], work: Path, seed: int, index: int) -> tuple[str, list[str], list[str]]:
    """Make the damaged file of an index in a folder; return its seed, its damage and the command line."""
    chance = Random(f"{seed}:{index}")
    name = chance.choice(sorted(seeds))
    path = work / f"input{seeds[name].suffix}"
    return name, damage_file(seeds[name], path, chance), command_of(chance, path.name)


def seeds_in(folder: Path) -> dict[str, Path]:
    """Return the seeds of a folder by name."""
    return {path.stem: path for path in sorted(folder.iterdir())}


@dataclass
class Done:
    """The results of one run of fervid."""

    code: int
    out: str
    errors: str


class Worker:
    """Damages files in a folder and runs fervid on them."""

    def __init__(self, seeds: dict[str, Path], folder: Path, seed: int, keeps: bool) -> None:
        self.seeds, self.folder, self.seed, self.keeps = seeds, folder, seed, keeps
        self.temporary, self.cache = folder / "tmp", folder / "cache"
        self.temporary.mkdir(parents=True, exist_ok=True)
        os.environ |= {
            "TMPDIR": str(self.temporary),
            "FERVID_CACHE_DIR": str(self.cache),
            "FERVID_MODEL": "untrained",
            "OMP_NUM_THREADS": "1",
        }
        # One core, so that no command starts workers of its own, except `batch`.
        os.sched_getaffinity = lambda process: {0}
        self.reference = self.run_reference()
        self.loaded: set[tuple[str, bool]] = set()  # commands, and whether with the default model
        self.memory, self.count = resident(), 0
        self.threads = len(os.listdir("/proc/self/task"))

    def do(self, index: int) -> dict[str, Any]:
        """Run fervid on the file of a number, and return what happened."""
        work = self.folder / f"file-{index}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        name, damage, words = make(self.seeds, work, self.seed, index)
        self.prepare(words)
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins again
        began, files = time.process_time(), descriptors()
        done = run(words, work)
        seconds = time.process_time() - began
        findings = [*complaints(done, words), *spoiled(work, words, done)]
        findings += self.leftovers(files)
        self.count += 1
        if self.count % REFERENCE_EVERY == 0 and self.run_reference() != self.reference:
            findings.append("an intact file has other results after this one")
        if not self.keeps:
            shutil.rmtree(work)
        return {
            "index": index,
            "seed": name,
            "damage": damage,
            "command": words,
            "code": done.code,
            "message": done.errors.strip().rpartition("\n")[2][:300] if done.code else "",
            "findings": findings,
            "seconds": round(seconds, 3),
            "peak": status("VmHWM") - self.memory,
            "stays": resident() - self.memory,
            "loaded": self.memory,
        }

    def prepare(self, words: list[str]) -> None:
        """Run a command on an intact file before its first damaged one: what it loads may stay."""
        kind = words[0], "default" in words
        if kind in self.loaded:
            return
        self.loaded.add(kind)
        before = resident()
        self.run_intact(["INPUT" if word.startswith("input") else word for word in words])
        gc.collect()
        self.memory += max(0, resident() - before)
        self.threads = len(os.listdir("/proc/self/task"))

    def leftovers(self, files: set[str]) -> list[str]:
        """Return the things that a run has left in this process and in the folders of temporary files."""
        findings = []
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        if left := sorted(descriptors() - files):
            findings.append(f"{', '.join(left)[:300]}: open files stay")
        if (count := len(os.listdir("/proc/self/task"))) > self.threads:
            findings.append(f"{count - self.threads} threads stay")
            self.threads = count
        if resident() - self.memory > GROWTH:
            findings.append(f"{(resident() - self.memory) >> 20} MiB stay")
        if left := sorted(path.name for path in self.temporary.iterdir()):
            findings.append(f"temporary files stay: {', '.join(left)[:300]}")
            shutil.rmtree(self.temporary)
            self.temporary.mkdir()
        if left := sorted(str(path) for path in self.cache.rglob("*.span")):
            findings.append(f"spans stay in the cache: {len(left)}")
        shutil.rmtree(self.cache, ignore_errors=True)
        return findings

    def run_reference(self) -> tuple[int, str]:
        """Analyze an intact file, and return its timeline."""
        return self.run_intact(["analyze", "INPUT", "-t", "-", "-f", "json"])

    def run_intact(self, words: list[str]) -> tuple[int, str]:
        work = self.folder / "intact"
        work.mkdir(exist_ok=True)
        source = self.seeds["mp4-h264"]
        shutil.copy(source, work / "input.mp4")
        done = run(["input.mp4" if word == "INPUT" else word for word in words], work)
        shutil.rmtree(work)
        shutil.rmtree(self.cache, ignore_errors=True)
        return done.code, done.out


def run(words: Sequence[str], work: Path) -> Done:
    """Run fervid in a folder, inside this process, and return its exit code and what it printed."""
    from fervid.cli import main

    source = next(work.glob("input*"), None)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    before = os.getcwd()
    with captured(
        source if "-" in words[:2] and source is not None and source.is_file() else None
    ) as streams:
        os.chdir(work)
        try:
            code = main.run(list(words))
        finally:
            os.chdir(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
    out, errors = (stream.getvalue() for stream in streams)
    return Done(code, out, errors)


@contextmanager
def captured(source: Path | None) -> Iterator[list[io.StringIO]]:
    """Redirect the descriptors of the standard streams, as C libraries print there, too."""
    texts = [io.StringIO(), io.StringIO()]
    kept = [os.dup(number) for number in range(3)]
    sys.stdout.flush()
    sys.stderr.flush()
    files = [os.memfd_create(name) for name in ("out", "errors")]
    given = os.open(source or os.devnull, os.O_RDONLY)
    plain = sys.stdin, sys.stdout, sys.stderr
    for number, file in enumerate([given, *files]):
        os.dup2(file, number)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
        for number, mode in enumerate("rww")
    )
    try:
        yield texts
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdin, sys.stdout, sys.stderr = plain
        for number, file in enumerate(kept):
            os.dup2(file, number)
        for text, file in zip(texts, files, strict=True):
            os.lseek(file, 0, os.SEEK_SET)
            with open(file, "rb") as stream:
                text.write(stream.read().decode("utf-8", "replace"))
        for file in (*kept, given):
            os.close(file)


def complaints(done: Done, words: Sequence[str]) -> list[str]:
    """Return the faults of an exit code and of the messages."""
    findings = []
    # --start and --end may be outside a damaged video, which is wrong usage.
    is_cut = "--start" in words or "--at" in words
    writes_first = "--montage" in words  # the timeline and the list are whole, even if the reel fails
    allowed = {0, 1, 3} if words[0] == "batch" else {0, 1, 2} if is_cut else {0, 1}
    if done.code not in allowed:
        findings.append(f"exit code {done.code}")
    if match := NOT_OURS.search(done.errors):
        findings.append(f"the messages contain {match[0]!r}")
    lines = done.errors.splitlines()
    if done.code and words[0] != "batch":
        usual = ("fervid: ", *(("wrote ", "no peaks match") if writes_first else ()))
        strange = [line for line in lines if not line.startswith(usual)]
        if strange:
            findings.append(f"not a message of fervid: {strange[0][:200]!r}")
        if sum(line.startswith("fervid: error: ") for line in lines) != 1:
            findings.append("not one line with the error")
    if "error:" in done.errors and not done.code:
        findings.append("an error with exit code 0")
    return findings


def spoiled(work: Path, words: Sequence[str], done: Done) -> list[str]:
    """Return the files that should not exist, or are not complete."""
    findings = []
    results = [
        path for path in sorted(work.rglob("*")) if path.is_file() and not path.name.startswith("input")
    ]
    results = [path for path in results if not any(p.name.startswith("input") for p in path.parents)]
    for path in results:
        name = str(path.relative_to(work))
        if any(part.startswith(".") for part in Path(name).parts):
            findings.append(f"a partial file stays: {name}")
        elif fault := fault_of(path):
            findings.append(f"{name} is not whole: {fault}")
    target = words[words.index("-o" if "-o" in words else "-t") + 1] if {"-o", "-t"} & set(words) else None
    if target is not None and words[0] not in {"batch", "extract", "live"}:
        is_empty = "was not written" in done.errors  # without peaks there is no file for an editor
        if done.code == 0 and not is_empty and not (work / target).exists():
            findings.append(f"{target} is missing")
        if done.code != 0 and "--montage" not in words and (work / target).exists():
            findings.append(f"{target} exists after a failure")
    return findings


def fault_of(path: Path) -> str | None:
    """Return the reason why an output cannot be read."""
    import av
    import numpy as np

    from fervid.export.timelines import reading
    from fervid.video.reading import decoded

    try:
        if path.name in {"out.json", "input.json", "session.json", "out.jsonl"}:
            with path.open(encoding="utf-8") as stream:
                reading.read(stream)
        elif path.suffix == ".json":
            json.loads(path.read_text("utf-8"), parse_constant=lambda name: 1 / 0)
        elif path.suffix == ".jsonl":
            for line in path.read_text("utf-8").splitlines():
                json.loads(line, parse_constant=lambda name: 1 / 0)
        elif path.suffix == ".csv":
            rows = list(csv.reader(path.read_text("utf-8").splitlines()))
            if not rows or len(set(map(len, rows))) > 1:
                return "its rows have different lengths"
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                for array in arrays.values():
                    if array.dtype.kind == "f" and np.isinf(array).any():
                        return "it contains infinity"
        elif path.suffix == ".mp4":
            with av.open(str(path)) as container:
                if next(decoded(container.streams.video[0]), None) is None:  # a reel copies what is damaged
                    return "it has no frames"
        elif path.suffix == ".html" and not path.read_text("utf-8").rstrip().endswith("</html>"):
            return "it has no end"
    except Exception as error:  # whatever a reader cannot do with it
        return f"{type(error).__name__}: {error}"[:200]
    return None


def descriptors() -> set[str]:
    """Return the targets of the open files of this process, by number."""
    targets = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            targets.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:  # of the listing itself
            continue
    return targets


def status(name: str) -> int:
    """Return a figure of /proc/self/status in bytes."""
    match = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1]) << 10


def resident() -> int:
    """Return the bytes of resident memory."""
    return status("VmRSS")


def main() -> None:
    """Answer each number on standard input with a line; the first line says that all is loaded."""
    seeds, folder, seed, keeps, dump = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    faulthandler.enable(open(dump, "w"))  # noqa: SIM115
    faulthandler.register(signal.SIGUSR1, open(dump, "w"), all_threads=True)  # noqa: SIM115
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    worker = Worker(seeds_in(Path(seeds)), Path(folder), int(seed), keeps == "keep")
    print("ready", file=answers, flush=True)
    for line in requests:
        print(json.dumps(worker.do(int(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
