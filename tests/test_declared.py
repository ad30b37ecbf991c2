"""Sizes that files declare and do not have: an error of one line, before memory is taken."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Call
from safetensors.numpy import load, save
from test_cli import says

from fervid.errors import InputError, ModelError
from fervid.model import spec as specs

UNTRAINED = ROOT / "fervid" / "models" / "untrained"
SPEC = json.loads((UNTRAINED / specs.SPEC).read_text("utf-8"))
HUGE = 10**9
MEMORY = 200 << 10 if sys.platform == "linux" else 200 << 20  # of getrusage: in KiB, elsewhere in bytes


def model_in(folder: Path, weights: bytes, **sizes: Any) -> Path:
    """Write a model whose first stream has these sizes."""
    folder.mkdir()
    first, *others = SPEC["streams"]
    spec = SPEC | {
        "streams": [first | {"sizes": sizes}, *others],
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    (folder / specs.SPEC).write_text(json.dumps(spec))
    (folder / specs.WEIGHTS).write_bytes(weights)
    return folder


def header(value: Any, content: bytes = b"", size: int | None = None) -> bytes:
    text = json.dumps(value).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + content


def tensor(shape: list[int], end: int, kind: str = "F32") -> dict[str, Any]:
    return {"tiny_faces.top.weight": {"dtype": kind, "shape": shape, "data_offsets": [0, end]}}


@pytest.mark.parametrize("value", [HUGE, 2**40, -1, 1.5, True, "4", None, [4]])
def test_sizes_of_a_stream_that_no_stream_has(value: Any, tmp_path: Path) -> None:
    folder = model_in(tmp_path / "model", (UNTRAINED / specs.WEIGHTS).read_bytes(), width=value)
    with pytest.raises(ModelError, match=r"declares width = .* whole number up to 65536: fetch") as error:
        specs.info(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [None, 7, ["still"], {}])
def test_a_stream_without_a_name(value: Any, tmp_path: Path) -> None:
    folder = model_in(tmp_path / "model", b"")
    spec = json.loads((folder / specs.SPEC).read_text())
    spec["streams"][0]["name"] = value
    (folder / specs.SPEC).write_text(json.dumps(spec))
    with pytest.raises(ModelError, match="a stream without a name: fetch the model again"):
        specs.read_spec(folder)


def test_sizes_that_are_no_names_and_numbers(tmp_path: Path) -> None:
    folder = model_in(tmp_path / "model", b"")
    spec = json.loads((folder / specs.SPEC).read_text())
    spec["streams"][0]["sizes"] = [HUGE]
    (folder / specs.SPEC).write_text(json.dumps(spec))
    with pytest.raises(ModelError, match="declares sizes ="):
        specs.read_spec(folder)


@pytest.mark.parametrize(
    ("stream", "sizes"),
    [
        ("phrnn", {"width": 65536, "hidden": 65536}),
        ("tiny_faces", {"width": 30000}),
        ("c3d_full", {"width": 65536, "hidden": 65536}),
        ("aggregate_forest", {"depth": 60000}),
        ("aggregate_forest", {"depth": 24}),
        ("aggregate_covariance", {"components": 65536}),
        ("still", {"blocks": 65536}),
    ],
)
def test_a_network_that_is_far_larger_than_its_weights(
    stream: str, sizes: dict[str, int], tmp_path: Path
) -> None:
    from fervid.model import weights

    folder = model_in(tmp_path / "model", (UNTRAINED / specs.WEIGHTS).read_bytes(), **sizes)
    spec = json.loads((folder / specs.SPEC).read_text())
    spec["streams"][0]["name"] = stream
    (folder / specs.SPEC).write_text(json.dumps(spec))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=f"the weights of stream {stream} .* do not fit its sizes"):
        weights.load(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY


@pytest.mark.parametrize(
    "content",
    [
        header(tensor([2**40], 2**42)),
        header(tensor([2**40], 16), bytes(16)),
        header(tensor([2**32, 2**32], 2**66)),
        header(tensor([2**62, 0], 0)),
        header(tensor([-1], 4), bytes(4)),
        header(tensor([2], 4, "BF16"), bytes(4)),
        header(tensor([4], 4, "F8_E4M3"), bytes(4)),
        header({}, size=2**40),
        header({}, size=2**63),
        b"",
    ],
    ids=[
        "2^40 weights",
        "cut",
        "overflow",
        "none",
        "negative",
        "bfloat16",
        "float8",
        "header",
        "signed",
        "empty",
    ],
)
def test_weights_that_declare_what_they_do_not_have(content: bytes, tmp_path: Path) -> None:
    from fervid.model import weights

    folder = model_in(tmp_path / "model", content)
    with pytest.raises(ModelError, match=r"fetch the model again|are damaged|do not fit") as error:
        weights.load(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        *({"weight": value} for value in (float("nan"), float("inf"), 1e308, "1", None, True)),
        *({"reads": value} for value in (7, ["faces"], None, "\x1b[2J")),
        *({"illumination": value} for value in (None, [], "\x1b[2J")),
        *({"window": value} for value in (["short"], None)),
    ],
    ids=str,
)
def test_values_of_a_stream_that_no_stream_has(change: dict[str, Any], tmp_path: Path) -> None:
    folder = model_in(tmp_path / "model", (UNTRAINED / specs.WEIGHTS).read_bytes())
    spec = json.loads((folder / specs.SPEC).read_text())
    spec["streams"][0] |= {"sizes": SPEC["streams"][0]["sizes"], **change}
    (folder / specs.SPEC).write_text(json.dumps(spec))
    with pytest.raises(
        ModelError, match=f"declares {next(iter(change))} = .* fetch the model again"
    ) as error:
        specs.info(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("label", ["joy", "x" * 10**6, 1])
def test_a_label_that_fervid_does_not_have(label: Any, tmp_path: Path) -> None:
    folder = model_in(tmp_path / "model", (UNTRAINED / specs.WEIGHTS).read_bytes())
    spec = json.loads((folder / specs.SPEC).read_text())
    (folder / specs.SPEC).write_text(json.dumps(spec | {"labels": [*spec["labels"][1:], label]}))
    with pytest.raises(ModelError, match="has the unknown label") as error:
        specs.info(folder)
    assert len(str(error.value)) < 200 + len(str(folder))


def test_a_stream_that_reads_what_its_network_does_not(tmp_path: Path) -> None:
    from fervid.model import weights

    folder = model_in(tmp_path / "model", (UNTRAINED / specs.WEIGHTS).read_bytes())
    spec = json.loads((folder / specs.SPEC).read_text())
    spec["streams"] = [{**SPEC["streams"][0], "reads": "points"}, *SPEC["streams"][1:]]
    (folder / specs.SPEC).write_text(json.dumps(spec))
    with pytest.raises(ModelError, match="do not fit"):
        weights.load(folder)


@pytest.mark.parametrize(("fill", "temperature"), [(np.nan, 1.0), (np.inf, 1.0), (1e38, 1.0), (None, 5e-324)])
def test_scores_that_are_not_numbers(
    fill: float | None, temperature: float, tmp_path: Path, short: Path, call: Call
) -> None:
    tensors = load((UNTRAINED / specs.WEIGHTS).read_bytes())
    if fill is not None:
        tensors = {name: np.full_like(value, fill) for name, value in tensors.items()}
    folder = model_in(tmp_path / "model", save(tensors))
    spec = json.loads((folder / specs.SPEC).read_text())
    spec |= {"streams": SPEC["streams"], "temperature": temperature}
    (folder / specs.SPEC).write_text(json.dumps(spec))
    done = call("analyze", short, "-j1", "--model", folder, "-t", "out.json")
    says(done, 1, "the scores of model untrained are not numbers: fetch the model again")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("declared", [16, 2**40])
def test_weights_of_a_terabyte_are_not_read(
    declared: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = header(tensor([declared // 4], declared))
    folder = model_in(tmp_path / "model", content)
    os.truncate(folder / specs.WEIGHTS, len(content) + 2**40)  # a sparse file
    monkeypatch.setattr(specs, "_digest", lambda *_: pytest.fail("they were read"))
    with pytest.raises(ModelError, match="not of the size they declare"):
        specs.verify(folder)


def png(width: int, height: int) -> bytes:
    """Return a picture with a few rows of those that it declares."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((65536, 32768), r"has more than 2\^30 pixels"),
        ((2**20, 2**12), "cannot be read as a picture"),
        ((2**31 - 1, 1), "cannot be read as a picture"),
        ((640, 480), "cannot be read as a picture"),
    ],
)
def test_a_portrait_of_more_pixels_than_a_picture_may_have(
    size: tuple[int, int], reason: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from fervid.people import gallery

    (tmp_path / "Anna.png").write_bytes(png(*size))
    with pytest.raises(InputError, match=f"no usable portrait of Anna: .*{reason}") as error:
        gallery.read_gallery(str(tmp_path))
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")  # of the libraries


def test_what_other_code_prints_about_errors_is_not_dropped(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import cv2

    from fervid.people import gallery

    cv2.imwrite(str(tmp_path / "Anna.png"), np.zeros((64, 64), np.uint8))
    assert gallery._luma(tmp_path / "Anna.png").shape == (64, 64)
    os.write(2, b"later")
    assert capfd.readouterr().err == "later"
