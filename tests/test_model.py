"""Models: find, describe, verify, save and load them, and their scores."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import make_untrained
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from fervid import clips, model, streams
from fervid.errors import ModelError, OutputError
from fervid.labels import EMOTIONS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the untrained model, to be damaged."""
    return Path(shutil.copytree(model.find("untrained"), tmp_path / "model"))


def test_two_streams_of_one_name_are_an_error() -> None:
    name = streams.names()[0]
    with pytest.raises(ValueError, match=name):
        streams.stream(name)(lambda classes: torch.nn.Linear(1, classes))
    assert streams.build(name, 7)


@pytest.mark.parametrize("name", model.installed())
def test_installed_models_are_valid(name: str) -> None:
    model.verify(name)
    info, net = model.info(name), model.load(name)
    assert info.name == net.spec.name == name
    assert set(info.labels) <= set(EMOTIONS) and len(info.sha256) == 64
    assert {stream.reads for stream in net.spec.streams} <= {"faces", "displacement"}
    assert info.licences


def test_the_untrained_model_is_made_by_its_script(tmp_path: Path) -> None:
    make_untrained.make(tmp_path)
    for name in (model.SPEC, model.WEIGHTS):
        assert (tmp_path / name).read_bytes() == (model.find("untrained") / name).read_bytes(), name


def test_models_are_found_by_name_folder_and_file(folder: Path) -> None:
    assert "untrained" in model.installed()
    assert model.find("untrained").name == "untrained"
    for path in (folder, folder / model.SPEC, str(folder / model.WEIGHTS)):
        assert model.find(path) == folder


@pytest.mark.parametrize("name", ["nobody", "", "../models", "/nowhere/at/all"])
def test_an_unknown_model_is_an_error(name: str) -> None:
    with pytest.raises(ModelError, match=r"choose one of .*untrained.*, or give a folder"):
        model.read_spec(name)


def test_damaged_weights_are_an_error(folder: Path) -> None:
    weights = bytearray((folder / model.WEIGHTS).read_bytes())
    weights[-5] ^= 1
    (folder / model.WEIGHTS).write_bytes(weights)
    for use in (model.verify, model.info, model.load):
        with pytest.raises(ModelError, match="damaged"):
            use(folder)
    (folder / model.WEIGHTS).unlink()
    with pytest.raises(ModelError, match="cannot read the weights"):
        model.info(folder)
    os.mkfifo(folder / model.WEIGHTS)
    with pytest.raises(ModelError, match="are not a file"):
        model.info(folder)


JOINT = {"fusion": "joint"}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe", b'{"format": 1, "name": "x"}']
)
def test_a_damaged_spec_is_an_error(folder: Path, content: bytes) -> None:
    (folder / model.SPEC).write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        model.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"streams": []}, "no streams"),
        ({"labels": ["a", "a"]}, "labels repeat"),
        ({"labels": ["a", "\x1b[2Jb"]}, "a label that cannot be printed"),
        ({"streams": [{"name": "x"}]}, "damaged"),
        ({"temperature": "warm"}, "damaged"),
        ({"picture_temperature": 0}, "temperature 0.0, not a number above 0"),
        ({"streams": [{"name": "nobody", "reads": "faces", "sizes": {}, "weight": 1.0}]}, "nobody"),
        (
            {"yielding": {"tiny_displacement": 0.5}, "leading": ["tiny_faces"]},  # of a weighted sum
            "yield in a way that is unknown",
        ),
        ({**JOINT, "yielding": {"tiny_displacement": 0.5}}, "yield in a way that is unknown"),
        ({**JOINT, "yielding": {"nobody": 0.5}, "leading": ["tiny_faces"]}, "yield in a way that is unknown"),
        (
            {**JOINT, "yielding": {"tiny_displacement": 2}, "leading": ["tiny_faces"]},
            "yield in a way that is unknown",
        ),
        (
            {**JOINT, "yielding": {"tiny_faces": 0.5}, "leading": ["tiny_faces"]},
            "yield in a way that is unknown",
        ),
        ({"yielding": ["tiny_displacement"]}, "damaged"),
        ({"one_way": {"tiny_displacement": 0.5}}, "yield in a way that is unknown"),  # of a weighted sum
        ({**JOINT, "one_way": {"tiny_displacement": -1}}, "yield in a way that is unknown"),
        ({**JOINT, "one_way": {"nobody": 1}}, "yield in a way that is unknown"),
        (
            {**JOINT, "one_way": {"tiny_faces": 1}, "leading": ["tiny_faces"]},
            "yield in a way that is unknown",
        ),
        ({"labels": ["one", "two"]}, "unknown label 'one'"),
        ({"labels": ["anger", "fear"]}, "do not fit"),
        (
            {"streams": [{"name": "tiny_faces", "reads": "faces", "sizes": {"nonsense": 3}, "weight": 1.0}]},
            "tiny_faces",
        ),
    ],
)
def test_an_invalid_spec_is_an_error(folder: Path, change: dict[str, object], message: str) -> None:
    value = json.loads((folder / model.SPEC).read_text())
    (folder / model.SPEC).write_text(json.dumps({**value, **change}))
    with pytest.raises(ModelError, match=message):
        model.load(folder)


def test_a_missing_device_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model.check_device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="--device cpu"):
        model.check_device("cuda")
    with pytest.raises(ModelError, match="--device cpu"):
        model.load("untrained", "cuda")
    with pytest.raises(ModelError, match="unknown device 'tpu'"):
        model.check_device("tpu")


