"""Find faces, place their 68 points, cut them out aligned: the only room that knows dlib.

dlib's networks and predictors are loaded once per process. Everything here works on upright luma.
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

WINDOW = 80  # pixels: the side of the smallest face that dlib's detectors see
MOST_ENLARGED = 2.0  # enlarging further invents nothing to find
ACCEPT = 0.0  # detector score from which a face is believed
DOUBT = -0.35  # score above which a face that is already followed stays believed

# dlib's HOG boxes against its own landmarks, measured over many faces: side and centre in eye distances.
BOX_SIDE = 2.54
BOX_BELOW_EYES = 0.41

# Points are placed on a small upright picture of the face: sub-pixel results (dlib returns whole pixels),
# any roll, and the same cost for every size of face.
CANVAS = 256
CANVAS_BOX = 160  # pixels: the side of the face's box on it
CANVAS_FACE = dlib.rectangle(*[(CANVAS - CANVAS_BOX) // 2] * 2, *[(CANVAS + CANVAS_BOX) // 2 - 1] * 2)

# What dlib's face net looks at, by dlib's own get_face_chip: brows, jaw and lower lip move, and are left out.
PORTRAIT = 150  # pixels
PORTRAIT_EYES = 54.4  # pixels between the eyes of the mean face
PORTRAIT_MIDDLE = (74.0, 47.2)  # pixels: the point between them
STEADY = np.array([*range(27, 55), *range(60, 65)])

Found = tuple[Floats, float]  # a box and the detector's score


def weights(name: str) -> Path:
    """Where a file of the `face_recognition_models` distribution lies; it is never imported.

    Its own package fails to import beside current setuptools, and only its files are of use.
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
    """Register where a predictor of 68 points lies, in dlib's format."""

    def register(function: Weights) -> Weights:
        if name in _PREDICTORS:
            raise ValueError(f"two predictors are called {name!r}")
        _PREDICTORS[name] = function
        return function

    return register


def predictors() -> dict[str, Weights]:
    """The names that `--landmarks` takes, and where each one's file lies."""
    return dict(_PREDICTORS)


@predictor("dlib")
def _dlib_weights() -> Path:
    return weights("shape_predictor_68_face_landmarks.dat")


@predictor("open")
def _open_weights() -> Path:
    """fervid's own: benchmarks/train_landmarks.py makes it."""
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


Detector = Callable[[Bytes, float], Iterator[Found]]
_DETECTORS: dict[str, Detector] = {}


def detector(name: str) -> Callable[[Detector], Detector]:
    """Register `detect(luma, accept)`, which yields boxes in the pixels of that picture with scores."""

    def register(function: Detector) -> Detector:
        if name in _DETECTORS:
            raise ValueError(f"two detectors are called {name!r}")
        _DETECTORS[name] = function
        return function

    return register


@detector("hog")
def _detect_hog(luma: Bytes, accept: float) -> Iterator[Found]:
    rectangles, scores, _ = _hog().run(np.ascontiguousarray(luma), 0, accept)
    for rectangle, score in zip(rectangles, scores, strict=True):
        yield _box(rectangle), float(score)


@detector("mmod")
def _detect_mmod(luma: Bytes, accept: float) -> Iterator[Found]:
    # The network's smallest face is as large as HOG's; its scores lie around 1 for a sure face.
    for found in _mmod()(cv2.cvtColor(luma, cv2.COLOR_GRAY2RGB), 0):
        score = float(found.confidence) - 0.7
        if score >= accept:
            yield _box(found.rect), score


