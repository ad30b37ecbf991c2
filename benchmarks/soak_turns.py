"""The turns of `soak.py`: each runs fervid once under one kind of trouble, and yields what went wrong."""

from __future__ import annotations

import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

PROGRAM = [sys.executable, "-P", "-m", "fervid"]  # -P: this process's fervid, in any working folder
MARK = "FERVID_SOAK"  # the variable that marks the processes of a soak
PATIENCE = 600.0  # seconds that a command may take
LEAVE_WITHIN = 60.0  # seconds for workers to notice that their program has ended
START_WITHIN = 600.0  # seconds for the cluster to start, and for a first result
STOPPED = 3.0  # seconds that a worker is stopped
SMALL, LARGE = "8k", "8m"  # sizes of the disk that is full, and then is not
# Half a second three days ahead, half a second three days back, and so on.
CLOCK = """
import time
real, real_ns = time.time, time.time_ns
def shift(): return 259200 if int(time.monotonic() * 2) % 2 else -259200
time.time = lambda: real() + shift()
time.time_ns = lambda: real_ns() + shift() * 10**9
"""
HOST = """
import json, sys
from fervid.cli import main
for line in sys.stdin:
    print(main.run(json.loads(line)), flush=True)
"""


@dataclass
class Stage:
    """The folders, the inputs and the processes that stay for the whole soak."""

    folder: Path
    good: Sequence[Path]
    bad: Sequence[Path]
    model: str
    chance: random.Random
    stack: ExitStack
    seconds: float = 0.0  # of an undisturbed batch
    expected: Mapping[str, bytes] = field(default_factory=dict)
    singles: Mapping[str, bytes] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    staying: dict[str, int] = field(default_factory=dict)  # process ids
    _host: subprocess.Popen[str] | None = None

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def temporary(self) -> Path:
        return self.folder / "temporary"

    @property
    def dask(self) -> Path:
        """The folder for temporary files of the cluster, which stay as long as it runs."""
        return self.folder / "dask"

    def environment(self, **more: str) -> dict[str, str]:
        own = {"FERVID_CACHE_DIR": str(self.cache), "TMPDIR": str(self.temporary), MARK: str(self.folder)}
        return {**os.environ, **own, "PYTHONWARNINGS": "ignore", **more}

    def batch(self, *more: str, output: Path | None = None, inputs: Sequence[str] | None = None) -> list[str]:
        """Return the command line of a batch."""
        paths = list(map(str, (*self.good, *self.bad))) if inputs is None else inputs
        words = ["-q", "batch", *paths, "-o", str(output or self.results), "--model", self.model]
        return [*words, *(more or ("--jobs", "2"))]

    def start(self, words: Sequence[str], **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*PROGRAM, *words],
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Wait for a command; return its exit code and its messages."""
        try:
            _, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return -1, f"no end after {PATIENCE:g} s"
        return process.returncode, errors

    def differences(self, output: Path | None = None) -> Iterator[str]:
        """Yield the files of a batch that differ from those of an undisturbed one."""
        files = contents(output or self.results)
        for path in sorted(files.keys() | self.expected.keys()):
            if files.get(path) != self.expected.get(path):
                yield f"{path} differs"

    def ends_well(self, process: subprocess.Popen[str], output: Path | None = None) -> Iterator[str]:
        code, errors = self.finish(process)
        if code != 3:  # some inputs failed
            yield f"exit code {code}: {errors.strip()[-300:]}"
        yield from self.differences(output)

    def host(self, words: Sequence[str]) -> int:
        """Run a command in the process that stays, and return its exit code."""
        if self._host is None:
            self._host = self.stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-P", "-c", HOST],
                    env=self.environment(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            self.stack.callback(self._host.kill)
            self.staying["single"] = self._host.pid
        stdin, stdout = self._host.stdin, self._host.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps(words) + "\n")
        stdin.flush()
        return int(stdout.readline() or -1)

    def cluster(self) -> str:
        """Return the scheduler's file of the cluster that stays."""
        if "scheduler" not in self.staying:
            self.staying["scheduler"] = self.scheduler().pid
            self.staying["worker"] = self.worker("worker").pid
        return str(self.folder / "scheduler.json")

    def scheduler(self, port: int = 0, **more: str) -> subprocess.Popen[bytes]:
        path = self.folder / "scheduler.json"
        path.unlink(missing_ok=True)
        words = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--scheduler-file", str(path)]
        process = self._serve("scheduler", "scheduler", *words, **more)
        wait_for(path.exists)
        return process

    def worker(self, name: str, *words: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a worker of one thread, and wait until the scheduler knows it."""
        own = ["--scheduler-file", str(self.folder / "scheduler.json"), "--nthreads", "1", "--name", name]
        own += ["--local-directory", str(self.dask), "--no-dashboard"]
        if "--memory-limit" not in words:
            own += ["--memory-limit", "0"]
        process = self._serve(name, "worker", *own, *words, **more)
        log = self.folder / f"{name}.log"
        wait_for(lambda: "Registered to" in log.read_text())
        return process

    def _serve(self, name: str, kind: str, *words: str, **more: str) -> subprocess.Popen[bytes]:
        stream: IO[str] = self.stack.enter_context((self.folder / f"{name}.log").open("w"))
        paths = more.pop("PYTHONPATH", ""), *sys.path[1:]
        process = self.stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "dask", kind, *words],
                env=self.environment(
                    PYTHONPATH=os.pathsep.join(filter(None, paths)), TMPDIR=str(self.dask), **more
                ),
                cwd=self.folder,
                stdout=stream,
                stderr=stream,
            )
        )
        self.stack.callback(process.terminate)
        return process


def contents(folder: Path) -> dict[str, bytes]:
    """Return the contents of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def wait_for(condition: Callable[[], bool], seconds: float = START_WITHIN) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"nothing happened in {seconds:g} s")
        time.sleep(0.05)


