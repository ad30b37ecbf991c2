"""A real Dask cluster: a scheduler and workers as separate processes."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import psutil
import pytest
from conftest import CLIP, ROOT, Call, environment
from media import write
from worker_tasks import PATIENCE, surroundings, troubled, wait_for_go

from fervid import analysis, execute
from fervid.analysis import spans, tasks
from fervid.cache import Store
from fervid.errors import InputError, UnexpectedError, UsageError, WorkerError
from fervid.execute import Done, Event, Executor, Failed, Progress, cluster
from fervid.export.frames import geometry


@dataclass(frozen=True)
class Running:
    """A running scheduler, and the folder of its file and its workers' logs."""

    folder: Path

    @property
    def address(self) -> str:
        return str(self.folder / "scheduler.json")

    @contextmanager
    def worker(self, preload: str = "", *, nanny: bool = False) -> Iterator[int]:
        """Start one more worker and yield its process id."""
        name = f"worker-{time.monotonic_ns()}"
        more = ["--nanny" if nanny else "--no-nanny"]
        if preload:
            (self.folder / f"{name}.py").write_text(preload)
            more += ["--preload", str(self.folder / f"{name}.py")]
        arguments = ["worker", "--scheduler-file", self.address, "--nthreads", "1", "--name", name]
        with dask(self.folder, name, *arguments, "--memory-limit", "0", "--no-dashboard", *more) as number:
            wait_until(lambda: "Registered to" in (self.folder / f"{name}.log").read_text())
            yield number


