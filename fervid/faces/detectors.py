"""Face detectors by name: YuNet, run by OpenCV, and dlib's HOG and MMOD.

A detector reads a picture as it is; `FaceFinder` chooses the scale and the angle of that picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np

from fervid.faces.weights import import_dlib, included, installed
from fervid.types import Bytes, Floats

YUNET = "faces/data/face_detection_yunet_2023mar.onnx"
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_WHOLE = "faces/data/yunet.safetensors"  # for 8-bit integers; benchmarks/convert_yunet.py makes it
YUNET_WHOLE_SHA256 = "81f25859b6c768b5ad0aa48357024856b7ed0fb759410a699101496d5329c877"
YUNET_SMALL = 1 << 15  # pixels: up to this size OpenCV is faster, as torch's many calls count
YUNET_ACCEPT = 0.7  # YuNet's own score, 0 to 1, that counts as 0 here
YUNET_WEAK = 0.3  # the least of its scores that deserves a closer look
YUNET_OVERLAP = 0.3  # the least intersection over union of two candidates for one face
YUNET_STEP = 32  # pixels: it pads pictures to multiples
YUNET_KEPT = 1 << 20  # pixels: up to this size, a net is kept for the next picture of the same size
YUNET_MOST = 1000  # candidates before overlapping ones are merged

# The box around a face, from its five points. Of many boxes this gave dlib's predictor, which was trained on
# HOG's boxes, the smallest error (benchmarks/detection.py): 4.7 % of the face's size, as HOG's own boxes do.
SIDE_BY_EYES, SIDE_BY_MOUTH = 2.6, 2.2  # distances between the eyes, and from the eyes to the mouth
BELOW_EYES = 0.45  # of the way from the eyes to the mouth


@dataclass(frozen=True, eq=False)
class Detection:
    """A detected face, in pixels of the picture."""

    box: Floats  # (4,)
    score: float  # from 0 on it is a face; below, it deserves a closer look
    points: Floats | None = None  # (5, 2): eyes, nose tip, mouth corners, the image's left before its right

    def moved(self, matrix: np.ndarray) -> Detection:
        """Return the detection in another picture; the matrix (2, 3) maps this picture to it."""
        if self.points is not None:
            return of_points(self.points @ matrix[:, :2].T + matrix[:, 2], self.score)
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        center = matrix[:, :2] @ (self.box[:2] + self.box[2:] / 2) + matrix[:, 2]
        size = self.box[2:] * scale
        return Detection(np.concatenate([center - size / 2, size]).astype(np.float32), self.score)


@dataclass(frozen=True)
class Detector:
    """A detector: `detect` yields the faces of a luma picture, down to a score."""

    detect: Callable[[Bytes, float], Iterator[Detection]]
    smallest: int  # pixels: the side of the smallest face that it detects reliably
    largest: float  # and of the largest
    weakest: float  # the least score of a candidate that is verified; 0: none is
    angles: tuple[int, ...] = ()  # degrees by which to turn a picture to detect faces at every angle


_DETECTORS: dict[str, Detector] = {}


def register(name: str, detector: Detector) -> None:
    """Register a detector under a name."""
    if name in _DETECTORS:
        raise ValueError(f"two detectors are called {name!r}")
    _DETECTORS[name] = detector


def detectors() -> dict[str, Detector]:
    """Return the detectors that `--detector` takes, by name."""
    return dict(_DETECTORS)


def upright_box(points: Floats) -> tuple[Floats, float, float]:
    """Return centre, side and roll (radians) of the box around a face with these five points."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    along, down = points[1] - points[0], mouth - eyes
    # A head turned aside has a short eye line, a head turned down a short way to the mouth: their sum keeps
    # the direction in both.
    direction = along + np.array([down[1], -down[0]])
    side = max(SIDE_BY_EYES * float(np.hypot(*along)), SIDE_BY_MOUTH * float(np.hypot(*down)), 1.0)
    center = (eyes + BELOW_EYES * down).astype(np.float32)
    return center, side, float(np.arctan2(direction[1], direction[0]))


def of_points(points: Floats, score: float) -> Detection:
    """Return the detection of a face with these five points."""
    center, side, _ = upright_box(points)
    box = np.array([*(center - side / 2), side, side], np.float32)
    return Detection(box, score, points.astype(np.float32))


