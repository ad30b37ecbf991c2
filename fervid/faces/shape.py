"""The mean face in three dimensions: head pose from 68 points, and the points without that pose.

Its data comes from ICT-FaceKit; see data/NOTICE. Units are eye distances, x to the right, y down,
z away from the camera, the origin between the eyes.
"""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files

import numpy as np

from fervid.types import Floats

RIGHT_EYE = slice(36, 42)  # the person's right, the image's left
LEFT_EYE = slice(42, 48)
NOSE_TIP, NOSE_BASE = 30, 33
MOUTH_CORNERS = (48, 54)

# Points that expressions move least: the bridge and wings of the nose, and the corners of the eyes.
RIGID = np.array([27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 39, 42, 45])

CROP = 64  # pixels: the side of an aligned face
CROP_EYES = 2.5  # side of an aligned face in eye distances: brows to chin, with a small margin
CROP_EYE_LINE = 0.30  # height of the eye line, as a share of the side

MARGIN = 12  # pixels around an aligned face that training keeps, for augmentation to shift it in

# Beyond this turn half of the face is hidden and its points are guesses: no more than this is undone.
MOST_TURN = np.radians(50.0)


@cache
def figures() -> dict[str, np.ndarray]:
    """Load the neutral shape, its mirror map, action units and identity modes."""
    with (files("fervid.faces") / "data" / "face68.npz").open("rb") as stream, np.load(stream) as pack:
        return {name: pack[name] for name in pack.files}


def eye_centres(landmarks: Floats) -> tuple[Floats, Floats]:
    """Return the centres of the image's left and right eye, for landmarks (..., 68, 2)."""
    return landmarks[..., RIGHT_EYE, :].mean(-2), landmarks[..., LEFT_EYE, :].mean(-2)


def eye_distance(landmarks: Floats) -> Floats:
    """Return the distance between the eyes' centres in pixels, for landmarks (..., 68, 2)."""
    left, right = eye_centres(landmarks)
    return np.asarray(np.linalg.norm(right - left, axis=-1), np.float32)


def five(landmarks: np.ndarray) -> np.ndarray:
    """Return eyes, nose tip and mouth corners, as detectors give them: (..., 68, D) -> (..., 5, D)."""
    eyes = [landmarks[..., eye, :].mean(-2, keepdims=True) for eye in (RIGHT_EYE, LEFT_EYE)]
    return np.concatenate([*eyes, landmarks[..., [NOSE_TIP, *MOUTH_CORNERS], :]], axis=-2)


def eye_line(landmarks: Floats) -> tuple[Floats, Floats]:
    """Return the point between the eyes, and a vector along the eye line as long as one eye distance.

    A turn of the head shortens the eye distance in the picture but not the nose, so the nose sets a lower
    bound on the distance: without it a turning face would be enlarged.
    """
    left, right = landmarks[RIGHT_EYE].mean(0), landmarks[LEFT_EYE].mean(0)
    middle, along = (left + right) / 2, right - left
    distance = float(np.hypot(*along))
    nose = float(np.hypot(*(landmarks[NOSE_BASE] - middle)))
    return middle, along * (max(distance, 1.2 * nose, 1.0) / max(distance, 1e-3))


def alignment(landmarks: Floats, margin: int = 0) -> tuple[np.ndarray, float]:
    """Return the (2, 3) map from a picture to the aligned face, and the scale of that map.

    The aligned face is CROP pixels wide and high; `margin` is added in pixels on every side.
    """
    middle, along = eye_line(landmarks)
    pixels = CROP / (CROP_EYES * np.hypot(*along))
    cosine, sine = pixels * along / np.hypot(*along)
    matrix = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0]])
    matrix[:, 2] = np.array([CROP / 2, CROP * CROP_EYE_LINE]) + margin - matrix[:, :2] @ middle
    return matrix, float(pixels)


@cache
def _solvers() -> tuple[np.ndarray, np.ndarray]:
    """Return the pseudo-inverses that fit a 2x4 camera to the rigid points, and to the five points."""
    neutral = figures()["neutral"].astype(np.float64)
    rigid, few = (
        np.linalg.pinv(np.hstack([points, np.ones((len(points), 1))]))
        for points in (neutral[RIGID], five(neutral))
    )
    return rigid, few  # (4, R), (4, 5)


def _cameras(landmarks: Floats) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cameras of faces by their rigid points."""
    return _solved(_solvers()[0], landmarks[:, RIGID])


def _solved(solver: np.ndarray, points: Floats) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rotation (N, 3, 3), scale (N,) and shift (N, 2) of each face's scaled-orthographic camera.

    The focal length of a video is not known, so perspective would add an unknown for little gain. Without
    it, the perspective-n-point problem is linear, and a whole track is solved at once.
    """
    fit = np.einsum("kr,nrc->nck", solver, points.astype(np.float64))  # (N, 2, 4)
    linear, shift = fit[..., :3], fit[..., 3]
    u, stretch, vt = np.linalg.svd(linear, full_matrices=False)  # the nearest scaled rotation
    rows = u @ vt  # (N, 2, 3)
    (a, b, c), (d, e, f) = rows.transpose(1, 2, 0)
    third = np.stack([b * f - c * e, c * d - a * f, a * e - b * d], axis=1)  # np.cross, which is slower
    return np.concatenate([rows, third[:, None]], axis=1), stretch.mean(-1), shift