@contextmanager
def dask(folder: Path, name: str, *arguments: str) -> Iterator[int]:
    """Run `dask` with arguments while the block runs, and yield its process id."""
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "FERVID_CACHE_DIR": str(folder / name)}
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            env={**os.environ, **paths},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def wait_until(moment: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not moment():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start a scheduler and two workers, one of them with a nanny (Dask's default)."""
    folder = tmp_path_factory.mktemp("dask")
    scheduler = Running(folder)
    arguments = [
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        scheduler.address,
    ]
    with ExitStack() as stack:
        stack.enter_context(dask(folder, "scheduler", "scheduler", *arguments))
        wait_until((folder / "scheduler.json").exists)
        stack.enter_context(scheduler.worker())
        stack.enter_context(scheduler.worker(nanny=True))
        yield scheduler


@pytest.fixture(scope="module")
def far(running: Running) -> Iterator[Executor]:
    with execute.open_executor(name="dask", address=running.address) as executor:
        yield executor


# --- tasks


def apart(events: Iterator[Event]) -> list[object]:
    return [e.result if isinstance(e, Done) else e.error for e in events if not isinstance(e, Progress)]


def test_failures_deaths_and_hangs_affect_only_their_task(far: Executor, tmp_path: Path) -> None:
    numbers = ((number, tmp_path) for number in range(7))
    ends = apart(far(troubled, numbers, deadline=2.0))
    assert [end for end in ends if isinstance(end, int)] == [0, 5, 6]
    refused, died, hung, mistaken = ends[1:5]
    assert isinstance(refused, InputError) and str(refused) == "one cannot be read; try two"
    assert isinstance(died, WorkerError) and "died twice" in str(died)
    assert isinstance(hung, WorkerError) and "hung twice" in str(hung)
    assert isinstance(mistaken, UnexpectedError) and "in troubled" in "".join(mistaken.__notes__)
    assert [(tmp_path / str(number)).read_text() for number in range(5)] == ["x", "x", "xx", "xx", "x"]


def test_tasks_run_in_processes_with_one_thread(far: Executor) -> None:
    for parent, threads in execute.results(far(surroundings, range(4))):
        assert parent != os.getpid() and threads == "1"


def test_a_late_worker_with_another_fervid_ends_the_run(
    far: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "__version__", "0.0.1")  # here, after the check of the workers
    with pytest.raises(UsageError, match=r"has fervid .*, not 0\.0\.1: stop it"):
        list(far(surroundings, [0]))


def test_progress_comes_and_a_killed_worker_loses_nothing(running: Running, tmp_path: Path) -> None:
    with (
        running.worker() as doomed,
        execute.open_executor(name="dask", address=running.address) as executor,
    ):
        ends, reached, is_killed = [], [], False
        for event in executor(wait_for_go, [(number, tmp_path) for number in range(6)]):
            if isinstance(event, Progress):
                reached.append(event)
                if not is_killed and (tmp_path / f"at-{doomed}").exists():
                    os.kill(doomed, signal.SIGKILL)
                    is_killed = True
                    (tmp_path / "go").touch()
            else:
                ends.append(event)
    assert is_killed and reached
    assert ends == [Done(number, number) for number in range(6)]


def test_tasks_of_a_closed_run_end(far: Executor, tmp_path: Path) -> None:
    events = far(wait_for_go, [(number, tmp_path) for number in range(4)])
    assert isinstance(next(events), Progress)
    events.close()  # type: ignore[attr-defined]
    assert apart(far(surroundings, [0]))  # a thread is free again, without the signal


# --- one film


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a film of a face, 75 s at one frame per second: three spans."""
    with av.open(str(CLIP)) as container:
        luma = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    small = [cv2.resize(frame, (320, 240), interpolation=cv2.INTER_AREA) for frame in luma[:75]]
    return write(tmp_path_factory.mktemp("film") / "film.mp4", small, rate=1, gop=10)


def geometry_of(run: analysis.Run) -> bytes:
    packed = io.BytesIO()
    for _ in run.segments():
        pass
    geometry.write(run.rows, run.row_count, run.video, (), packed)
    return packed.getvalue()


def test_a_film_is_the_same_from_a_cluster_and_is_in_the_callers_store(
    running: Running, film: Path, tmp_path: Path
) -> None:
    with analysis.start(film, model=None, store=Store(tmp_path / "here")) as run:
        whole = geometry_of(run)
    progress: list[float] = []
    store = Store(tmp_path / "far", keep=True)
    with running.worker() as doomed, execute.open_executor(name="dask", address=running.address) as executor:

        def tick(done: float) -> None:
            if not progress:
                os.kill(doomed, signal.SIGKILL)
            progress.append(done)

        with analysis.start(film, model=None, executor=executor, store=store, tick=tick) as run:
            assert geometry_of(run) == whole
            assert run.stored_count == run.span_count == 3
    assert all(a < b for a, b in pairwise(progress)) and progress[-1] == 75
    assert not list(running.folder.glob("*/*/*.span"))  # workers keep nothing


def test_stored_spans_are_not_computed_again(far: Executor, film: Path, tmp_path: Path) -> None:
    store = Store(tmp_path, keep=True)
    with analysis.start(film, model=None, executor=far, store=store) as run:
        whole = geometry_of(run)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.span")}
    del before[min(before)]
    min(tmp_path.glob("*/*.span")).unlink()
    with analysis.start(film, model=None, executor=far, store=store) as run:
        assert geometry_of(run) == whole
    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.span")}
    assert len(after) == 3 and before.items() <= after.items()


def test_workers_with_another_film_or_none_are_an_error(far: Executor, film: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.mp4"
    own.write_bytes(film.read_bytes())
    with analysis.start(own, model=None, executor=far, store=Store(tmp_path / "store")) as run:
        own.write_bytes(CLIP.read_bytes())
        with pytest.raises(UsageError, match=r"2 of 2 Dask workers cannot.*own.mp4 differs"):
            list(run.segments())
    own.write_bytes(film.read_bytes())
    with analysis.start(own, model=None, executor=far, store=Store(tmp_path / "store")) as run:
        own.unlink()
        with pytest.raises(UsageError, match=r"there is no file .*own.mp4"):
            list(run.segments())
    assert not list(tmp_path.glob("store/*/*.span"))


def test_workers_with_another_model_are_an_error(far: Executor, film: Path, tmp_path: Path) -> None:
    with analysis.start(film, model="untrained", store=Store(tmp_path)) as run:
        terms = run.terms
        far.check(tasks.check, terms)
    for wrong, words in (
        (replace(terms, model_sha256="0" * 64), "the model untrained differs"),
        (replace(terms, model=str(tmp_path / "nothing")), "no model .*nothing"),
    ):
        with pytest.raises(UsageError, match=words):
            far.check(tasks.check, wrong)
        (late,) = far(
            tasks.work, [replace(task_of(run), terms=wrong)]
        )  # a worker that joined after the check
        assert isinstance(late, Failed) and late.error.args[0].startswith("on ")


def task_of(run: analysis.Run) -> tasks.Task:
    return run.task(tuple(spans.plan(run.video, run.settings)[:1]), is_remote=True)


@pytest.mark.parametrize(
    ("preload", "words"),
    [
        ("import fervid; fervid.__version__ = '0.0.1'", "it has fervid 0.0.1, and this is"),
        ("import sys; sys.modules['fervid'] = None", "it has no fervid: install it"),
    ],
)
def test_workers_with_another_fervid_or_none_are_an_error(running: Running, preload: str, words: str) -> None:
    with (
        running.worker(preload),
        pytest.raises(UsageError, match=rf"1 of \d Dask workers cannot be used.*{words}"),
        execute.open_executor(name="dask", address=running.address),
    ):
        pass


# --- without a cluster


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://127.0.0.1:9", "no Dask scheduler answers at tcp://127.0.0.1:9"),
        ("nowhere.json", "there is no scheduler file nowhere.json"),
        ("what://ever", "must begin with tcp:// or tls://"),
        ("tls://127.0.0.1:9", "needs certificates"),
    ],
)
def test_a_missing_scheduler_is_an_error(address: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_WITHIN", 0.5)
    with pytest.raises(UsageError, match=words), execute.open_executor(name="dask", address=address):
        pass


def test_a_scheduler_without_workers_or_that_dies_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "WORKER_WITHIN", 5.0)
    running = Running(tmp_path)
    arguments = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", running.address]
    with dask(tmp_path, "scheduler", "scheduler", *arguments) as scheduler:
        wait_until((tmp_path / "scheduler.json").exists)
        with (
            pytest.raises(UsageError, match="has no workers: start some with"),
            execute.open_executor(name="dask", address=running.address),
        ):
            pass
        with (
            running.worker() as worker,
            pytest.raises(WorkerError, match="does not answer any more; start it"),
            execute.open_executor(name="dask", address=running.address) as executor,
        ):
            for event in executor(wait_for_go, [(0, tmp_path)]):
                assert isinstance(event, Progress)
                os.kill(scheduler, signal.SIGKILL)
                os.kill(worker, signal.SIGKILL)


def test_a_cluster_of_its_own_listens_to_this_machine_alone() -> None:
    with execute.open_executor(2, "dask"):
        assert hosts_of(psutil.Process()) == {"127.0.0.1"}


# --- TLS, as docs/cluster.md describes it


def hosts_of(*processes: Any) -> set[str]:
    """Return the addresses that processes listen on."""
    addresses: set[str] = set()
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            connections = each.net_connections("inet")
            addresses |= {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    return addresses


def documented() -> tuple[str, str, str, str]:
    """Return the documented commands of keys, scheduler, worker and client with TLS, for this machine."""
    text = (ROOT / "docs" / "cluster.md").read_text("utf-8")
    block = next(part for part in text.split("```") if part.startswith("\nopenssl")).replace("\\\n", " ")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for old, new in (
        ("8786", port),
        ("127.0.0.1:8787", "127.0.0.1:0"),
        ("10.0.0.1", "127.0.0.1"),
        ("10.0.0.2", "127.0.0.1"),
        ("--nthreads 16", "--nthreads 1"),
        ("\ndask", f"\nexec {sys.executable} -m dask"),
        ("\nfervid", f"\nexec {sys.executable} -m fervid"),
        ("film.mp4", f"{CLIP} --end 0.4 --model untrained"),
        ("rsa:3072", "ec -pkeyopt ec_paramgen_curve:prime256v1"),  # made in no time
    ):
        assert old in block
        block = block.replace(old, new)
    keys, servers, client = block.strip().split("\n\n")
    options, scheduler, worker = servers.split("\n")
    return keys, f"{options}\n{scheduler}", f"{options}\n{worker}", client


@contextmanager
def shell(folder: Path, name: str, commands: str) -> Iterator[Any]:
    """Run commands of a shell in the background while the block runs."""
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            ["bash", "-ec", commands],
            cwd=folder,
            env=environment(TMPDIR=str(folder)),
            stdout=log,
            stderr=log,
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_tls_as_documented(tmp_path: Path) -> None:
    keys, scheduler, worker, client = documented()
    stranger = tmp_path / "stranger"  # with an authority of its own
    stranger.mkdir()
    for folder in (tmp_path, stranger):
        subprocess.run(["bash", "-ec", keys], cwd=folder, capture_output=True, check=True)
    with shell(tmp_path, "scheduler", scheduler) as first, shell(tmp_path, "worker", worker) as second:
        wait_until(lambda: "Registered to" in (tmp_path / "worker.log").read_text())
        for process in (first, second):
            assert hosts_of(process, *process.children(recursive=True)) == {"127.0.0.1"}
        for folder, code in ((tmp_path, 0), (stranger, 2)):
            done = subprocess.run(
                ["bash", "-ec", client], cwd=folder, env=environment(), capture_output=True, text=True
            )
            assert done.returncode == code, done.stderr
    assert "no Dask scheduler answers at tls://" in done.stderr
    assert json.loads((tmp_path / "out.json").read_text())["source"]["frames"]["decoded"] == 10
    assert not (stranger / "out.json").exists()


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fervid.execute.cluster")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'fervid\[dask\]'"), execute.open_executor(name="dask"):
        pass


def test_analyze_writes_the_same_with_a_cluster(
    running: Running, call: Call, clip: Path, tmp_path: Path
) -> None:
    common = ("analyze", clip, "--end", "1")
    assert call(*common, "-t", "here.json").returncode == 0
    far = call(*common, "-t", "far.json", "--executor", "dask", "--dask-address", running.address)
    assert far.returncode == 0, far.stderr
    assert "Traceback" not in far.stderr
    assert (tmp_path / "far.json").read_bytes() == (tmp_path / "here.json").read_bytes()
    assert json.loads((tmp_path / "far.json").read_text())["segments"] is not None
    for wrong, words in (
        (("--dask-address", running.address), "give --executor dask with it"),
        (
            ("--executor", "dask", "--dask-address", running.address, "-j", "2"),
            "--jobs does not apply to a Dask cluster",
        ),
    ):
        refused = call(*common, "-t", "more.json", *wrong)
        assert refused.returncode == 2 and words in refused.stderr
