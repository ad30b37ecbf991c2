"""Face detection, 68 landmarks and aligned crops, by dlib.

dlib's networks and predictors are loaded once per process. All pictures are upright luma.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import cv2
import dlib
import numpy as np

from fervid.errors import ModelError, UsageError
from fervid.faces.shape import CROP, MARGIN, alignment, eye_line, figures
from fervid.types import Bytes, Floats, Settings

WINDOW = 80  # pixels: the side of the smallest face that dlib's detectors detect
MOST_ENLARGED = 2.0  # enlarging further detects no more faces
ACCEPT = 0.0  # detector score from which a face is accepted
DOUBT = -0.35  # score above which a followed face is kept

# dlib's HOG boxes relative to its own landmarks, measured over many faces: side and centre in eye distances.
BOX_SIDE = 2.54
BOX_BELOW_EYES = 0.41

# Landmarks are predicted on a small upright picture of the face: this gives sub-pixel results (dlib returns
# whole pixels), works at any roll, and costs the same for every size of face.
CANVAS = 256
CANVAS_BOX = 160  # pixels: the side of the face's box on it
CANVAS_FACE = dlib.rectangle(*[(CANVAS - CANVAS_BOX) // 2] * 2, *[(CANVAS + CANVAS_BOX) // 2 - 1] * 2)

# The picture that dlib's face net reads, by dlib's own get_face_chip. It is aligned by STEADY, the points
# without brows, jaw and lower lip, which move.
PORTRAIT = 150  # pixels
PORTRAIT_EYES = 54.4  # pixels between the eyes of the mean face
PORTRAIT_MIDDLE = (74.0, 47.2)  # pixels: the point between them
STEADY = np.array([*range(27, 55), *range(60, 65)])

Detection = tuple[Floats, float]  # a box and the detector's score


def weights(name: str) -> Path:
    """Return the path of a file of the `face_recognition_models` distribution, without importing it.

    The package fails to import with current setuptools, and only its files are needed.
    """
    spec = find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise ModelError("dlib's models are not installed: pip install face_recognition_models")
    path = Path(spec.origin).parent / "models" / name
    if not path.is_file():
        raise ModelError(f"{path.name} is missing: pip install --force-reinstall face_recognition_models")
    return path


Weights = Callable[[], Path]
_PREDICTORS: dict[str, Weights] = {}


def predictor(name: str) -> Callable[[Weights], Weights]:
    """Register a function that returns the path of a predictor of 68 points, in dlib's format."""

    def register(function: Weights) -> Weights:
        if name in _PREDICTORS:
            raise ValueError(f"two predictors are called {name!r}")
        _PREDICTORS[name] = function
        return function

    return register


def predictors() -> dict[str, Weights]:
    """Return the names that `--landmarks` takes, and the path function of each."""
    return dict(_PREDICTORS)


@predictor("dlib")
def _dlib_weights() -> Path:
    return weights("shape_predictor_68_face_landmarks.dat")


@predictor("open")
def _open_weights() -> Path:
    """Return the path of fervid's own predictor, which benchmarks/train_landmarks.py makes."""
    path = Path(__file__).parents[1] / "models" / "landmarks" / "open68.dat"
    if not path.is_file():
        raise ModelError(f"{path.name} is missing: pip install --force-reinstall fervid")
    return path


@cache
def _predictor(name: str) -> Any:
    path = _PREDICTORS[name]()
    try:
        return dlib.shape_predictor(str(path))
    except RuntimeError as error:
        raise ModelError(f"the predictor {path} cannot be read: {error}; install it again") from error


@cache
def _hog() -> Any:
    return dlib.get_frontal_face_detector()


@cache
def _mmod() -> Any:
    return dlib.cnn_face_detection_model_v1(str(weights("mmod_human_face_detector.dat")))


def _box(rectangle: Any) -> Floats:
    return np.array(
        [rectangle.left(), rectangle.top(), rectangle.width(), rectangle.height()], dtype=np.float32
    )


Detector = Callable[[Bytes, float], Iterator[Detection]]
_DETECTORS: dict[str, Detector] = {}


