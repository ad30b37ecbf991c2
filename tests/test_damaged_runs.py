"""Damaged checkpoints, recipes and tables of training, and run folders with odd names."""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, Call
from safetensors.torch import save
from test_cli import says

from fervid import files, model
from fervid.errors import InputError
from fervid.train import state as states
from fervid.train.state import State

UNTRAINED = ROOT / "fervid" / "models" / "untrained"
WHOLE = State(epoch=2, step=1, best=0.5, best_epoch=1, history={"loss": [1.0, 0.5]})


def stored(path: Path, plain: Any) -> Path:
    """Write a checkpoint with these values that are not tensors."""
    path.write_bytes(save({"none": torch.zeros(1)}, {"state": json.dumps(plain)}))
    return path


def plain(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(WHOLE).items() if name != "tensors"} | changes


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        plain(epoch="2"),
        plain(epoch=-5),
        plain(step=10**400),
        plain(step=1.5),
        plain(sums=None),
        plain(sums=["a"]),
        plain(history=[]),
        plain(history={"loss": 1}),
        plain(history={"loss": ["x"]}),
        plain(finished="yes"),
        plain(finished=True, best_epoch=7),
        plain(of_a_later_version=1),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_checkpoint_with_other_values(value: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is damaged: delete it"):
        states.read(stored(tmp_path / "a.safetensors", value))


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8, b"\xff" * 8, struct.pack("<Q", 2) + b"{}", b"[" * 100_000, os.urandom(100)],
    ids=["empty", "zeros", "ones", "bare", "deep", "random"],
)
def test_a_checkpoint_that_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        states.read(path)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    whole = State(**plain(best=1, sums=[0, float("nan"), 2.0]), tensors={"best/a": torch.ones(2)})
    states.write(tmp_path / "a.safetensors", whole)
    read = states.read(tmp_path / "a.safetensors")
    assert read is not None and str(read) == str(whole)


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"[]",
            b"7",
            b"[" * 100_000,
            b"\xff",
            b'{"epochs": 1e999}',
            b'{"epochs": "2"}',
            b'{"epochs": true}',
        ),
        *(b'{"data": "synth:posed"}', b'{"streams": [1]}', b'{"sizes": []}', b'{"sizes": {"still": 1}}'),
        *(b'{"sizes": {"still": {"width": "1"}}}', b'{"seed": 1.5}', b'{"labels": null}'),
    ],
)
def test_a_damaged_recipe(content: bytes, call: Call, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_bytes(content)
    says(call("train", "-o", "run", "--resume"), 1, "run contains no training run to resume")


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 here")
def test_names_of_folders_need_not_be_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xe9\xff")
    shutil.copytree(UNTRAINED, folder)
    assert model.load(folder).spec.name == "untrained"
    states.write(folder / "a.safetensors", WHOLE)
    assert states.read(folder / "a.safetensors") is not None


@pytest.mark.parametrize("layout", ["csv", "affectnet", "expw", "rafdb"])
def test_a_line_without_an_end(layout: str, call: Call, tmp_path: Path) -> None:
    tables = {
        "csv": "data",
        "affectnet": "data/training.csv",
        "expw": "data/label/label.lst",
        "rafdb": "data/EmoLabel/list_patition_label.txt",
    }
    table = tmp_path / tables[layout]
    table.parent.mkdir(parents=True, exist_ok=True)
    for name in ("image/origin", "Image/aligned", "Manually_Annotated_Images"):
        if layout != "csv":
            (tmp_path / "data" / name).mkdir(parents=True)
    head = (
        "path,label\n" if layout == "csv" else "subDirectory_filePath,expression\n" * (layout == "affectnet")
    )
    table.write_text(head)
    os.truncate(table, 1 << 36)  # a sparse file
    says(call("datasets", "check", f"{layout}:data"), 1, "a line has more than 1,048,576 characters")


def test_pictures_that_exist_are_not_replaced(call: Call, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "confusion.png").write_text("of the training")
    done = call("eval", "-d", "synth:posed", "--model", "untrained", "--pictures", "run")
    says(done, 1, "run/confusion.png exists already: use -y")


@pytest.mark.skipif(sys.platform == "win32", reason="no locks here")
def test_two_commands_do_not_train_in_one_folder(call: Call, tmp_path: Path) -> None:
    data = ("-d", "synth:posed?people=4&per_class=4&faces=no", "--streams", "phrnn", "--epochs", "1", "-j1")
    assert call("train", *data, "-o", "run").returncode == 0
    before = sorted(os.listdir("run"))
    (tmp_path / "link").symlink_to("run")
    lock = files.take_lock(tmp_path / "run")
    assert lock is not None
    for name in ("run", "link"):
        says(call("train", *data, "-o", name, "-y"), 1, f"another command trains in {name}: wait for it")
    assert sorted(os.listdir("run")) == before
    (tmp_path / "run" / "state").mkdir()  # as if it was interrupted
    says(call("train", "-o", "run", "--resume"), 1, "another command trains in run: wait for it")
    lock.release()
    assert call("train", "-o", "run", "--resume", "-j1").returncode == 0
    assert call("train", *data, "-o", "link", "-y").returncode == 0


def test_faces_that_cannot_be_cached(call: Call, cache: Path) -> None:
    shutil.rmtree(cache)
    cache.write_text("no folder")
    words = ("eval", "-d", "synth:posed?people=1&per_class=1", "--model", "untrained", "-j1")
    says(call(*words), 1, "cannot write faces to the cache", "FERVID_CACHE_DIR")
