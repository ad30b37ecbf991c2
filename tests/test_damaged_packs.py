"""Packs of pictures that declare what they do not have, or are zip bombs: an error of one line."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import media
import numpy as np
import pytest
from conftest import Call
from test_cli import says

from fervid.datasets import packs
from fervid.export.frames import geometry

COUNT = 6


def header(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    """Return the beginning of a .npy file."""
    text = str({"descr": kind, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def pack(path: Path, **changed: bytes) -> Path:
    """Write a pack of portraits with some of its files changed."""
    whole = {
        "images": npy(np.zeros((COUNT, 48, 48), np.uint8)),
        "label": npy(np.arange(COUNT) % 6),
        "person": npy(np.arange(COUNT)),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (whole | changed).items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"images": header((10**9, 48, 48))},
        {"images": header((2**62, 4, 4))},
        {"images": header((-1, 48, 48))},
        {"images": header((COUNT, 48, 48))},
        {"label": header((10**12,), "<i8")},
        {"label": npy(np.array([{"a": 1}] * COUNT))},
        {"images": b""},
        {"images": header((COUNT, 48, 48)).replace(b"}", b" ")},
        {"images": npy(np.zeros((COUNT, 1000, 1000), np.uint8))},  # 6 MB in 6 kB
    ],
    ids=["huge", "overflow", "negative", "cut", "labels", "objects", "empty", "header", "bomb"],
)
def test_a_pack_with_other_arrays_than_it_declares(
    changed: dict[str, bytes], call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "MOST_SMALL", 1 << 20)
    pack(tmp_path / "p.npz", **changed)
    says(call("datasets", "check", "portraits:p.npz"), 1, "p.npz is not a pack that can be read")


@pytest.mark.parametrize("name", ["labels", "time_base", "persons"])
@pytest.mark.parametrize("size", [0, 2 << 20], ids=["declared", "bomb"])
def test_an_archive_with_facts_beyond_number(
    name: str, size: int, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geometry, "MOST_FACTS", 1 << 20)
    kind = "<i8" if name == "time_base" else "<U9"
    files = {
        "time_base": npy(np.array([1, 25])),
        "labels": npy(np.array(["anger"])),
        "start": npy(np.array(0)),
        "person_tracks": npy(np.array([1])),
        "persons": npy(np.array(["P1"])),
    }
    files[name] = header((10**11,), kind) + bytes(size)
    with zipfile.ZipFile(tmp_path / "g.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for key, content in files.items():
            archive.writestr(f"{key}.npy", content)
    says(call("export", "g.npz", "-f", "frames"), 1, "g.npz is not an archive of `fervid analyze --tracks`")


@pytest.mark.parametrize(
    "content", [b"", b"PK\x05\x06" + bytes(18), header((10**12,), "<i8"), b"\x93NUMPY", bytes(5000)]
)
def test_a_label_of_affectnet_that_cannot_be_read(content: bytes, call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "AffectNet" / "train_set"
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True)
    media.write_still(folder / "images" / "1.jpg", media.picture(0), "mjpeg", "yuvj444p")
    (folder / "annotations" / "1_exp.npy").write_bytes(content)
    says(call("datasets", "check", "affectnet:AffectNet"), 1, "labels that cannot be read")
