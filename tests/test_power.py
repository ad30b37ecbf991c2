"""A power failure leaves old or new files, and the same command ends in the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, environment
from media import pictures, write


def can_trace() -> bool:
    """Return whether strace is installed, and may trace a process: in some containers it may not."""
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "-qq", "-o", os.devnull, "true"]).returncode == 0


pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write two clips and a damaged file."""
    folder = tmp_path_factory.mktemp("power")
    clips = [write(folder / f"{number}.mp4", pictures(6 + number)) for number in range(2)]
    (folder / "text.mp4").write_text("hello")
    return [*clips, folder / "text.mp4"]


def figures(inputs: list[Path], *options: str) -> tuple[int, dict[str, Any]]:
    script = ROOT / "benchmarks" / "power.py"
    line: list[str | Path] = [sys.executable, "-W", "error", script, *inputs, "--json", *options]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    (tally,) = json.loads(done.stdout)
    return done.returncode, tally


@pytest.mark.parametrize("scenario", ["batch", "overwrite", "analyze"])
def test_a_power_failure_mixes_no_files_and_the_same_command_resumes(
    inputs: list[Path], scenario: str
) -> None:
    code, tally = figures(inputs, "--scenario", scenario, "--resumes", "8", "--jobs", "1")
    assert (code, tally["faults"]) == (0, [])
    assert tally["states"] > 30 and tally["resumed"] == 8 and tally["syncs"] >= 4


def test_without_syncs_a_power_failure_would_mix_files(inputs: list[Path]) -> None:
    code, tally = figures(inputs, "--scenario", "batch", "--resumes", "0", "--jobs", "1", "--ignore-syncs")
    assert code == 1 and tally["syncs"] == 0
    assert any("lists 0.mp4.json, which is not there" in fault for fault in tally["faults"])
    assert any("0.mp4.json is neither the old file nor the new one" in fault for fault in tally["faults"])
