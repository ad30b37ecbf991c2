"""The soak finds what grows and what is left, and its state adds up."""

from __future__ import annotations

import importlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT, environment
from media import pictures, write

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

FIGURES = {"memory": 500 << 20, "descriptors": 50, "threads": 20, "temporary files": 0, "cache bytes": 0}


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("soak")
    for name in ("soak", "soak_turns"):
        sys.modules.pop(name, None)


def test_batches_kills_and_single_runs_leave_nothing_and_the_hours_add_up(tmp_path: Path) -> None:
    clip, folder = write(tmp_path / "a.mp4", pictures(6)), tmp_path / "state"
    line = [sys.executable, "-W", "error", ROOT / "benchmarks" / "soak.py", clip, "--folder", folder]
    line += ["--hours", "0", "--json"]

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*line, *options], env=environment(), capture_output=True, text=True, check=False
        )

    done = run("--turn", "single", "--turn", "kills")
    figures = json.loads(done.stdout)
    assert (done.returncode, done.stderr, figures["faults"], figures["growth"]) == (0, "", [], [])
    assert figures["turns"] == {"single": 2, "kills": 2} and figures["hours"][0]["turns"] == 4
    assert figures["hours"][0]["memory"] > 50 << 20  # of the process of the single runs
    assert "use --continue" in run().stderr
    again = json.loads(run("--continue", "--turn", "single").stdout)
    assert again["turns"] == {"single": 4, "kills": 2} and again["interruptions"] == 1
    assert again["seconds"] > figures["seconds"] > 0


@pytest.mark.parametrize(
    ("name", "more"), [("memory", 200 << 20), ("descriptors", 9), ("threads", 9), ("temporary files", 9)]
)
def test_what_grows_is_a_fault(soak: ModuleType, name: str, more: int) -> None:
    state = soak.State()
    state.add("batch", 1800.0, {})  # warms up
    state.add("batch", 1000.0, FIGURES)
    assert list(state.growth()) == []
    state.add("batch", 3600.0, FIGURES)
    assert list(state.growth()) == []
    state.add("batch", 3600.0, {**FIGURES, name: FIGURES[name] + more})
    (growth,) = state.growth()
    assert growth.startswith(f"{name} has grown from ")
    assert [hour["turns"] for hour in state.hours] == [2, 1, 1]


def test_what_is_left_is_a_fault(soak: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        stage = soak.Stage(tmp_path, [], [], "untrained", random.Random(0), stack)
        for folder in (stage.temporary, stage.cache):
            folder.mkdir()
        assert list(soak.left(stage)) == []
        (stage.temporary / "fervid-run-1").mkdir()
        (stage.cache / "a.span").touch()
        monkeypatch.setattr(soak, "LEAVE_WITHIN", 0.0)
        pipe = subprocess.PIPE
        script = "print(flush=True); input()"
        with subprocess.Popen(
            [sys.executable, "-c", script], env=stage.environment(), stdin=pipe, stdout=pipe
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            left = [
                "cache/a.span is left",
                f"process {process.pid} is left",
                "temporary/fervid-run-1 is left",
            ]
            assert sorted(soak.left(stage)) == left
        assert process.returncode == -9
        assert os.listdir(stage.temporary) == os.listdir(stage.cache) == []