def detector(name: str) -> Callable[[Detector], Detector]:
    """Register `detect(luma, accept)`, which yields boxes in pixels of that picture, with scores."""

    def register(function: Detector) -> Detector:
        if name in _DETECTORS:
            raise ValueError(f"two detectors are called {name!r}")
        _DETECTORS[name] = function
        return function

    return register


@detector("hog")
def _detect_hog(luma: Bytes, accept: float) -> Iterator[Detection]:
    rectangles, scores, _ = _hog().run(np.ascontiguousarray(luma), 0, accept)
    for rectangle, score in zip(rectangles, scores, strict=True):
        yield _box(rectangle), float(score)


@detector("mmod")
def _detect_mmod(luma: Bytes, accept: float) -> Iterator[Detection]:
    # The network's smallest face is as large as HOG's; its scores are around 1 for a clear face.
    for detection in _mmod()(cv2.cvtColor(luma, cv2.COLOR_GRAY2RGB), 0):
        score = float(detection.confidence) - 0.7
        if score >= accept:
            yield _box(detection.rect), score


@dataclass(frozen=True)
class FaceFinder:
    """Detection, landmarks and crops with the settings of one run."""

    min_face: float = 0.1  # share of the frame's height
    detector: str = "hog"
    landmarks: str = "dlib"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the finder of a run's settings."""
        return cls(settings.min_face, settings.detector, settings.landmarks)

    def __post_init__(self) -> None:
        if self.detector not in _DETECTORS:
            raise UsageError(f"unknown detector {self.detector!r}: choose one of {', '.join(_DETECTORS)}")
        if self.landmarks not in _PREDICTORS:
            raise UsageError(f"unknown landmarks {self.landmarks!r}: choose one of {', '.join(_PREDICTORS)}")
        if not 0.01 <= self.min_face <= 1:
            raise UsageError(
                f"--min-face is a share of the frame's height from 0.01 to 1, not {self.min_face}"
            )

    def detect(self, luma: Bytes) -> list[Detection]:
        """Detect every face of at least `min_face`, highest score first."""
        scale = min(WINDOW / (self.min_face * luma.shape[0]), MOST_ENLARGED)
        # Linear, not area: at these mild scales it costs a sixth and finds the same faces.
        small = luma if scale == 1 else np.asarray(cv2.resize(luma, None, fx=scale, fy=scale), np.uint8)
        faces = [(box / np.float32(scale), score) for box, score in _DETECTORS[self.detector](small, ACCEPT)]
        return sorted(faces, key=lambda face: (-face[1], *face[0].tolist()))

    def verify(self, luma: Bytes, landmarks: Floats) -> bool:
        """Return whether the detector still detects a face at `landmarks`, by its picture alone."""
        picture, _ = canvas(luma, *upright_box(landmarks))
        return bool(_hog().run(picture, 0, DOUBT)[0])

    def fit(self, luma: Bytes, box: Floats) -> Floats:
        """Predict the 68 points (68, 2) of a face that was just detected."""
        center = box[:2] + box[2:] / np.float32(2)
        rough = self._predict(luma, center, float(box[2:].mean()), 0.0)
        return self.follow(luma, rough)  # again from its own points: upright, and alike for every detector

    def follow(self, luma: Bytes, landmarks: Floats) -> Floats:
        """Predict the 68 points of a face that was at `landmarks` in the frame before."""
        return self._predict(luma, *upright_box(landmarks))

    def box(self, landmarks: Floats) -> Floats:
        """Return the box that dlib's detector would draw around a face with these points."""
        center, side, _ = upright_box(landmarks)
        return np.concatenate([center - side / 2, [side, side]]).astype(np.float32)

    def crop(self, luma: Bytes, landmarks: Floats, margin: int = 0) -> Bytes:
        """Crop the face, aligned by its eye line: (CROP, CROP), and `margin` more pixels on every side.

        The middle of a crop with a margin is the crop without one.
        """
        matrix, pixels = alignment(landmarks, margin)
        return _warp(luma, matrix, pixels, CROP + 2 * margin, CROP + 2 * MARGIN)

    def portrait(self, luma: Bytes, landmarks: Floats) -> Bytes:
        """Crop the face as the face net reads it: (PORTRAIT, PORTRAIT)."""
        mean = PORTRAIT_EYES * figures()["neutral"][STEADY, :2].astype(np.float64) + PORTRAIT_MIDDLE
        target = mean @ np.array([1, 1j])
        points = landmarks[STEADY].astype(np.float64) @ np.array([1, 1j])
        # The best rotation and scale, as one complex factor: least squares over the steady points.
        centred = points - points.mean()
        factor = np.vdot(centred, target - target.mean()) / max(float(np.vdot(centred, centred).real), 1e-6)
        shift = target.mean() - factor * points.mean()
        matrix = np.array(
            [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]], np.float64
        )
        return _warp(luma, matrix, float(abs(factor)), PORTRAIT)

    def _predict(self, luma: Bytes, center: Floats, side: float, roll: float) -> Floats:
        picture, matrix = canvas(luma, center, side, roll)
        shape = _predictor(self.landmarks)(picture, CANVAS_FACE)
        points = np.array([(part.x, part.y) for part in shape.parts()], dtype=np.float32)
        back = cv2.invertAffineTransform(matrix)
        return (points @ back[:, :2].T + back[:, 2]).astype(np.float32)


