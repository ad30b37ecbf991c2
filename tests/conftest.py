"""What several tests share."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import pytest
import quick
from hypothesis import settings

# One thread in every numeric library, here and in what tests start: the nets are tiny, and threads that wait
# for each other on a busy machine cost more than they save.
os.environ["OMP_NUM_THREADS"] = "1"

# How long an example takes is no business of a test.
settings.register_profile("fervid", deadline=None)
settings.load_profile("fervid")

ROOT = Path(__file__).parents[1]
CLIP = quick.CLIP
# The files of tests that take longest, the longest first.
LONG = (
    "test_train_default",
    "test_train",
    "test_analysis",
    "test_examples",
    "test_dask",
    "test_streams",
    "test_cli_analyze",
    "test_bench",
    "test_readme",
)

UNWANTED = {"PYTHONUNBUFFERED", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "FERVID_MODEL"}  # they change output

Fervid = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is quick; what takes longest comes first, so that none is left alone with it at the end."""
    for item in items:
        if isinstance(item, pytest.Function) and quick.is_quick(item):
            item.add_marker("quick")
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(autouse=True)
def guarded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold a quick test to it."""
    if request.node.get_closest_marker("quick") is not None:
        quick.refuse(monkeypatch)


@pytest.fixture(scope="session", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder for what several tests share, so that nobody's own is read or written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERVID_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, so that none reads what another left."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FERVID_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def fervid(tmp_path: Path) -> Fervid:
    """Run the program as a shell does: `fervid("info", clip)`, in the test's folder."""

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
    """What a call of the program came to, named as `subprocess` does."""

    returncode: int
    stdout: str
    stderr: str


class Call:
    """Run the program inside this process, which has torch already: several times as fast."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self, *arguments: str | Path) -> Done:
        self._capfd.readouterr()
        code = run_here(arguments)
        told = self._capfd.readouterr()
        return Done(code, told.out, told.err)


def run_here(arguments: Sequence[str | Path]) -> int:
    """Run the program inside this process, and leave it as it was; the exit code."""
    from fervid.cli import main

    named = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    before = {number: signal.getsignal(number) for number in named if number is not None}
    try:
        return main.run(list(map(str, arguments)))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def made_in(folder: Path, *arguments: str | Path) -> None:
    """The same in a folder, for what several tests share: that goes well, or is told why not."""
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as told:
        patch.chdir(folder)
        for name in UNWANTED:
            patch.delenv(name, raising=False)
        code = run_here(arguments)
    assert code == 0, told.getvalue()


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the program as `fervid` does, but in this process, with the tiny model: `call("info", clip)`.

    For whatever is no matter of processes: signals, pipes, what is imported, who inherits what.
    """
    monkeypatch.chdir(tmp_path)
    for name in UNWANTED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FERVID_MODEL", "untrained")
    return Call(capfd)


def command(arguments: Sequence[str | Path]) -> list[str]:
    """The command line that runs fervid from this checkout."""
    return [sys.executable, "-W", "error", "-m", "fervid", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """The environment without what would change output, with the checkout importable from any folder."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the example clip, in which the face smiles."""
    from fervid.video import cutting, planning

    source, path = planning.plan(CLIP), tmp_path_factory.mktemp("short") / "film.mp4"
    piece = cutting.at_frames(source, source.ticks(1), source.ticks(3))
    with path.open("wb") as stream:
        cutting.encode(source, [piece], stream, ".mp4", {})
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """The example clip, copied to where a test may do what it likes."""
    return Path(shutil.copy(CLIP, tmp_path / "movie.mp4"))
