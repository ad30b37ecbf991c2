"""Fixtures and helpers that several tests share."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import quick
from hypothesis import settings

from fervid.process import collect_less_often

if TYPE_CHECKING:
    from browser import Open
    from playwright.sync_api import Browser

# One thread per numeric library, here and in the processes of tests: the networks are tiny, and on a busy
# machine more threads are slower.
os.environ["OMP_NUM_THREADS"] = "1"

# Keep compiled modules, also if the environment says not to: hundreds of processes import fervid.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell that starts the tests in the background ignores SIGINT, and programs inherit that: interruptions are
# tested there too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# As in the program itself: each collection reads all objects, and torch has many.
collect_less_often()

# Examples may take any time on a busy machine.
settings.register_profile("fervid", deadline=None)
settings.load_profile("fervid")

ROOT = Path(__file__).parents[1]
CLIP = quick.CLIP
# The slowest test files, the slowest first.
LONG = (
    "test_train_default",
    "test_train",
    "test_dask",
    "test_analysis",
    "test_readme",
    "test_examples",
    "test_streams",
    "test_cli_analyze",
    "test_batch_kills",
    "test_power",
    "test_benchmarks",
    "test_bench",
    "test_cli",
    "test_aggregate",
    "test_live",
    "test_landmarks_open",
    "test_soak",
    "test_kills",
    "test_execute",
    "test_annotate",
    "test_machines",
    "test_default",
)

UNWANTED = {"PYTHONUNBUFFERED", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "FERVID_MODEL"}  # these change output

Fervid = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark quick tests, and run the slowest files first, so that no worker runs one alone at the end."""
    for item in items:
        if isinstance(item, pytest.Function) and quick.is_quick(item):
            item.add_marker("quick")
    order = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(autouse=True)
def guard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a quick test fail if it starts a process or runs a network."""
    if request.node.get_closest_marker("quick") is not None:
        quick.forbid(monkeypatch)


@pytest.fixture(autouse=True)
def same_priority() -> Iterator[None]:
    """Make a test fail if it changes this process's scheduling, which all later ones would inherit."""
    before = scheduling()
    yield
    assert scheduling() == before


def scheduling() -> int | None:
    """Return this process's scheduling policy; None on a system without one."""
    return os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None


@pytest.fixture
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use no worker processes: they would import torch each time. Those of test_batch_kills.py are real."""
    from fervid import execute

    @contextmanager
    def serial(*_: object, **__: object) -> Iterator[execute.Executor]:
        with execute.serial() as executor:
            yield executor

    monkeypatch.setattr(execute, "open_executor", serial)


@pytest.fixture(scope="session", autouse=True)
def no_syncs() -> Iterator[None]:
    """Leave out waiting for the disk in this process; tests of power failures run in others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set a cache folder for fixtures that several tests share, instead of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERVID_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def new_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return paths without end; to number a folder, pytest would read the names of all others each time."""
    above = tmp_path_factory.mktemp("caches")
    return (above / str(number) for number in count())


@pytest.fixture(autouse=True)
def cache(new_folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set a new cache folder for each test, and return it."""
    folder = next(new_folders)
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("FERVID_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def fervid(tmp_path: Path) -> Fervid:
    """Run the program in a process, in the test's folder: `fervid("info", clip)`."""

    def run(
        *arguments: str | Path, input: bytes | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(arguments),
            cwd=tmp_path,
            env=environment(**(env or {})),
            input=b"" if input is None else input,
            capture_output=True,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
        )

    return run


@dataclass(frozen=True)
class Done:
    """The result of a call of the program, with the names of `subprocess`."""

    returncode: int
    stdout: str
    stderr: str


class Call:
    """A function that runs the program in this process, where torch is loaded: several times as fast."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self, *arguments: str | Path) -> Done:
        self._capfd.readouterr()
        code = run_here(arguments)
        captured = self._capfd.readouterr()
        return Done(code, captured.out, captured.err)


def run_here(arguments: Sequence[str | Path]) -> int:
    """Run the program in this process on one core, restore the signal handlers, and return the exit code."""
    from fervid.cli import main

    with keep_signal_handlers(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
        return main.run(list(map(str, arguments)))


@contextmanager
def keep_signal_handlers() -> Iterator[None]:
    """Restore the handlers of the signals that the program handles."""
    named = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    before = {number: signal.getsignal(number) for number in named if number is not None}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def made_in(folder: Path, *arguments: str | Path) -> None:
    """Run the program in a folder, for files that several tests share, and check that it succeeds."""
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as errors:
        patch.chdir(folder)
        for name in UNWANTED:
            patch.delenv(name, raising=False)
        code = run_here(arguments)
    assert code == 0, errors.getvalue()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from browser import chromium  # most tests need no Playwright

    with chromium() as result:
        yield result


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Return a function that writes a report and opens it in the browser."""
    from browser import pages

    with pages(browser, tmp_path) as open_one:
        yield open_one


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the program like `fervid`, but in this process and with the tiny model: `call("info", clip)`.

    Tests of signals, pipes, imports and inheritance need `fervid`.
    """
    monkeypatch.chdir(tmp_path)
    for name in UNWANTED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FERVID_MODEL", "untrained")
    return Call(capfd)


def command(arguments: Sequence[str | Path]) -> list[str]:
    """Return the command line that runs fervid from this checkout."""
    return [sys.executable, "-W", "error", "-m", "fervid", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """Return an environment that cannot change output, in which any folder can import this checkout."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return a PATH on which `fervid` starts in milliseconds, for shell scripts that call it often."""
    folder, forks = tmp_path_factory.mktemp("bin"), Path(__file__).with_name("forks.py")
    line = [sys.executable, forks, "serve", folder / "socket"]
    call = f'"{sys.executable}" -IS "{forks}" call "{folder}/socket"'
    (folder / "fervid").write_text(f'#!/bin/sh\nexec {call} "$@"\n')
    (folder / "fervid").chmod(0o755)
    with subprocess.Popen(line, env=environment(), stdout=subprocess.PIPE) as server:
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        yield f"{folder}{os.pathsep}{os.environ['PATH']}"
        server.terminate()


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two seconds of the example clip, in which the face smiles."""
    from fervid.video import cutting, planning

    source, path = planning.plan(CLIP), tmp_path_factory.mktemp("short") / "film.mp4"
    piece = cutting.at_frames(source, source.ticks(1), source.ticks(3))
    with path.open("wb") as stream:
        cutting.encode(source, [piece], stream, ".mp4", {})
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Copy the example clip to where a test may change it."""
    return Path(shutil.copy(CLIP, tmp_path / "movie.mp4"))
