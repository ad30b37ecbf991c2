"""Test that help loads none of the heavy libraries, because it must be instant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, environment
from media import pictures, write

HEAVY = {"torch", "cv2", "dlib", "scipy", "av", "numpy", "rich", "safetensors"}
PRINT = "print(*sys.modules, file=sys.stderr)"
LOOK = f"import sys; from fervid.cli.main import run; run(sys.argv[1:]); {PRINT}"


def modules_after(*arguments: str, code: str = LOOK) -> set[str]:
    """Return the modules that are loaded after the program has run."""
    line = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(line, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout
    return set(done.stderr.split())


COMMANDS = ("analyze", "extract", "peaks", "export", "compare", "train", "eval")


@pytest.mark.parametrize("arguments", ["--help", "--version", *(f"{name} --help" for name in COMMANDS)])
def test_help_loads_no_heavy_library(arguments: str) -> None:
    loaded = modules_after(*arguments.split())
    assert "click" in loaded
    assert not loaded & HEAVY


def test_help_loads_no_command() -> None:
    loaded = modules_after("--help")
    commands = {name.removeprefix("fervid.cli.") for name in loaded if name.startswith("fervid.cli.")}
    shared = {f"shared.{name}" for name in ("messages", "options", "output", "values")}
    assert commands <= {"main", "shared"} | shared


def test_models_list_does_not_load_torch() -> None:
    loaded = modules_after("models", "list")
    assert "fervid.model" in loaded and "torch" not in loaded


def test_beside_workers_an_analysis_needs_no_torch(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", pictures(130), rate=2, gop=4)  # two spans
    options = ("--jobs", "2", "--min-face", "0.5", "--no-cache", "--timeline", "-")
    loaded = modules_after("analyze", str(film), *options)
    assert "fervid.model" in loaded and "torch" not in loaded


def test_types_need_only_numpy() -> None:
    code = f"import sys, fervid.types, fervid.labels, fervid.errors; print(); {PRINT}"
    loaded = modules_after(code=code)
    assert "numpy" in loaded
    assert not loaded & (HEAVY - {"numpy"} | {"click"})


def test_an_analysis_sets_one_thread_before_numpy_is_imported(tmp_path: Path) -> None:
    """Sums would depend on the number of cores, and idle threads of OpenBLAS take time."""
    (tmp_path / "movie.mp4").write_text("not a video")
    watch = """
import os, sys
def watch(event, arguments):
    if event == "import" and arguments[0] in ("numpy", "cv2"):
        print(arguments[0], os.environ.get("OPENBLAS_NUM_THREADS"), os.environ.get("OPENCV_FOR_THREADS_NUM"))
sys.addaudithook(watch)
from fervid.cli.main import run
run(sys.argv[1:])
"""
    done = subprocess.run(
        [sys.executable, "-c", watch, "analyze", "movie.mp4"],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.splitlines()) == {"numpy 1 1", "cv2 1 1"}, done.stderr
