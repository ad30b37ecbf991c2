"""A power failure leaves old or new files, and the same command ends in the same bytes."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import ROOT, keep_signal_handlers
from media import pictures, write

Figures = Callable[..., tuple[int, dict[str, Any]]]


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


@pytest.fixture(scope="module")
def power() -> Iterator[ModuleType]:
    """Import the script, which resumes in this process, where torch is loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("power")
    for name in ("power", "power_disk"):
        sys.modules.pop(name, None)


@pytest.fixture
def figures(
    inputs: list[Path],
    power: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Figures:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the run that is traced

    def run(*options: str) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["power.py", *map(str, inputs), "--json", *options])
        with keep_signal_handlers(), pytest.raises(SystemExit) as end:
            power.main()
        printed = capsys.readouterr()
        assert printed.err == ""
        (tally,) = json.loads(printed.out)
        return int(end.value.code or 0), tally

    return run


@pytest.mark.parametrize("scenario", ["batch", "overwrite", "analyze"])
def test_a_power_failure_mixes_no_files_and_the_same_command_resumes(figures: Figures, scenario: str) -> None:
    code, tally = figures("--scenario", scenario, "--resumes", "8", "--jobs", "1")
    assert (code, tally["faults"]) == (0, [])
    assert tally["states"] > 30 and tally["resumed"] == 8 and tally["syncs"] >= 4


def test_without_syncs_a_power_failure_would_mix_files(figures: Figures) -> None:
    code, tally = figures("--scenario", "batch", "--resumes", "0", "--jobs", "1", "--ignore-syncs")
    assert code == 1 and tally["syncs"] == 0
    assert any("lists 0.mp4.json, which is not there" in fault for fault in tally["faults"])
    assert any("0.mp4.json is neither the old file nor the new one" in fault for fault in tally["faults"])
