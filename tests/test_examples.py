"""Test that the scripts of examples/ run and write their results."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from conftest import ROOT, environment

EXAMPLES = ROOT / "examples"
CUTS = (7.6, 9.6)  # seconds, of the example clip
NEEDS_JQ = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
NEEDS_FFMPEG = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


@pytest.fixture
def run(tmp_path: Path, programs: str) -> Run:
    return Run(tmp_path, programs)


class Run:
    """A function that runs an example in the test's folder, with `fervid` on the path and the tiny model."""

    def __init__(self, folder: Path, programs: str) -> None:
        self.folder, self._programs = folder, programs

    def __call__(self, script: str, *arguments: str | Path, input: Path | None = None) -> str:
        shell = ["sh"] if script.endswith(".sh") else [sys.executable, "-W", "error"]
        done = subprocess.run(
            [*shell, str(EXAMPLES / script), *map(str, arguments)],
            cwd=self.folder,
            env=environment(PATH=self._programs, FERVID_MODEL="untrained"),
            input=b"" if input is None else input.read_bytes(),
            capture_output=True,
            check=False,
        )
        errors = done.stderr.decode("utf-8")
        assert done.returncode == 0, errors
        assert "error" not in errors
        return done.stdout.decode("utf-8")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cut the toy dataset, as the scripts advise."""
    folder = tmp_path_factory.mktemp("toy")
    line = [sys.executable, "-W", "error", EXAMPLES / "toy_afew.py", folder]
    subprocess.run(line, env=environment(), check=True)
    return folder


def test_every_script_is_documented() -> None:
    linked = set(re.findall(r"\]\((\w+\.(?:sh|py))\)", (EXAMPLES / "README.md").read_text("utf-8")))
    scripts = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".sh", ".py")}
    assert linked == scripts - {"make_clip.py", "make_picture.py"}
    assert all(os.access(EXAMPLES / name, os.X_OK) for name in scripts if name.endswith(".sh"))


def test_the_picture_of_the_readme_is_made(run: Run) -> None:
    run("make_picture.py", "-o", "show.svg")
    for path in (run.folder / "show.svg", ROOT / "docs" / "show.svg"):
        words = " ".join(ElementTree.parse(path).getroot().itertext())
        assert "clip.mp4" in words and "Highest peaks" in words.replace("\xa0", " ")
        assert "http" not in path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")


@NEEDS_JQ
@NEEDS_FFMPEG
def test_moments_for_a_trailer(run: Run, clip: Path) -> None:
    film = run.folder / "with sound.mp4"
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=15", "-shortest"]
    small = ["-vf", "scale=320:240", "-c:v", "libx264", "-preset", "ultrafast"]
    line = ["ffmpeg", "-v", "error", "-i", str(clip), *tone, *small, str(film)]
    subprocess.run(line, check=True, stdin=subprocess.DEVNULL)
    run("trailer.sh", film, "out dir", "happiness,surprise,sadness,anger,fear,disgust")
    folder = run.folder / "out dir"
    with (folder / "moments.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    assert len(list((folder / "clips").iterdir())) == len(rows)

    parts = [line.split("\t") for line in (folder / "cut.tsv").read_text("utf-8").splitlines()]
    assert len(parts) > 1
    spans = sorted((float(start), float(start) + float(length)) for start, length, _, _ in parts)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    for start, end in spans:
        assert 1.2 <= end - start <= 3.3
        assert not any(start - 0.04 < cut < end + 0.04 for cut in CUTS)
    length = sum(end - start for start, end in spans) - 0.2 * (len(spans) - 1)
    rounded = 0.04 * len(spans)  # each clip to a whole frame
    with av.open(folder / "reel.mp4") as reel:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in reel.decode(audio=0)])
        assert len(sound) / reel.streams.audio[0].rate == pytest.approx(length, abs=rounded)
        assert np.abs(sound[4800 : -len(sound) // 4]).max() > 0.05
    with av.open(folder / "reel.mp4") as reel:
        levels = [frame.to_ndarray(format="gray").mean() for frame in reel.decode(video=0)]
    assert len(levels) / 25 == pytest.approx(length, abs=rounded)
    assert min(levels) > 20


@NEEDS_JQ
def test_afew_is_scored(run: Run, toy: Path) -> None:
    printed = run("afew.sh", toy, "scored")
    assert re.search(r"\d+ % of 4 clips named right, 0 without a face", printed)
    with (run.folder / "scored" / "predictions.csv").open(encoding="utf-8") as stream:
        assert len(list(csv.DictReader(stream))) == 4
    with (run.folder / "scored" / "labels.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] for row in rows] == ["happiness", "sadness", "surprise", "neutral"]
    assert [row["clips"] for row in rows] == ["1"] * 4
    assert all(0 <= float(row["recall"]) <= 1 for row in rows)
    assert all(row["low"] == row["high"] == "" for row in rows)  # of one person there is no interval


@NEEDS_JQ
def test_the_seconds_of_a_pipeline_add_up(run: Run, short: Path) -> None:
    rows = [line.split("\t") for line in run("pipeline.sh", input=short).splitlines()]
    seconds = [float(number) for number, _ in rows]
    assert seconds == sorted(seconds, reverse=True)
    assert sum(seconds) == pytest.approx(2, abs=0.3)


def test_a_model_is_finetuned_on_own_clips(run: Run, toy: Path) -> None:
    printed = run("finetune.sh", toy / "Train_AFEW", toy / "Val_AFEW", "better", "1")
    assert printed.index("before:") < printed.index("after:")
    assert (run.folder / "better" / "model.safetensors").exists()


def test_a_timeline_becomes_tables(run: Run) -> None:
    pandas = pytest.importorskip("pandas")
    printed = run("read_timeline.py", ROOT / "tests" / "golden" / "clip.json", "curves.csv")
    assert "seconds of each visible expression" in printed
    assert "happiness" in printed
    table = pandas.read_csv(run.folder / "curves.csv")
    assert {"track", "seconds", "valence", "happiness"} <= set(table.columns)
    assert len(table) > 20
