"""Break a Dask cluster in the middle of a batch, and compare the results with those of one machine.

    python benchmarks/machines.py [--case C]... [--rounds N] INPUT...

Each case starts a scheduler and workers, begins a batch, and breaks something: the batch must end in the
bytes of one machine, or stop with a message, and then the same command must end in these bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import soak
from soak_turns import Stage, contents, end, family, jumping, wait_for

COPIES = 8  # of each input, so that there is something left to do when something breaks
MOMENT = 0.3  # seconds after the first result, at most, until something breaks
TTL = 5  # seconds after which a scheduler gives up a silent worker
# As a processor of fifteen years ago: without AVX.
OLD = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "OPENBLAS_CORETYPE": "Nehalem"}
OLDER = "import fervid; fervid.__version__ = '0.0.1'"
LIMIT = "300MB"
# Takes more memory than LIMIT as soon as a file is there.
HUNGRY = """
import pathlib, threading, time
def eat():
    while not pathlib.Path({path!r}).exists():
        time.sleep(0.05)
    held = b"x" * (400 << 20)
    time.sleep(3600)
threading.Thread(target=eat, daemon=True).start()
"""


@dataclass
class Tally:
    """Counts of the ways in which a case ended."""

    case: str
    same: int = 0  # at the first attempt
    stopped: int = 0  # with a message; the same command then ended in the same bytes
    messages: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def run_case(stage: Stage, name: str, tally: Tally) -> None:
    """Run a batch in a case; if it does not do everything, run it again on a healthy cluster."""
    stage.results.mkdir()
    code, errors = CASES[name](stage)
    messages = [line for line in errors.splitlines() if line.startswith("fervid: error: ")]
    if code == 3 and not list(stage.differences()):
        tally.same += 1
    elif code in (1, 2, 3) and "Traceback" not in errors and (messages or has_failures(stage)):
        tally.stopped += 1
        tally.messages += messages[-1:] or has_failures(stage)
        tally.faults += [f"{path} is of neither run" for path in wrong_outputs(stage)]
        with ExitStack() as stack:
            healthy = replace(stage, stack=stack)
            healthy.scheduler()
            healthy.worker("healthy")
            tally.faults += [f"again: {fault}" for fault in healthy.ends_well(begin(healthy))]
    else:
        tally.faults.append(f"exit code {code}: {errors.strip()[-500:]}")
    shutil.rmtree(stage.results)
    for path in (stage.cache, stage.temporary):
        shutil.rmtree(path, ignore_errors=True)
    stage.temporary.mkdir()


def has_failures(stage: Stage) -> list[str]:
    """Return the reasons in the manifest for the failures of good files."""
    manifest = stage.results / "manifest.jsonl"
    records = [json.loads(line) for line in manifest.read_bytes().splitlines()] if manifest.exists() else []
    return [record["error"] for record in records if record["error"] and "text.mp4" not in record["input"]]


def wrong_outputs(stage: Stage) -> list[str]:
    """Return the outputs that differ from those of one machine."""
    files = contents(stage.results)
    outputs = [path for path in files if path.endswith(".mp4.json")]
    return [path for path in outputs if files[path] != stage.expected.get(path)]


def begin(stage: Stage) -> subprocess.Popen[str]:
    where = str(stage.folder / "scheduler.json")
    return stage.start(stage.batch("--executor", "dask", "--dask-address", where))


def wait_some(stage: Stage, process: subprocess.Popen[str]) -> None:
    """Wait until the batch has finished its first input, and a random moment more."""
    journal = stage.results / ".fervid-batch" / "journal.jsonl"
    wait_for(lambda: process.poll() is not None or (journal.is_file() and journal.stat().st_size > 0))
    with suppress(subprocess.TimeoutExpired):
        process.wait(stage.chance.uniform(0, MOMENT))


# --- the cases: each returns the exit code of the batch and its messages


def restart(stage: Stage) -> tuple[int, str]:
    """Kill the scheduler and start it again at the same address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    scheduler = stage.scheduler(port)
    stage.worker("first")
    process = begin(stage)
    wait_some(stage, process)
    scheduler.kill()
    scheduler.wait()
    stage.scheduler(port)
    return stage.finish(process)


