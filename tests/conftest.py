"""What several tests share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

# One thread in every numeric library, here and in what tests start: the nets are tiny, and threads that wait
# for each other on a busy machine cost more than they save.
os.environ["OMP_NUM_THREADS"] = "1"

# How long an example takes is no business of a test.
settings.register_profile("fervid", deadline=None)
settings.load_profile("fervid")

ROOT = Path(__file__).parents[1]
CLIP = ROOT / "examples" / "clip.mp4"

Fervid = Callable[..., "subprocess.CompletedProcess[str]"]


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


def command(arguments: Sequence[str | Path]) -> list[str]:
    """The command line that runs fervid from this checkout."""
    return [sys.executable, "-W", "error", "-m", "fervid", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """The environment without what would change output, with the checkout importable from any folder."""
    dropped = {"PYTHONUNBUFFERED", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "FERVID_MODEL"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """The example clip, copied to where a test may do what it likes."""
    return Path(shutil.copy(CLIP, tmp_path / "movie.mp4"))
