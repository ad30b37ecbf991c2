"""Test YuNet in 8-bit integers against OpenCV's, and the script that makes its file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from conftest import CLIP, ROOT
from safetensors.torch import load_file, save_file
from test_benchmarks import imported

from fervid import quantized
from fervid.errors import ModelError
from fervid.faces import detectors, yunet
from fervid.faces.weights import included
from fervid.types import Bytes, Floats
from fervid.video import planning, reading

WHOLE = Path(detectors.__file__).parents[1] / detectors.YUNET_WHOLE
THRESHOLDS = (detectors.YUNET_WEAK, detectors.YUNET_OVERLAP, detectors.YUNET_MOST)

needs_integers = pytest.mark.skipif(not quantized.is_available(), reason="needs an x86 processor")


@pytest.fixture(scope="module")
def picture() -> Bytes:
    """Decode a frame with one face, as high as a third of it."""
    plan = planning.plan(CLIP)
    return next(reading.frames(plan, int(plan.pts[350]), int(plan.pts[351]))).luma


@pytest.fixture
def no_net_is_kept() -> Iterator[None]:
    kept = (detectors.by_torch, detectors._kept_net)
    for function in kept:
        function.cache_clear()
    yield
    for function in kept:
        function.cache_clear()


def by_integers(luma: Bytes) -> tuple[Floats, Floats]:
    detect = detectors.by_torch()
    assert detect is not None
    return detect(luma)


def sized(luma: Bytes, height: int) -> Bytes:
    width = round(luma.shape[1] * height / luma.shape[0])
    return np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import the script that converts it."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    with imported(ROOT / "benchmarks" / "convert_yunet.py") as module:
        yield module
    sys.modules.pop("measure_landmarks", None)


@needs_integers
@pytest.mark.parametrize("height", [97, 128, 280, 480, 700])
def test_the_same_faces_are_detected_as_by_opencv(picture: Bytes, height: int) -> None:
    small = sized(picture, height)
    (score, *others), (points, *_) = by_integers(small)
    (expected_score,), (expected,) = detectors.by_opencv(small)
    assert not others
    assert abs(score - expected_score) < 0.03
    assert np.linalg.norm(points - expected, axis=1).max() / detectors.upright_box(expected)[1] < 0.05


@needs_integers
def test_all_of_many_faces_are_detected(picture: Bytes) -> None:
    many = np.tile(sized(picture, 120), (3, 4))
    scores, points = by_integers(many)
    assert len(scores) == 12
    assert (np.diff(scores) <= 0).all()
    expected = detectors.by_opencv(many)[1]
    nearest = np.linalg.norm(points[:, None] - expected[None], axis=-1).mean(-1).argmin(1)
    assert sorted(nearest) == list(range(12))


@needs_integers
@pytest.mark.parametrize("shape", [(1, 1), (7, 400), (400, 7), (280, 498)])
def test_pictures_of_any_size_without_a_face(shape: tuple[int, int]) -> None:
    for luma in (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)):
        scores, points = by_integers(luma)
        assert scores.shape == (0,) and points.shape == (0, 5, 2)


def test_a_cell_that_shows_no_face_at_all() -> None:
    cells = np.full((yunet.NUMBERS, 2, 2), -200, np.float32)
    cells[yunet.SCORES, 1, 0] = 200
    scores, boxes, points = yunet._faces(cells, 8, 0.3)
    assert scores.tolist() == [1.0]
    assert boxes.shape == (1, 4) and points.shape == (1, 5, 2)


@needs_integers
def test_a_picture_that_is_not_contiguous_is_read(picture: Bytes) -> None:
    view = picture[::2, ::2]
    for own, expected in zip(by_integers(view), by_integers(view.copy()), strict=True):
        assert np.array_equal(own, expected)
    assert len(by_integers(view)[0]) == 1


@needs_integers
def test_the_maps_do_not_depend_on_the_size_before(picture: Bytes) -> None:
    first = by_integers(picture)
    by_integers(picture[:, :333])
    for own, expected in zip(by_integers(picture), first, strict=True):
        assert np.array_equal(own, expected)


@needs_integers
def test_packed_weights_of_few_sizes_are_kept(no_net_is_kept: None) -> None:
    for width in range(32, 32 * (quantized.KEPT + 4), 32):
        by_integers(np.zeros((64, width), np.uint8))
    detect = detectors.by_torch()
    assert isinstance(detect, yunet.YuNetDetector)
    assert len(detect.net._stem._packed) == quantized.KEPT


def test_elsewhere_opencv_detects(
    picture: Bytes, monkeypatch: pytest.MonkeyPatch, no_net_is_kept: None
) -> None:
    monkeypatch.setattr(quantized, "is_available", lambda: False)
    assert detectors.by_torch() is None
    (face,) = detectors.detectors()["yunet"].detect(picture, 0.0)
    (score,), (points,) = detectors.by_opencv(picture)
    assert face.points is not None and np.array_equal(face.points, points)
    assert face.score == pytest.approx(score - detectors.YUNET_ACCEPT)


@needs_integers
def test_a_file_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    tensors, path = load_file(WHOLE), tmp_path / "net.safetensors"
    for name in ("stem.weight", quantized.RANGES):
        save_file({key: value for key, value in tensors.items() if key != name}, path)
        with pytest.raises(ModelError, match="cannot be read"):
            yunet.load(path, *THRESHOLDS)
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read"):
        yunet.load(path, *THRESHOLDS)


def test_the_converted_net_is_opencvs(picture: Bytes, script: ModuleType) -> None:
    weights = script.converted(included(detectors.YUNET, detectors.YUNET_SHA256))
    net = yunet.YuNet().eval().requires_grad_(False)
    net.load_state_dict(weights)
    padded = np.pad(sized(picture, 280), ((0, 8), (0, 11)))
    levels = net(torch.from_numpy(padded.astype(np.float32))[None, None])
    found = [
        yunet._faces(level[0].numpy(), stride, 0.3)
        for level, stride in zip(levels, yunet.STRIDES, strict=True)
    ]
    scores, _, points = (np.concatenate(parts) for parts in zip(*found, strict=True))
    (expected_score,), (expected,) = detectors.by_opencv(sized(picture, 280))
    assert scores.max() == pytest.approx(expected_score, abs=1e-4)
    assert np.abs(points[scores.argmax()] - expected).max() < 0.01


@needs_integers
def test_the_script_makes_a_file_that_detects_the_same(
    picture: Bytes, script: ModuleType, tmp_path: Path
) -> None:
    weights = script.converted(included(detectors.YUNET, detectors.YUNET_SHA256))
    face = sized(picture[:, 80:560], 160)
    mosaics = list(script.mosaics([face, np.ascontiguousarray(face[:, ::-1])]))[:12]
    path = tmp_path / "net.safetensors"
    save_file(script.whole(weights, mosaics), path)
    said = script.compare(mosaics, yunet.load(path, *THRESHOLDS))
    both, seen = (int(word) for word in said.split(" faces")[0].split(" of "))
    assert seen > 50
    assert both >= 0.95 * seen
    assert 0 < float(said.split("points ")[1].split(" %")[0]) < 4