@dataclass(frozen=True)
class FaceFinder:
    """Detection, landmarks and crops with the settings of one run."""

    min_face: float = 0.1  # share of the frame's height
    detector: str = "hog"
    landmarks: str = "dlib"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """A finder as a run wants it."""
        return cls(settings.min_face, settings.detector, settings.landmarks)

    def __post_init__(self) -> None:
        if self.detector not in _DETECTORS:
            raise UsageError(f"unknown detector {self.detector!r}; there are {', '.join(_DETECTORS)}")
        if self.landmarks not in _PREDICTORS:
            raise UsageError(f"unknown landmarks {self.landmarks!r}; there are {', '.join(_PREDICTORS)}")
        if not 0.01 <= self.min_face <= 1:
            raise UsageError(
                f"--min-face is a share of the frame's height from 0.01 to 1, not {self.min_face}"
            )

    def detect(self, luma: Bytes) -> list[Found]:
        """Every face of at least `min_face`, surest first."""
        scale = min(WINDOW / (self.min_face * luma.shape[0]), MOST_ENLARGED)
        # Linear, not area: at these mild scales it costs a sixth and finds the same faces.
        small = luma if scale == 1 else np.asarray(cv2.resize(luma, None, fx=scale, fy=scale), np.uint8)
        found = [(box / np.float32(scale), score) for box, score in _DETECTORS[self.detector](small, ACCEPT)]
        return sorted(found, key=lambda pair: (-pair[1], *pair[0].tolist()))

    def verify(self, luma: Bytes, landmarks: Floats) -> bool:
        """Whether the detector still sees a face where `landmarks` are: a look at that place alone."""
        picture, _ = canvas(luma, *place(landmarks))
        return bool(_hog().run(picture, 0, DOUBT)[0])

    def fit(self, luma: Bytes, box: Floats) -> Floats:
        """The 68 points (68, 2) of a face that was just detected."""
        center = box[:2] + box[2:] / np.float32(2)
        rough = self._predict(luma, center, float(box[2:].mean()), 0.0)
        return self.follow(luma, rough)  # once more from its own points: upright, and every detector alike

    def follow(self, luma: Bytes, landmarks: Floats) -> Floats:
        """The 68 points of a face that was at `landmarks` in the frame before."""
        return self._predict(luma, *place(landmarks))

    def box(self, landmarks: Floats) -> Floats:
        """The box that dlib's detector would draw around a face with these points."""
        center, side, _ = place(landmarks)
        return np.concatenate([center - side / 2, [side, side]]).astype(np.float32)

    def crop(self, luma: Bytes, landmarks: Floats, margin: int = 0) -> Bytes:
        """The face aligned to a canonical eye line: (CROP, CROP), and `margin` more pixels on every side.

        The middle of a crop with a margin is the crop without.
        """
        matrix, pixels = alignment(landmarks, margin)
        return _warp(luma, matrix, pixels, CROP + 2 * margin, CROP + 2 * MARGIN)

    def portrait(self, luma: Bytes, landmarks: Floats) -> Bytes:
        """The face as the net that tells people apart reads it: (PORTRAIT, PORTRAIT)."""
        mean = PORTRAIT_EYES * figures()["neutral"][STEADY, :2].astype(np.float64) + PORTRAIT_MIDDLE
        wanted = mean @ np.array([1, 1j])
        seen = landmarks[STEADY].astype(np.float64) @ np.array([1, 1j])
        # The nearest turn and scale, as one complex factor: least squares over the steady points.
        away = seen - seen.mean()
        factor = np.vdot(away, wanted - wanted.mean()) / max(float(np.vdot(away, away).real), 1e-6)
        shift = wanted.mean() - factor * seen.mean()
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
    """The 128 numbers that tell whose face a portrait shows; nearer is more alike."""
    from fervid.faces import descriptor  # torch, which landmarks alone do without

    return descriptor.load(face_net()).describe(portrait)


def face_net() -> Path:
    """Where the weights of the net behind `describe` lie."""
    try:
        return weights("dlib_face_recognition_resnet_model_v1.dat")
    except ModelError as error:
        raise ModelError(f"{error}; or leave out whose face it is with --no-people") from error


def place(landmarks: Floats) -> tuple[Floats, float, float]:
    """Centre, side and roll (radians) of the box that dlib's detector would draw around an upright face."""
    middle, along = eye_line(landmarks)
    center = middle + np.float32(BOX_BELOW_EYES) * np.array([-along[1], along[0]], dtype=np.float32)
    return center, BOX_SIDE * float(np.hypot(*along)), float(np.arctan2(along[1], along[0]))


def canvas(luma: Bytes, center: Floats, side: float, roll: float) -> tuple[Bytes, np.ndarray]:
    """The picture that shows the box upright as CANVAS_FACE, and the matrix (2, 3) that made it."""
    pixels = CANVAS_BOX / max(side, 1.0)
    cosine, sine = pixels * np.cos(roll), pixels * np.sin(roll)
    matrix = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0]])
    matrix[:, 2] = CANVAS / 2 - matrix[:, :2] @ center
    return _warp(luma, matrix, pixels, CANVAS), matrix


def _warp(luma: Bytes, matrix: np.ndarray, pixels: float, size: int, averaged: int | None = None) -> Bytes:
    """`luma` under `matrix`; where that shrinks it more than twice, it is averaged down first.

    `averaged` is the side of what is averaged down, where that is more than what is returned.
    """
    shrink = int(1 / pixels)
    if shrink < 2:
        return _affine(luma, matrix, size)
    height, width = luma.shape
    reach = (
        0.75 * (averaged or size) / pixels + shrink
    )  # only the part that is seen, under any turn, is averaged
    middle = cv2.invertAffineTransform(matrix) @ np.array([size / 2, size / 2, 1.0])
    low = np.clip(middle - reach, 0, np.array([width, height]) - shrink).astype(int)
    high = np.clip(middle + reach, low + shrink, np.array([width, height])).astype(int)
    high = low + (high - low) // shrink * shrink  # whole blocks: OpenCV's fast road, and no drift
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