def test_a_model_survives_saving_and_loading(folder: Path, tmp_path: Path) -> None:
    spec, tensors = model.read_spec(folder), load_file(folder / model.WEIGHTS)
    parts = (replace(spec.streams[0], weight=0.25), spec.streams[1])
    own = replace(spec, name="own", temperature=1.7, picture_temperature=0.8, streams=parts)
    assert [own.temperature_of(is_picture) for is_picture in (False, True)] == [1.7, 0.8]
    assert spec.temperature_of(is_picture=True) == spec.temperature
    model.save(tmp_path / "own", own, tensors)
    again = model.read_spec(tmp_path / "own")
    assert replace(again, weights_sha256="") == replace(own, weights_sha256="")
    assert again.weights_sha256 == spec.weights_sha256  # the same tensors, the same bytes
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [model.SPEC, model.WEIGHTS]
    loaded = model.load(tmp_path / "own")
    for stream, network in loaded.networks.items():
        for name, value in network.state_dict().items():
            assert np.array_equal(value.numpy(), tensors[f"{stream}.{name}"])
    assert model.info(tmp_path / "own").sha256 != model.info(folder).sha256


def test_a_full_disk_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    spec, tensors = model.read_spec(folder), load_file(folder / model.WEIGHTS)
    with pytest.raises(OutputError, match=r"cannot write the model in .*own: No space left.*free some space"):
        model.save(tmp_path / "own", spec, tensors)
    assert not list((tmp_path / "own").iterdir())


def inputs(reads: str, count: int) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    if reads == "faces":
        return list(random.integers(0, 255, (count, clips.LENGTH, 64, 64)).astype(np.uint8))
    return list(random.normal(0, 0.05, (count, clips.LENGTH, 68, 2)).astype(np.float32))


@pytest.mark.parametrize(
    ("name", "stream"),
    [(name, stream) for name in model.installed() for stream in model.read_spec(name).streams],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_logits_do_not_depend_on_the_batch(name: str, stream: model.StreamSpec) -> None:
    net, windows = model.load(name), inputs(stream.reads, 11)
    whole = net.logits(stream.name, windows)
    assert whole.shape == (11, len(net.spec.labels)) and whole.dtype == np.float32
    assert len({row.tobytes() for row in whole}) == 11  # and they differ
    alone = np.concatenate([net.logits(stream.name, [window]) for window in windows])
    assert alone.tobytes() == whole.tobytes()
    backwards = net.logits(stream.name, windows[::-1])[::-1]
    assert backwards.tobytes() == whole.tobytes()
    assert net.logits(stream.name, []).shape == (0, len(net.spec.labels))


def test_networks_run_on_one_thread_and_keep_the_callers_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    net = model.load("untrained")
    stream, seen = net.spec.streams[0], []

    def broken(window: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        raise RuntimeError("broken off")

    monkeypatch.setattr(net.networks[stream.name], "features", broken)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(RuntimeError, match="broken off"):
            net.logits(stream.name, inputs(stream.reads, 1))
        assert seen == [1] and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


FIGURES = {"rows": {"stills": {"one": 0.5, "both": 0.75}}, "weights_sha256": ""}


def test_accuracy_is_of_these_weights_or_missing(folder: Path) -> None:
    assert model.accuracy(folder) == {}
    sha256 = model.read_spec(folder).weights_sha256
    (folder / model.ACCURACY).write_text(json.dumps(FIGURES | {"weights_sha256": sha256}))
    assert model.accuracy(folder) == {"stills": {"one": 0.5, "both": 0.75}}
    (folder / model.ACCURACY).write_text(json.dumps(FIGURES | {"weights_sha256": "0" * 64}))
    assert model.accuracy(folder) == {}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weights_sha256": "%s", "rows": {"stills": 3}}'])
def test_damaged_accuracy_is_an_error(folder: Path, text: str) -> None:
    text = text.replace("%s", model.read_spec(folder).weights_sha256)
    (folder / model.ACCURACY).write_text(text)
    with pytest.raises(ModelError, match=r"accuracy\.json"):
        model.accuracy(folder)


def test_only_the_networks_that_read_an_input_are_loaded() -> None:
    whole, part = model.load("default"), model.load("default", reads="displacement")
    assert [*whole.networks] == [*whole.joint] == [stream.name for stream in whole.spec.streams]
    assert [*part.networks] == [*part.joint] == ["phrnn"] and part.spec == whole.spec
    windows = inputs("displacement", 3)
    assert np.array_equal(part.logits("phrnn", windows), whole.logits("phrnn", windows))


def test_scores_are_a_weighted_sum_at_a_temperature() -> None:
    net = model.load("untrained")
    one, two = net.spec.streams
    first, second = np.random.default_rng(0).normal(0, 3, (2, 5, 7)).astype(np.float32)
    streams = (replace(one, weight=0.5), replace(two, weight=3.0))
    spec = replace(net.spec, temperature=2.0, streams=streams)
    warm = model.Model(spec, net.networks, {}, net.device)
    fused = warm.fuse({one.name: first, two.name: second}, np.zeros(5, np.float32))
    assert fused == pytest.approx(0.5 * first + 3.0 * second, rel=1e-6)
    scores = warm.probabilities(fused)
    assert scores.sum(1) == pytest.approx(np.ones(5), abs=1e-6)
    assert np.log(scores[:, 1:] / scores[:, :1]) == pytest.approx((fused[:, 1:] - fused[:, :1]) / 2, abs=1e-4)
    huge = warm.probabilities(np.array([[1e4, 0, -1e4]], np.float32))
    assert huge.tolist() == [[1, 0, 0]]