def family(top: int) -> list[int]:
    """Return a process and its descendants."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    processes = [top]
    for process in processes:
        processes += children.get(process, [])
    return processes


def marked(folder: Path) -> list[int]:
    """Return the processes of a soak."""
    text = f"{MARK}={folder}\0".encode()
    processes = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if text in path.read_bytes() + b"\0":
                processes.append(int(path.parent.name))
    return processes


def end(folder: Path) -> None:
    """Kill the processes of a soak."""
    for process in marked(folder):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


# --- the turns


def batch(stage: Stage) -> Iterator[str]:
    """Run good and bad files."""
    began = time.monotonic()
    yield from stage.ends_well(stage.start(stage.batch()))
    stage.seconds = time.monotonic() - began


def single(stage: Stage) -> Iterator[str]:
    """Run one file after the other, in a process that stays."""
    for path in (*stage.good, *stage.bad):
        output = stage.results / f"{path.name}.json"
        code = stage.host(["-q", "analyze", str(path), "-t", str(output), "--model", stage.model])
        if (code == 0) != (path in stage.good):
            yield f"{path.name}: exit code {code}"
    files = contents(stage.results)
    yield from (f"{name} differs" for name in files.keys() | stage.singles.keys()
                if files.get(name) != stage.singles.get(name))  # fmt: skip


def kills(stage: Stage) -> Iterator[str]:
    """Kill a batch, alone or with its workers, and start it again."""
    process = stage.start(stage.batch())
    try:
        process.wait(stage.chance.uniform(0, stage.seconds))
    except subprocess.TimeoutExpired:
        if stage.chance.random() < 0.5:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    yield from stage.ends_well(stage.start(stage.batch()))


def clock(stage: Stage) -> Iterator[str]:
    """Let the clock jump by six days, twice a second."""
    paths = os.pathsep.join([jumping(stage), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    yield from stage.ends_well(stage.start(stage.batch(), PYTHONPATH=paths))


def jumping(stage: Stage) -> str:
    """Return a folder for PYTHONPATH with which the clock of a process jumps."""
    folder = stage.folder / "clock"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(CLOCK)
    return str(folder)


def cache(stage: Stage) -> Iterator[str]:
    """Delete the cache during a batch; if that ends the batch, start it again."""
    process = stage.start(stage.batch())
    while process.poll() is None and not (stage.cache.is_dir() and any(stage.cache.glob("*/*.span"))):
        time.sleep(0.01)
    shutil.rmtree(stage.cache, ignore_errors=True)
    code, errors = stage.finish(process)
    if code not in (1, 3) or (code == 1 and "fervid: error: " not in errors):
        yield f"exit code {code}: {errors.strip()[-300:]}"
    if code == 1:
        yield from stage.ends_well(stage.start(stage.batch()))
    yield from stage.differences()


def stop(stage: Stage) -> Iterator[str]:
    """Stop a worker for some seconds."""
    process = stage.start(stage.batch())
    while process.poll() is None and len(workers := family(process.pid)[1:]) < 2:
        time.sleep(0.01)
    if process.poll() is None:
        worker = stage.chance.choice(workers)
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGSTOP)
            time.sleep(STOPPED)
            os.kill(worker, signal.SIGCONT)
    yield from stage.ends_well(process)


def source(stage: Stage) -> Iterator[str]:
    """Let a server send a byte now and then, and interrupt the batch at last."""
    with dripping() as (url, has_asked):
        process = stage.start(stage.batch("--jobs", "1", inputs=[url]))
        while process.poll() is None and not has_asked.wait(0.1):
            pass
        time.sleep(1)
        process.terminate()
        code, errors = stage.finish(process)
    if code != 130:
        yield f"exit code {code}: {errors.strip()[-300:]}"


@contextmanager
def dripping() -> Iterator[tuple[str, threading.Event]]:
    over, has_asked = threading.Event(), threading.Event()

    class Dripping(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "9000000")
            self.end_headers()
            has_asked.set()
            with suppress(OSError):
                while not over.wait(0.2):
                    self.wfile.write(b"x")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/film.mp4", has_asked
        finally:
            over.set()
            server.shutdown()
            thread.join()


def disk(stage: Stage) -> Iterator[str]:
    """Fill the disk; when it has space, start the same command again."""
    target = stage.folder / "disk"
    target.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(target)]
    if os.geteuid() or subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode:
        stage.skipped.add("disk: only root can mount a small disk")
        return
    try:
        output = target / "results"
        code, errors = stage.finish(stage.start(stage.batch(output=output)))
        if code != 1 or "no space is left" not in errors:
            yield f"exit code {code}: {errors.strip()[-300:]}"
        subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(target)], check=True)
        yield from stage.ends_well(stage.start(stage.batch(output=output)), output)
    finally:
        subprocess.run(["umount", str(target)], check=True)


def cluster(stage: Stage) -> Iterator[str]:
    """Use a Dask cluster that stays, and stop its worker for some seconds."""
    where = ["--executor", "dask", "--dask-address", stage.cluster()]
    process = stage.start(stage.batch(*where))
    with suppress(subprocess.TimeoutExpired):
        process.wait(stage.chance.uniform(0, stage.seconds))
    worker = family(stage.staying["worker"])[-1]
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGSTOP)
        time.sleep(STOPPED)
        os.kill(worker, signal.SIGCONT)
    yield from stage.ends_well(process)


TURNS = {
    turn.__name__: turn for turn in (batch, single, kills, clock, cache, stop, source, disk, cluster)
}  # fmt: skip
