"""A batch on a cluster that breaks ends in the bytes of one machine, at the latest when it runs again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, environment
from media import pictures, write

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def test_a_scheduler_that_starts_again_changes_no_byte(tmp_path: Path) -> None:
    clip, script = write(tmp_path / "a.mp4", pictures(6)), ROOT / "benchmarks" / "machines.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", script, clip, "--case", "restart", "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    (tally,) = json.loads(done.stdout)
    assert (done.returncode, done.stderr, tally["faults"]) == (0, "", [])
    assert tally["same"] + tally["stopped"] == 1
