"""Faces in a picture: where they are, their 68 landmarks, and aligned crops.

Networks and predictors are loaded once per process. All pictures are upright luma.
"""

from __future__ import annotations

from collections.abc import Callable
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
OPEN_SHA256 = "075621ec363d51bed865ffb6f1383eb25eeae10bb522a3da4964322749f3a2b5"
FACE_NET = "models/people/face_net.safetensors"  # benchmarks/convert_face_net.py makes it from dlib's
FACE_NET_SHA256 = "5d29ecc8b01460c5a30e565762272f65e01989e144b70031155d936d0d8e0d77"

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
def _predictor(name: str) -> tuple[Callable[[Bytes], Floats], int]:
    """Return a function from a canvas to the points on it, (S, S) -> (68, 2), and the side of its canvas."""
    path = _PREDICTORS[name]()
    if path.suffix == ".safetensors":
        from fervid.faces import points  # imports torch

        return points.load(path), points.READ
    dlib = import_dlib()
    face = dlib.rectangle(*[(CANVAS - CANVAS_BOX) // 2] * 2, *[(CANVAS + CANVAS_BOX) // 2 - 1] * 2)
    try:
        trees = dlib.shape_predictor(str(path))
    except RuntimeError as error:
        raise ModelError(f"the predictor {path} cannot be read: {error}; install it again") from error

    def predict(picture: Bytes) -> Floats:
        return np.array([(point.x, point.y) for point in trees(picture, face).parts()], np.float32)

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
        if face.points is None:
            around = face.box[:2] + face.box[2:] / np.float32(2), float(face.box[2:].mean()), 0.0
        else:
            around = detectors.upright_box(face.points)
        rough = self.predict(luma, *around)
        return self.follow(luma, rough)  # again from its own points: upright, and alike for every detector

    def guess(self, luma: Bytes, face: Detection) -> Floats:
        """Return landmarks for a face that is turned too far for its own: the mean face's at its pose."""
        assert face.points is not None
        return posed(face.points)

    def follow(self, luma: Bytes, landmarks: Floats) -> Floats:
        """Predict the 68 points of a face that was at `landmarks` in the frame before."""
        return self.predict(luma, *upright_box(landmarks))

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

    def predict(self, luma: Bytes, center: Floats, side: float, roll: float) -> Floats:
        """Predict the 68 points of the face in a box that is rolled by `roll` radians."""
        predict, size = _predictor(self.landmarks)
        picture, matrix = canvas(luma, center, side, roll, size)
        points = predict(picture)
        back = cv2.invertAffineTransform(matrix)
        return (points @ back[:, :2].T + back[:, 2]).astype(np.float32)


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
