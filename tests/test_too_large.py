"""Files and pipes without an end, where fervid expects a small file: an error of one line."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import CLIP, ROOT, Call
from test_cli import says

from fervid import annotations
from fervid.batch import lists
from fervid.cli.shared import defaults
from fervid.export.timelines import reading
from fervid.model import spec

GOLDEN = ROOT / "tests" / "golden" / "clip.json"
UNTRAINED = ROOT / "fervid" / "models" / "untrained"


def test_a_timeline_that_is_too_large(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_TEXT", 100)
    says(call("show", GOLDEN), 1, f"{GOLDEN} cannot be read: File too large")


def test_a_number_in_an_error_is_cut(call: Call, tmp_path: Path) -> None:
    timeline = json.loads(GOLDEN.read_text("utf-8"))
    timeline["source"]["rotation"] = 10**300
    (tmp_path / "long.json").write_text(json.dumps(timeline), "utf-8")
    done = call("show", "long.json")
    says(done, 1, "long.json is damaged (ValueError: the rotation should be a right angle, not 1000")
    assert len(done.stderr) < 300


def test_a_list_that_is_too_large(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MOST_BYTES", 100)
    (tmp_path / "list.txt").write_bytes(bytes(101))
    words = ("batch", "-o", "results", "--from-file")
    says(call(*words, "list.txt"), 1, "cannot read the list list.txt: File too large")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(bytes(101))))
    says(call(*words, "-"), 1, "cannot read the list of standard input: File too large")


def test_annotations_that_are_too_large(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "MOST_BYTES", 100)
    (tmp_path / "human.csv").write_bytes(bytes(101))
    says(call("compare", GOLDEN, "human.csv"), 1, "human.csv cannot be read: File too large")


def test_a_spec_that_is_too_large(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec, "MOST_BYTES", 100)
    shutil.copytree(UNTRAINED, tmp_path / "model")
    done = call("analyze", GOLDEN, "--model", "model", "-t", "-")
    says(done, 1, "cannot read the spec of model model: File too large")


def test_defaults_that_are_too_large(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "MOST_BYTES", 100)
    (tmp_path / "fervid.toml").write_text("#" * 101)
    says(call("show", GOLDEN), 2, "fervid.toml cannot be read: File too large")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize(
    "words",
    [
        ("compare", GOLDEN, "pipe.csv"),
        ("compare", "pipe.json", "human.csv"),
        ("show", "pipe.json"),
        ("export", "pipe.json", "-f", "srt"),
        ("annotate", CLIP, "-t", "pipe.json", "-o", "film.mp4"),
        ("annotate", CLIP, "-t", GOLDEN, "--tracks", "pipe.npz", "-o", "film.mp4"),
        ("audience", GOLDEN, "b.json", "--film", CLIP, "--offsets", "pipe.csv", "-o", "a.json"),
        ("eval", "-d", "csv:pipe.csv"),
        ("eval", "-d", "portraits:pipe.npz"),
        ("eval", "-d", "csv:data.csv", "--by", "age", "--about", "pipe.csv"),
    ],
    ids=lambda words: " ".join(map(str, words[:3:2])),
)
def test_a_pipe_that_nobody_writes_is_not_waited_for(words: tuple[str, ...], call: Call) -> None:
    for suffix in ("csv", "json", "npz"):
        os.mkfifo(f"pipe.{suffix}")
    Path("data.csv").write_text(f"path,label\n{CLIP},happiness\n", "utf-8")
    done = call(*words)
    assert done.returncode == 1
    assert "pipe." in done.stderr.splitlines()[-1] and "a pipe or a device" in done.stderr
