"""Killing the analysis of a film at random times changes no byte of its output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import cv2
import pytest
from conftest import CLIP, ROOT, environment
from media import write


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_kills_at_seeded_times_change_no_byte(tmp_path: Path) -> None:
    with av.open(str(CLIP)) as container:
        luma = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    small = [cv2.resize(picture, (320, 240), interpolation=cv2.INTER_AREA) for picture in luma[:130:2]]
    film = write(tmp_path / "film.mp4", small, rate=1, gop=10)
    # The kill comes after three quarters of the time that a whole run takes.
    arguments = ["--rounds", "1", "--kills", "1", "--seed", "26", "--jobs", "2", "--json"]
    for _ in range(3):  # on a machine that is busy only at first, a run may end before its kill
        done = subprocess.run(
            [sys.executable, "-W", "error", ROOT / "benchmarks" / "kills.py", film, *arguments],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        figures = json.loads(done.stdout)
        assert (done.returncode, done.stderr) == (0, "")
        assert figures["rounds"] == 1
        assert figures["differing"] == [] and figures["spans_done_again"] == 0
        if figures["kills"]:
            break
    assert figures["kills"] > 0
