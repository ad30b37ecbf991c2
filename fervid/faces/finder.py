"""Faces in a picture: where they are, their 68 landmarks, and aligned crops.

Networks and predictors are loaded once per process. All pictures are upright luma.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fervid.errors import ModelError, UsageError
from fervid.faces import detection, detectors
from fervid.faces.detection import Search
from fervid.faces.detectors import Detection
from fervid.faces.picture import CANVAS, CANVAS_BOX, canvas, warp
from fervid.faces.shape import CROP, MARGIN, alignment, eye_line, figures, posed
from fervid.faces.weights import import_dlib, included, installed
from fervid.types import Bytes, Floats, Settings

# dlib's HOG boxes relative to its own landmarks, measured over many faces: side and centre in eye distances.
BOX_SIDE = 2.54
BOX_BELOW_EYES = 0.41

# The picture that dlib's face net reads, by dlib's own get_face_chip. It is aligned by STEADY, the points
# without brows, jaw and lower lip, which move.
PORTRAIT = 150  # pixels
PORTRAIT_EYES = 54.4  # pixels between the eyes of the mean face
PORTRAIT_MIDDLE = (74.0, 47.2)  # pixels: the point between them
STEADY = np.array([*range(27, 55), *range(60, 65)])

OPEN = "models/landmarks/open68.safetensors"  # benchmarks/train_landmarks.py makes it
OPEN_SHA256 = "c781e6f7b00e5138b3f62cf363297b366a548acca71bfdec792a9240f737bd53"
FACE_NET = "models/people/face_net.safetensors"  # benchmarks/convert_face_net.py makes it from dlib's
FACE_NET_SHA256 = "601c1823c5940fff99dfde6fe6823119459a4827e953e25adbddf1cda1b7c868"

Weights = Callable[[], Path]
_PREDICTORS: dict[str, Weights] = {}


def predictor(name: str) -> Callable[[Weights], Weights]:
    """Register a function that returns the path of a predictor of 68 points, dlib's or fervid's."""

    def register(function: Weights) -> Weights:
        if name in _PREDICTORS:
            raise ValueError(f"two predictors are called {name!r}")
        _PREDICTORS[name] = function
        return function

    return register


def predictors() -> dict[str, Weights]:
    """Return the names that `--landmarks` takes, and the path function of each."""
    return dict(_PREDICTORS)


@predictor("open")
def _open_weights() -> Path:
    return included(OPEN, OPEN_SHA256)


@predictor("dlib")
def _dlib_weights() -> Path:
    return installed("shape_predictor_68_face_landmarks.dat")


@cache
def _predictor(name: str) -> tuple[Callable[[Sequence[Bytes]], list[Floats]], int]:
    """Return a function from canvases (S, S) to the points on each, (68, 2), and the side of its canvases."""
    path = _PREDICTORS[name]()
    if path.suffix == ".safetensors":
        from fervid.faces import points  # imports torch

        return points.load(path).all, points.READ
    dlib = import_dlib()
    face = dlib.rectangle(*[(CANVAS - CANVAS_BOX) // 2] * 2, *[(CANVAS + CANVAS_BOX) // 2 - 1] * 2)
    try:
        trees = dlib.shape_predictor(str(path))
    except RuntimeError as error:
        raise ModelError(f"the predictor {path} cannot be read: {error}; install it again") from error

    def predict(pictures: Sequence[Bytes]) -> list[Floats]:
        found = (trees(picture, face).parts() for picture in pictures)
        return [np.array([(point.x, point.y) for point in parts], np.float32) for parts in found]

    return predict, CANVAS


@dataclass(frozen=True)
class FaceFinder:
    """Detection, landmarks and crops with the settings of one run."""

    min_face: float = 0.1  # share of the frame's height
    detector: str = "yunet"
    landmarks: str = "open"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the finder of a run's settings."""
        return cls(settings.min_face, settings.detector, settings.landmarks)

    def __post_init__(self) -> None:
        if self.detector not in (names := detectors.detectors()):
            raise UsageError(f"unknown detector {self.detector!r}: choose one of {', '.join(names)}")
        if self.landmarks not in _PREDICTORS:
            raise UsageError(f"unknown landmarks {self.landmarks!r}: choose one of {', '.join(_PREDICTORS)}")
        if not 0.01 <= self.min_face <= 1:
            raise UsageError(
                f"--min-face is a share of the frame's height from 0.01 to 1, not {self.min_face}"
            )

    def detect(self, luma: Bytes, search: Search = Search.UPRIGHT) -> list[Detection]:
        """Detect every face of at least `min_face`, highest score first."""
        return detection.detect(luma, self.detector, self.min_face, search)

    def look(self, luma: Bytes, landmarks: Floats) -> Detection | None:
        """Return the face at `landmarks`, detected in a small picture around it; None if there is none."""
        return detection.look(luma, *upright_box(landmarks), detection.DOUBT)

    def fit(self, luma: Bytes, face: Detection) -> Floats:
        """Predict the 68 points (68, 2) of a face that was just detected."""
        return self.fit_all(luma, [face])[0]

    def fit_all(self, luma: Bytes, faces: Sequence[Detection]) -> list[Floats]:
        """Predict the points of several detected faces: the same as one by one, in less time."""
        rough = self.predict(luma, [_around(face) for face in faces])
        # Again from their own points: upright, and alike for every detector.
        return self.follow_all(luma, rough)

    def guess(self, luma: Bytes, face: Detection) -> Floats:
        """Return landmarks for a face that is turned too far for its own: the mean face's at its pose."""
        assert face.points is not None
        return posed(face.points)

    def follow(self, luma: Bytes, landmarks: Floats) -> Floats:
        """Predict the 68 points of a face that was at `landmarks` in the frame before."""
        return self.follow_all(luma, [landmarks])[0]

    def follow_all(self, luma: Bytes, faces: Sequence[Floats]) -> list[Floats]:
        """Predict the points of several faces: the same as one by one, in less time."""
        return self.predict(luma, [upright_box(landmarks) for landmarks in faces])

    def box(self, landmarks: Floats) -> Floats:
        """Return the box that dlib's detector would draw around a face with these points."""
        center, side, _ = upright_box(landmarks)
        return np.concatenate([center - side / 2, [side, side]]).astype(np.float32)

    def crop(self, luma: Bytes, landmarks: Floats, margin: int = 0) -> Bytes:
        """Crop the face, aligned by its eye line: (CROP, CROP), and `margin` more pixels on every side.

        The middle of a crop with a margin is the crop without one.
        """
        matrix, pixels = alignment(landmarks, margin)
        return warp(luma, matrix, pixels, CROP + 2 * margin, CROP + 2 * MARGIN)

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
        return warp(luma, matrix, float(abs(factor)), PORTRAIT)

    def predict(self, luma: Bytes, boxes: Sequence[tuple[Floats, float, float]]) -> list[Floats]:
        """Predict the 68 points of the faces in boxes: centre, side, and roll in radians."""
        predict, size = _predictor(self.landmarks)
        pictures = [canvas(luma, *box, size) for box in boxes]
        points = []
        for own, (_, matrix) in zip(predict([picture for picture, _ in pictures]), pictures, strict=True):
            back = cv2.invertAffineTransform(matrix)
            points.append((own @ back[:, :2].T + back[:, 2]).astype(np.float32))
        return points


def _around(face: Detection) -> tuple[Floats, float, float]:
    """Return centre, side and roll of the box around a detected face."""
    if face.points is None:
        return face.box[:2] + face.box[2:] / np.float32(2), float(face.box[2:].mean()), 0.0
    return detectors.upright_box(face.points)


def describe(portrait: Bytes) -> Floats:
    """Return the 128 numbers that identify the person of a portrait; nearer is more alike."""
    return _describer()(portrait)


@cache
def _describer() -> Callable[[Bytes], Floats]:
    from fervid.faces import descriptor  # imports torch, which landmarks alone do not need

    return descriptor.load(face_net()).describe


def face_net() -> Path:
    """Return the path of the weights of the net that `describe` uses."""
    return included(FACE_NET, FACE_NET_SHA256)


def upright_box(landmarks: Floats) -> tuple[Floats, float, float]:
    """Return centre, side and roll (radians) of the box that dlib's detector would draw around the face."""
    middle, along = eye_line(landmarks)
    center = middle + np.float32(BOX_BELOW_EYES) * np.array([-along[1], along[0]], dtype=np.float32)
    return center, BOX_SIDE * float(np.hypot(*along)), float(np.arctan2(along[1], along[0]))
