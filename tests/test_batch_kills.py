"""A batch that is killed and resumed writes the same bytes as one that was not interrupted."""

from __future__ import annotations

import http.server
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import pytest
from conftest import CLIP, command, environment
from media import pictures
from media import write as write_video

from fervid import cache as disk
from fervid import execute
from fervid.cli import main

ARGUMENTS = ("batch", "films", "--model", "untrained", "--faces", "largest", "--progress", "json")
PATIENCE = 300  # seconds that a test waits for its condition


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a film of three spans, clips (one of them twice, the last with a face) and a damaged file."""
    folder = tmp_path_factory.mktemp("kills")
    (folder / "films").mkdir()
    write_video(folder / "films" / "long.mp4", pictures(75, 64, 48), rate=1)
    for number in range(4):
        write_video(folder / "films" / f"clip{number}.mp4", pictures(6 + number))
    shutil.copy(folder / "films" / "clip0.mp4", folder / "films" / "twin.mp4")
    (folder / "films" / "text.mp4").write_text("hello")
    with av.open(str(CLIP)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in islice(container.decode(video=0), 40)]
    small = [cv2.resize(luma, (320, 240), interpolation=cv2.INTER_AREA) for luma in frames]
    write_video(
        folder / "films" / "z.mp4", small
    )  # it takes longest, so that the batch is killed before its end
    return folder


@contextmanager
def serial(*_: object, **__: object) -> Iterator[execute.Executor]:
    with execute.serial() as executor:
        yield executor


def run(folder: Path, out: str) -> dict[str, Any]:
    """Run the batch in this process, which has imported torch; return its last line of progress."""
    stderr = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(stderr):
        patch.chdir(folder)
        patch.setattr(execute, "open_executor", serial)
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        try:
            assert main.run([*ARGUMENTS, "-o", out]) == 3, stderr.getvalue()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    end: dict[str, Any] = json.loads(stderr.getvalue().splitlines()[-1])
    return end


def kill_when(folder: Path, out: str, condition: Callable[[], bool], *more: str) -> None:
    """Run a batch and kill it, with its workers, as soon as the condition is true."""
    with subprocess.Popen(
        command([*ARGUMENTS, "-o", out, *more]),
        cwd=folder,
        env=environment(),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as batch:
        until = time.monotonic() + PATIENCE
        while not condition():
            assert batch.poll() is None, "the batch ended before the condition was true"
            assert time.monotonic() < until
            time.sleep(0.002)
        os.killpg(batch.pid, signal.SIGKILL)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a batch that was not interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERVID_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        end = run(films, "whole")
    assert (end["done"], end["failed"], end["spans"], end["reused"]) == (7, 1, 9, 0)
    return contents(films / "whole")


def journal(folder: Path) -> int:
    try:
        return (folder / ".fervid-batch" / "journal.jsonl").read_bytes().count(b"}\n")
    except FileNotFoundError:
        return 0


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
@pytest.mark.parametrize(("seed", "jobs"), [(3, 1), (4, 2)])
def test_a_killed_batch_ends_in_the_same_bytes(
    films: Path, whole: dict[str, bytes], cache: Path, seed: int, jobs: int
) -> None:
    lines, out = random.Random(seed).randint(1, 5), f"killed{seed}"
    kill_when(films, out, lambda: journal(films / out) >= lines, "-j", str(jobs))
    end = run(films, out)
    assert contents(films / out) == whole
    assert end["skipped"] >= lines
    assert list(cache.iterdir()) == []  # the killed run left nothing there


def test_an_interrupted_film_resumes_after_its_last_span(
    films: Path, whole: dict[str, bytes], cache: Path
) -> None:
    def spans() -> int:
        """Return the number of spans of the film that has several; folders may go meanwhile."""
        return max(sum(name.endswith(".span") for name in names) for _, _, names in os.walk(cache))

    kill_when(films, "film", lambda: spans() >= 2, "-j", "1")
    left = spans()
    end = run(films, "film")
    assert contents(films / "film") == whole
    assert end["reused"] >= left


def test_an_interrupted_batch_reports_it_and_resumes(
    films: Path, whole: dict[str, bytes], cache: Path
) -> None:
    with subprocess.Popen(
        command([*ARGUMENTS, "-o", "stopped", "-j", "1"]),
        cwd=films,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as batch:
        assert batch.stderr is not None
        for line in batch.stderr:
            if '"status": "done"' in line:
                batch.send_signal(signal.SIGTERM)
                break
        rest = batch.stderr.read()
        assert batch.wait() == 130
    assert rest.splitlines()[-1] == "fervid: interrupted"
    run(films, "stopped")
    assert contents(films / "stopped") == whole


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the folder for temporary files, here and in other processes."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def has_content(folder: Path, suffix: str = "") -> bool:
    """Return whether a file in a folder of this folder has content; folders may go meanwhile.

    Files directly in it do not count: Python tries folders for temporary files by writing one, and a process
    that was killed at that moment would leave it.
    """
    walked = (paths for child in folder.iterdir() for paths in os.walk(child))
    paths = [Path(above, name) for above, _, names in walked for name in names]
    return any(path.name.endswith(suffix) and path.exists() and path.stat().st_size for path in paths)


@contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a batch, and kill it at the end of the block."""
    with subprocess.Popen(command(words), cwd=folder, env=environment(), stderr=subprocess.DEVNULL) as batch:
        yield batch
        batch.kill()


