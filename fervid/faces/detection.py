"""Face detection in a picture, at every scale and angle, and verification of a single face."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import cv2
import numpy as np

from fervid.faces.boxes import SAME, overlap
from fervid.faces.detectors import Detection, Detector, detectors, upright_box
from fervid.faces.picture import canvas
from fervid.types import Bytes, Floats

MOST_ENLARGED = 2.0  # enlarging further detects no more faces
MOST_TURNED = 8  # times the area of a picture: a turned strip fills a square of nothing
MOST_SEARCHED = 1 << 24  # pixels of the picture that a detector reads; more than `--min-face 0.01` needs
COARSER = 4  # times: the step to the next scale, for faces too large for the detector at the first
LARGE = 2  # times `min_face`: the least size of a face at an angle in a quick search

# A closer look at one face: upright, on a small picture of its surroundings.
LOOK = 128  # pixels
LOOK_BOX = 64  # pixels: the side of the face's box on it
LOOK_NEAR = 0.5  # sides of the box; a face further from the middle is another face
LOOK_SIZES = (0.5, 2.0)  # sides of the box; a face of another size is another face, too
DOUBT = -0.3  # the least score of a face that is followed
SURE = 0.12  # the least score of a face at an angle: hands and folds look like faces at some angle


class Search(IntEnum):
    """The faces that a search detects; the search at every angle takes eleven times as long as UPRIGHT."""

    UPRIGHT = 0  # faces that are rolled by up to 30 degrees
    QUICK = 1  # these, and large faces at every angle: half of the time of FULL
    FULL = 2  # all faces at every angle


def detect(luma: Bytes, name: str, min_face: float, search: Search = Search.UPRIGHT) -> list[Detection]:
    """Detect every face of at least `min_face` (a share of the height), highest score first.

    A weak detection, or one at an angle, counts if it is a clear one at a closer look.
    """
    detector = detectors()[name]
    clear: list[Detection] = []
    closer: list[Detection] = []
    for picture, back, is_turned in _views(luma, detector, min_face, search):
        seen = [face.moved(back) for face in detector.detect(picture, detector.weakest)]
        clear += [face for face in seen if face.score >= 0 and not is_turned]
        # A rolled face may be detected upright as well, less clearly and with wrong points.
        known = [face for face in clear if face.score >= SURE] if is_turned else clear
        for face in seen:
            others = [other for other in known if not _is_turned_over(other, face)]
            if (face.score < 0 or is_turned) and _is_new(face, others) and face.points is not None:
                better = look(luma, *upright_box(face.points), SURE if is_turned else 0.0)
                closer += [] if better is None else [better]
    faces: list[Detection] = []
    for face in sorted(clear + closer, key=lambda face: (-face.score, *face.box.tolist())):
        faces += [face] if _is_new(face, faces) else []
    return faces


def _is_new(face: Detection, faces: list[Detection]) -> bool:
    return not faces or overlap(face.box[None], np.stack([other.box for other in faces])).max() <= SAME


def _is_turned_over(face: Detection, other: Detection) -> bool:
    """Return whether another detection is clearer and has the face the other way up.

    From the side, the chin of a face that is upside down looks like a forehead.
    """
    if face.points is None or other.points is None or other.score <= face.score:
        return False
    rolls = [upright_box(points)[2] for points in (face.points, other.points)]
    return float(np.cos(rolls[0] - rolls[1])) < 0


def look(luma: Bytes, center: Floats, side: float, roll: float, least: float) -> Detection | None:
    """Return the face in a box with the score `least` or more, by YuNet on a small upright picture of it."""
    picture, matrix = canvas(luma, center, side, roll, LOOK, LOOK_BOX)

    def distance(face: Detection) -> float:
        return float(np.hypot(*(face.box[:2] + face.box[2:] / 2 - LOOK / 2)))

    faces = [
        face
        for face in detectors()["yunet"].detect(picture, least)
        if distance(face) < LOOK_NEAR * LOOK_BOX
        and LOOK_SIZES[0] < float(face.box[2]) / LOOK_BOX < LOOK_SIZES[1]
    ]
    best = min(faces, key=lambda face: (distance(face), -face.score), default=None)
    return None if best is None else best.moved(cv2.invertAffineTransform(matrix))


def _views(
    luma: Bytes, detector: Detector, min_face: float, search: Search
) -> Iterator[tuple[Bytes, np.ndarray, bool]]:
    """Yield the picture at each scale and angle, the matrix back from it, and whether it is turned."""
    for picture, back in _scales(luma, detector, min_face):
        yield picture, back, False
    if search == Search.UPRIGHT or not detector.angles:
        return
    for picture, back in _scales(luma, detector, min_face * (LARGE if search == Search.QUICK else 1)):
        for degrees in detector.angles:
            matrix, size = _turn(picture, degrees)
            if size[0] * size[1] <= MOST_TURNED * picture.size:
                turned = np.asarray(cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)
                yield turned, back @ np.vstack([cv2.invertAffineTransform(matrix), [0, 0, 1]]), True


def _scales(luma: Bytes, detector: Detector, least: float) -> Iterator[tuple[Bytes, np.ndarray]]:
    """Yield the picture at each scale for faces of at least `least`, and the matrix back from it."""
    most = (MOST_SEARCHED / luma.size) ** 0.5  # a strip would be enlarged as if it were as high as it is wide
    scale = min(detector.smallest / (least * luma.shape[0]), MOST_ENLARGED, most)
    while True:
        picture = _scaled(luma, scale)
        yield picture, np.array([[1 / scale, 0, 0.5 / scale - 0.5], [0, 1 / scale, 0.5 / scale - 0.5]])
        if min(picture.shape) <= detector.largest:
            return
        scale /= COARSER


def _scaled(luma: Bytes, scale: float) -> Bytes:
    if scale == 1:
        return luma
    across, down = (max(1, round(scale * side)) for side in reversed(luma.shape))
    # OpenCV averages 2x2 pixels much faster than other blocks; at mild scales, linear is as good.
    while luma.shape[1] >= 2 * across and luma.shape[0] >= 2 * down:
        width, height = (side // 2 for side in reversed(luma.shape))
        half = cv2.resize(luma[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        luma = np.asarray(half, np.uint8)
    return np.asarray(cv2.resize(luma, (across, down), interpolation=cv2.INTER_LINEAR), np.uint8)


def _turn(picture: Bytes, degrees: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the matrix that turns a picture counter-clockwise, and the size of the whole turned picture."""
    height, width = picture.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    across, down = np.abs(matrix[:, :2]) @ (width, height)
    size = (round(across), round(down))
    matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return matrix, size