def describe(portrait: Bytes) -> Floats:
    """Return the 128 numbers that identify the person of a portrait; nearer is more alike."""
    from fervid.faces import descriptor  # imports torch, which landmarks alone do not need

    return descriptor.load(face_net()).describe(portrait)


def face_net() -> Path:
    """Return the path of the weights of the net that `describe` uses."""
    try:
        return weights("dlib_face_recognition_resnet_model_v1.dat")
    except ModelError as error:
        raise ModelError(f"{error}; or do without person identities: --no-people") from error


def upright_box(landmarks: Floats) -> tuple[Floats, float, float]:
    """Return centre, side and roll (radians) of the box that dlib's detector would draw around the face."""
    middle, along = eye_line(landmarks)
    center = middle + np.float32(BOX_BELOW_EYES) * np.array([-along[1], along[0]], dtype=np.float32)
    return center, BOX_SIDE * float(np.hypot(*along)), float(np.arctan2(along[1], along[0]))


def canvas(luma: Bytes, center: Floats, side: float, roll: float) -> tuple[Bytes, np.ndarray]:
    """Return the picture that shows the box upright as CANVAS_FACE, and the matrix (2, 3) that maps to it."""
    pixels = CANVAS_BOX / max(side, 1.0)
    cosine, sine = pixels * np.cos(roll), pixels * np.sin(roll)
    matrix = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0]])
    matrix[:, 2] = CANVAS / 2 - matrix[:, :2] @ center
    return _warp(luma, matrix, pixels, CANVAS), matrix


def _warp(luma: Bytes, matrix: np.ndarray, pixels: float, size: int, averaged: int | None = None) -> Bytes:
    """Transform `luma` by `matrix`; average it down first if that shrinks it by more than two.

    `averaged` is the side of the part that is averaged down, if it is larger than the result.
    """
    shrink = int(1 / pixels)
    if shrink < 2:
        return _affine(luma, matrix, size)
    height, width = luma.shape
    reach = 0.75 * (averaged or size) / pixels + shrink  # averages only the visible part, at any roll
    middle = cv2.invertAffineTransform(matrix) @ np.array([size / 2, size / 2, 1.0])
    low = np.clip(middle - reach, 0, np.array([width, height]) - shrink).astype(int)
    high = np.clip(middle + reach, low + shrink, np.array([width, height])).astype(int)
    high = low + (high - low) // shrink * shrink  # whole blocks: OpenCV's fast path, and no shift
    part = luma[low[1] : high[1], low[0] : high[0]]
    size_down = ((high - low) // shrink).tolist()
    small = np.asarray(cv2.resize(part, size_down, interpolation=cv2.INTER_AREA), np.uint8)
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (low + (shrink - 1) / 2)
    moved[:, :2] *= shrink
    return _affine(small, moved, size)


def _affine(image: Bytes, matrix: np.ndarray, size: int) -> Bytes:
    warped = cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)