def wait_for(condition: Callable[[], bool], batch: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert batch.poll() is None and time.monotonic() < until
        time.sleep(0.002)


@contextmanager
def stalling_server() -> Iterator[str]:
    """Serve a film, and never send its end."""
    over = threading.Event()

    class Stalling(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "9000000")
            self.end_headers()
            self.wfile.write(bytes(3 << 20))
            over.wait()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stalling) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/a.mp4"
        finally:
            over.set()
            server.shutdown()
            thread.join()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_batch_without_a_cache_leaves_nothing_after_a_signal(
    films: Path, cache: Path, temporary: Path, name: str
) -> None:
    if signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
        pytest.skip("the tests run under nohup or in the background, and so does the batch")
    with started(films, *ARGUMENTS, "-o", f"none-{name}", "-j", "2", "--no-cache") as batch:
        wait_for(lambda: has_content(temporary, ".span"), batch)
        batch.send_signal(getattr(signal, name))
        assert batch.wait() == 130
    assert list(temporary.iterdir()) == list(cache.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_batch_of_urls_leaves_no_partial_copy(
    films: Path, cache: Path, temporary: Path, is_killed: bool
) -> None:
    words = ["--model", "untrained", "-o", f"urls-{is_killed}", "-j", "2"]
    with stalling_server() as url, started(films, "batch", url, *words) as batch:
        wait_for(lambda: has_content(temporary), batch)
        batch.send_signal(signal.SIGKILL if is_killed else signal.SIGTERM)
        batch.wait()
        assert has_content(temporary) == is_killed
    if is_killed:
        run(films, "next")  # removes it
    assert list(temporary.iterdir()) == list(cache.iterdir()) == []


def processes_of(parent: int) -> list[int]:
    """Return the workers of a batch."""
    workers = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            its_parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            is_worker = b"spawn_main" in (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if its_parent == parent and is_worker:
            workers.append(int(folder.name))
    return workers


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_at_work(cache: Path) -> bool:
    """Return whether a batch has a span in the cache that it uses."""
    used = disk.usage(cache)
    return bool(used.in_use and used.spans)


def stopped_at_work(batch: int, cache: Path) -> list[int]:
    """Stop and return the workers of a batch if it uses a span in the cache."""
    if not is_at_work(cache):
        return []
    workers = processes_of(batch)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    if is_at_work(cache):
        return workers
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    return []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_workers_that_outlive_a_killed_batch_leave_nothing(
    films: Path, whole: dict[str, bytes], cache: Path
) -> None:
    with subprocess.Popen(
        command([*ARGUMENTS, "-o", "outlived", "-j", "2"]),
        cwd=films,
        env=environment(),
        stderr=subprocess.DEVNULL,
    ) as batch:
        until = time.monotonic() + PATIENCE
        while not (workers := stopped_at_work(batch.pid, cache)):
            assert batch.poll() is None and time.monotonic() < until
            time.sleep(0.002)
        batch.kill()
    try:
        run(films, "outlived")
        assert contents(films / "outlived") == whole
        assert list(cache.iterdir()) == []  # although the stopped workers still have their locks
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert list(cache.iterdir()) == []  # and the workers have written nothing since