def partition(stage: Stage) -> tuple[int, str]:
    """Silence a worker until the scheduler has given it up, then let it come back."""
    stage.scheduler(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL=f"{TTL}s")
    silent = stage.worker("silent", "--no-nanny")
    stage.worker("other", "--no-nanny")
    process = begin(stage)
    wait_some(stage, process)
    silent.send_signal(signal.SIGSTOP)
    time.sleep(3 * TTL)
    silent.send_signal(signal.SIGCONT)
    return stage.finish(process)


def lose(stage: Stage) -> tuple[int, str]:
    """Kill a worker, with the results that have not been fetched."""
    stage.scheduler()
    doomed = stage.worker("doomed", "--no-nanny")
    stage.worker("other", "--no-nanny")
    process = begin(stage)
    wait_some(stage, process)
    doomed.kill()
    return stage.finish(process)


def twice(stage: Stage) -> tuple[int, str]:
    """Kill the processes of a worker that work on tasks: the tasks are done twice."""
    stage.scheduler()
    worker = stage.worker("worker", "--no-nanny")
    process = begin(stage)
    wait_some(stage, process)
    for child in family(worker.pid)[1:]:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    return stage.finish(process)


def clock(stage: Stage) -> tuple[int, str]:
    """Let the clock of a worker jump by six days."""
    stage.scheduler()
    stage.worker("jumping", PYTHONPATH=jumping(stage))
    stage.worker("other")
    return stage.finish(begin(stage))


def version(stage: Stage) -> tuple[int, str]:
    """Add a worker with another version of fervid in the middle."""
    stage.scheduler()
    first = stage.worker("first", "--no-nanny")
    process = begin(stage)
    wait_some(stage, process)
    first.send_signal(signal.SIGSTOP)  # so that some tasks are left for the other one
    preload = stage.folder / "older.py"
    preload.write_text(OLDER)
    stage.worker("older", "--no-nanny", "--preload", str(preload))
    first.kill()
    return stage.finish(process)


def processor(stage: Stage) -> tuple[int, str]:
    """Make the libraries of a worker see another processor."""
    stage.scheduler()
    stage.worker("old", **OLD)
    stage.worker("new")
    return stage.finish(begin(stage))


def memory(stage: Stage) -> tuple[int, str]:
    """Let a nanny end its worker again and again, because it takes too much memory."""
    stage.scheduler()
    preload, path = stage.folder / "hungry.py", stage.folder / "hungry"
    preload.write_text(HUNGRY.format(path=str(path)))
    path.unlink(missing_ok=True)
    stage.worker("hungry", "--memory-limit", LIMIT, "--preload", str(preload))
    process = begin(stage)
    wait_some(stage, process)
    path.touch()
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    stage.worker("large")
    return stage.finish(process)


CASES = {case.__name__: case for case in (restart, partition, lose, twice, clock, version, processor, memory)}


def lines(tally: Tally) -> list[str]:
    """Return the figures of a case as lines of text."""
    head = f"{tally.case}: {tally.same} same bytes, {tally.stopped} stopped and then same bytes"
    return [head, *(f"  {text}" for text in dict.fromkeys([*tally.messages, *tally.faults]))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT", help="short clips")
    parser.add_argument("--case", choices=CASES, action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of each case [1]")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments [0]")
    parser.add_argument("--model", default="untrained", help="a model's name or path [untrained]")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not Path("/proc/self/stat").is_file():
        parser.error("this system has no /proc, which is needed to find processes")
    tallies = [Tally(name) for name in options.case or CASES]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process stays
    with tempfile.TemporaryDirectory() as name, ExitStack() as ending:
        folder = Path(name).resolve()
        ending.callback(end, folder)
        bad = folder / "text.mp4"
        bad.write_text("hello")
        good = [
            Path(shutil.copy(path, folder / f"{number}-{copy}.mp4"))
            for number, path in enumerate(options.inputs)
            for copy in range(COPIES)
        ]
        stage = Stage(folder, good, [bad], options.model, random.Random(options.seed), ExitStack())
        soak.prepare(stage)
        for tally in tallies:
            for _ in range(options.rounds):
                with ExitStack() as stack:
                    run_case(replace(stage, stack=stack), tally.case, tally)
            if not options.json:
                print("\n".join(lines(tally)), flush=True)
    if options.json:
        print(json.dumps([asdict(tally) for tally in tallies], indent=1))
    sys.exit(any(tally.faults for tally in tallies))


if __name__ == "__main__":
    main()