def yunet_weights() -> tuple[Path, Path]:
    """Return the paths of YuNet's two files, for OpenCV and for 8-bit integers, after checking both."""
    return included(YUNET, YUNET_SHA256), included(YUNET_WHOLE, YUNET_WHOLE_SHA256)


def by_opencv(luma: Bytes) -> tuple[Floats, Floats]:
    """Return the scores (N,) and points (N, 5, 2) of the faces that OpenCV's YuNet detects."""
    net, lock = _opencv_net(luma.shape[1], luma.shape[0])
    with lock:
        _, faces = net.detect(cv2.merge([luma] * 3))
    # A row: the box (4), the person's right and left eye, nose tip, right and left mouth corner, the score.
    rows = np.empty((0, 15), np.float32) if faces is None else faces
    return rows[:, 14], rows[:, 4:14].reshape(-1, 5, 2)


def _opencv_net(width: int, height: int) -> tuple[Any, Lock]:
    """Return the net for pictures of one size, and a lock, because a net holds one picture at a time.

    A net keeps its memory, 200 bytes for each pixel. So there is a new one for each large picture.
    """
    across, down = (-(-side // YUNET_STEP) * YUNET_STEP for side in (width, height))
    return (_kept_net if across * down <= YUNET_KEPT else _new_net)(width, height)


@lru_cache(maxsize=8)
def _kept_net(width: int, height: int) -> tuple[Any, Lock]:
    return _new_net(width, height)


def _new_net(width: int, height: int) -> tuple[Any, Lock]:
    weights = np.fromfile(included(YUNET, YUNET_SHA256), np.uint8)
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # else it warns of its backend
    try:
        net = cv2.FaceDetectorYN.create(
            "onnx", weights, np.empty(0, np.uint8), (width, height), YUNET_WEAK, YUNET_OVERLAP, YUNET_MOST
        )
        return net, Lock()
    finally:
        cv2.utils.logging.setLogLevel(level)


@cache
def by_torch() -> Callable[[Bytes], tuple[Floats, Floats]] | None:
    """Return a function like `by_opencv` that computes in 8-bit integers; None if this machine does not."""
    from fervid import quantized  # imports torch
    from fervid.faces import yunet

    if not quantized.is_available():
        return None
    path = included(YUNET_WHOLE, YUNET_WHOLE_SHA256)
    return yunet.load(path, YUNET_WEAK, YUNET_OVERLAP, YUNET_MOST)


def _detect_yunet(luma: Bytes, accept: float) -> Iterator[Detection]:
    detect = None if luma.size <= YUNET_SMALL else by_torch()
    for score, points in zip(*(detect or by_opencv)(luma), strict=True):
        if score - YUNET_ACCEPT >= accept:
            yield of_points(points, float(score) - YUNET_ACCEPT)


@cache
def _hog() -> Any:
    return import_dlib().get_frontal_face_detector()


@cache
def _mmod() -> Any:
    return import_dlib().cnn_face_detection_model_v1(str(installed("mmod_human_face_detector.dat")))


def _box(rectangle: Any) -> Floats:
    return np.array(
        [rectangle.left(), rectangle.top(), rectangle.width(), rectangle.height()], dtype=np.float32
    )


def _detect_hog(luma: Bytes, accept: float) -> Iterator[Detection]:
    rectangles, scores, _ = _hog().run(np.ascontiguousarray(luma), 0, accept)
    for rectangle, score in zip(rectangles, scores, strict=True):
        yield Detection(_box(rectangle), float(score))


def _detect_mmod(luma: Bytes, accept: float) -> Iterator[Detection]:
    # The network's smallest face is as large as HOG's; its scores are around 1 for a clear face.
    for detection in _mmod()(cv2.cvtColor(luma, cv2.COLOR_GRAY2RGB), 0):
        score = float(detection.confidence) - 0.7
        if score >= accept:
            yield Detection(_box(detection.rect), score)


register(
    "yunet", Detector(_detect_yunet, 28, 400, YUNET_WEAK - YUNET_ACCEPT, (45, -45, 90, -90, 135, -135, 180))
)
register("hog", Detector(_detect_hog, 80, np.inf, 0.0))
register("mmod", Detector(_detect_mmod, 80, np.inf, 0.0))