def head_pose(landmarks: Floats) -> Floats:
    """Return yaw, pitch and roll in degrees, (N, 68, 2) -> (N, 3): 0 faces the camera.

    Positive yaw turns the nose to the image's right, positive pitch raises it, positive roll turns the
    head clockwise: first the roll, then the pitch, then the yaw, each about the camera's axes.
    """
    return _pose(_cameras(landmarks)[0])


def _pose(rotation: np.ndarray) -> Floats:
    """Return yaw, pitch and roll in degrees of rotations (N, 3, 3)."""
    forward = -rotation[:, :, 2]  # direction of the nose, in camera axes
    yaw = np.arctan2(forward[:, 0], -forward[:, 2])
    pitch = np.arcsin(np.clip(-forward[:, 1], -1, 1))
    roll = np.arctan2(rotation[:, 1, 0], rotation[:, 1, 1])
    return np.asarray(np.degrees(np.stack([yaw, pitch, roll], axis=1)), np.float32)


def posed(points: Floats) -> Floats:
    """Return the mean face's 68 points at the pose of a face with these five points: (5, 2) -> (68, 2)."""
    rotation, scale, shift = _solved(_solvers()[1], points[None])
    return np.asarray(scale[0] * figures()["neutral"] @ rotation[0, :2].T + shift[0], np.float32)


def without_pose(landmarks: Floats) -> Floats:
    """Return the faces turned to the camera, upright, in eye distances: (N, 68, 2) -> (N, 68, 2).

    Depths are the mean face's; x and y are solved for, which keeps the expression.
    """
    rotation, scale, shift = _cameras(landmarks)
    depth = figures()["neutral"][:, 2].astype(np.float64)  # (68,)
    planar = _limited(rotation)
    flat = (landmarks - shift[:, None]) / scale[:, None, None]  # (N, 68, 2)
    flat = flat - rotation[:, None, :2, 2] * depth[None, :, None]
    upright = np.einsum("nij,nkj->nki", np.linalg.inv(planar), flat)
    return np.asarray(upright, np.float32)


def _limited(rotation: np.ndarray) -> np.ndarray:
    """Return the in-image part (N, 2, 2) of each rotation, limited to MOST_TURN."""
    u, stretch, vt = np.linalg.svd(rotation[:, :2, :2])
    return np.asarray((u * np.maximum(stretch, np.cos(MOST_TURN))[:, None, :]) @ vt)


ACTION = 0.35  # the standard deviation of an action unit's weight, among all faces
NOISE = 0.012  # eye distances, of the tracker's points
INNER = slice(17, 68)  # without the jaw line, which is too noisy


@cache
def _actor() -> np.ndarray:
    """Return the matrix (102, 102) from the inner points' offset to the part that action units explain.

    The offset (102,) is from the mean face; the part is its expectation if people and actions vary as in
    `figures`.
    """
    figure = figures()
    people = figure["identity"][:, INNER, :2].reshape(len(figure["identity"]), -1).astype(np.float64)
    actions = ACTION * figure["au"][:, INNER, :2].reshape(len(figure["au"]), -1).astype(np.float64)
    moved = actions.T @ actions
    return np.linalg.solve(people.T @ people + moved + NOISE**2 * np.eye(len(moved)), moved)


def expressiveness(faces: Floats) -> Floats:
    """Return how much action units change each pose-free face (N, 68, 2), in eye distances: (N,).

    It is computed over the inner points, and separates action units from a person's own shape. It ranks the
    frames of one person; between people it means little.
    """
    away = (faces[:, INNER] - figures()["neutral"][INNER, :2]).reshape(len(faces), -1).astype(np.float64)
    return np.asarray(np.linalg.norm(away @ _actor(), axis=1), np.float32)


def misfit_and_yaw(face: Floats) -> tuple[float, float]:
    """Return a face's distance from any turned mean face, and its yaw: (68, 2) -> eye distances, degrees.

    The distance is the root mean square over the inner points. This is `head_pose` for one face, without the
    arrays, which take several times as long as the arithmetic.
    """
    solver, neutral = _solvers()[0], _inner_neutral()
    fit = solver @ face[RIGID].astype(np.float64)  # (4, 2): the columns of a 2x3 camera, and its shift
    (a, d), (b, e), (c, f) = fit[:3].tolist()
    # The nearest scaled rotation, by the inverse square root of a symmetric 2x2 matrix.
    first, both, second = a * a + b * b + c * c, a * d + b * e + c * f, d * d + e * e + f * f
    area = math.sqrt(max(first * second - both * both, 1e-12))
    stretch = math.sqrt(first + second + 2 * area)  # the sum of the two singular values
    u, v, w = ((part / (area * stretch)) for part in (second + area, -both, first + area))
    a, d = u * a + v * d, v * a + w * d
    b, e = u * b + v * e, v * b + w * e
    c, f = u * c + v * f, v * c + w * f
    scale = stretch / 2
    off = face[INNER] - neutral @ np.array([[a, d], [b, e], [c, f]]) * scale - fit[3]
    distance = math.sqrt(float(np.einsum("ij,ij->", off, off)) / len(off)) / max(scale, 1e-6)
    return distance, math.degrees(math.atan2(-c, a * e - b * d))


@cache
def _inner_neutral() -> np.ndarray:
    """Return the inner points of the mean face, (51, 3)."""
    return figures()["neutral"][INNER].astype(np.float64)
