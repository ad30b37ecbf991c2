"""Test that head pose returns the angles and signs put in, and that turned faces are turned to the front."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fervid.faces import shape
from fervid.types import Floats

Matrix = npt.NDArray[np.float64]
NOSE_TIP, RIGHT_CORNER, LEFT_CORNER = 30, 36, 45
Angles = tuple[float, float, float]
ANGLES: list[Angles] = [(0, 0, 0), (30, 0, 0), (-40, 0, 0), (0, 25, 0), (0, -30, 0)]
ANGLES += [(0, 0, 35), (0, 0, -60), (20, -15, 0), (35, 20, 25), (-40, 10, -30)]


def neutral() -> Matrix:
    return shape.figures()["neutral"].astype(np.float64)


def smile(weight: float) -> Matrix:
    """Return the offset of a lip corner puller, (68, 3)."""
    names = shape.figures()["au_names"].tolist()
    return weight * shape.figures()["au"][names.index("AU12")].astype(np.float64)


def turn(yaw: float, pitch: float, roll: float) -> Matrix:
    """Return a rotation in axes x right, y down, z away: the nose right, then up; the head clockwise."""
    (a, b, c), (i, j, k) = np.cos(np.radians([yaw, pitch, roll])), np.sin(np.radians([yaw, pitch, roll]))
    across = np.array([[a, 0, -i], [0, 1, 0], [i, 0, a]])
    upward = np.array([[1, 0, 0], [0, b, j], [0, -j, b]])
    tilted = np.array([[c, -k, 0], [k, c, 0], [0, 0, 1]])
    return across @ upward @ tilted


def project(face: Matrix, angles: Angles, scale: float = 80.0) -> Floats:
    """Project the face (68, 3) as a camera far away sees it, (68, 2) pixels."""
    return (scale * (face @ turn(*angles).T)[:, :2] + (310.0, 205.0)).astype(np.float32)


def nose(landmarks: Floats) -> Floats:
    """Return the vector from between the eyes to the tip of the nose."""
    return landmarks[NOSE_TIP] - np.mean(shape.eye_centres(landmarks), axis=0)


@pytest.mark.parametrize("angles", ANGLES)
@pytest.mark.parametrize("scale", [12.0, 300.0])
def test_head_pose_gives_back_the_angles(angles: Angles, scale: float) -> None:
    pose = shape.head_pose(project(neutral(), angles, scale)[None])
    assert pose.shape == (1, 3) and pose.dtype == np.float32
    assert pose[0] == pytest.approx(angles, abs=0.05)


def test_the_signs_are_those_of_the_picture() -> None:
    front = nose(project(neutral(), (0, 0, 0)))
    right, raised = nose(project(neutral(), (20, 0, 0))), nose(project(neutral(), (0, 20, 0)))
    assert right[0] > front[0] + 5  # positive yaw: to the image's right
    assert raised[1] < front[1] - 5  # positive pitch: up
    tilted = project(neutral(), (0, 0, 20))
    assert tilted[LEFT_CORNER, 1] > tilted[RIGHT_CORNER, 1] + 5  # positive roll: clockwise
    for index, angles in enumerate([(20, 0, 0), (0, 20, 0), (0, 0, 20)]):
        assert shape.head_pose(project(neutral(), angles)[None])[0, index] > 15


def test_a_mirrored_face_turns_the_other_way() -> None:
    landmarks = project(neutral(), (25, 10, 15))
    mirrored = (landmarks * (-1, 1) + (640, 0))[shape.figures()["mirror"]].astype(np.float32)
    assert shape.head_pose(mirrored[None])[0] == pytest.approx((-25, 10, -15), abs=0.3)


def test_noise_of_a_predictor_moves_the_pose_by_few_degrees() -> None:
    generator = np.random.default_rng(3)
    faces = np.stack([project(neutral(), angles) for angles in ANGLES for _ in range(20)])
    noisy = (faces + generator.normal(0, 1.0, faces.shape)).astype(np.float32)  # 1/80 of an eye distance
    off = np.abs(shape.head_pose(noisy) - np.repeat(np.array(ANGLES, np.float32), 20, axis=0))
    assert off.mean() < 1.5
    assert off.max() < 10


def test_an_expression_changes_the_pose_little() -> None:
    pose = shape.head_pose(project(neutral() + smile(1.0), (20, 10, 5))[None])
    assert pose[0] == pytest.approx((20, 10, 5), abs=3)


@pytest.mark.parametrize("angles", ANGLES)
def test_without_pose_turns_the_neutral_face_to_the_front(angles: Angles) -> None:
    upright = shape.without_pose(project(neutral(), angles)[None])
    assert upright.shape == (1, 68, 2) and upright.dtype == np.float32
    assert upright[0] == pytest.approx(neutral()[:, :2], abs=1e-4)


@pytest.mark.parametrize("angles", ANGLES)
@pytest.mark.parametrize(("depth", "worst", "share"), [(0.0, 0.07, 0.75), (1.0, 0.13, 0.65)])
def test_without_pose_keeps_the_expression(angles: Angles, depth: float, worst: float, share: float) -> None:
    act = smile(1.0) * (1, 1, depth)  # motion of the lips in depth is not visible, and counts as error
    upright = shape.without_pose(np.stack([project(neutral(), angles), project(neutral() + act, angles)]))
    moved, meant = upright[1] - upright[0], act[:, :2]
    assert np.linalg.norm(meant, axis=1).max() > 0.19
    assert np.linalg.norm(moved - meant, axis=1).max() < worst
    assert share < (moved * meant).sum() / np.square(meant).sum() < 1.1


def test_a_face_turned_almost_to_profile_stays_finite_and_bounded() -> None:
    upright = shape.without_pose(project(neutral(), (85, 0, 0))[None])
    assert np.isfinite(upright).all()
    assert np.abs(upright).max() < 4


def test_faces_of_a_batch_do_not_affect_each_other() -> None:
    faces = np.stack([project(neutral(), angles) for angles in ANGLES])
    for ask in (shape.head_pose, shape.without_pose):
        alone = np.concatenate([ask(face[None]) for face in faces])
        assert ask(faces) == pytest.approx(alone, abs=1e-4)


def test_the_eye_distance_is_in_pixels() -> None:
    landmarks = project(neutral(), (0, 0, 30), 70.0)
    assert shape.eye_distance(landmarks) == pytest.approx(70.0, rel=0.01)  # the mean face's unit
    left, right = shape.eye_centres(landmarks)
    assert left[0] < right[0]


@pytest.mark.parametrize("angles", ANGLES)
def test_misfit_is_small_for_a_face_and_large_for_scrambled_points(angles: Angles) -> None:
    face = project(neutral(), angles)
    smiling = project(neutral() + smile(1.0), angles)
    scrambled = np.random.default_rng(5).permutation(face)
    plain, moved, broken = (shape.misfit_and_yaw(each)[0] for each in (face, smiling, scrambled))
    assert plain < 1e-3
    assert moved < 0.12
    assert broken > 0.5


def test_misfit_does_not_depend_on_size_or_position() -> None:
    face = project(neutral() + smile(1.0), (20, 0, 10))
    sizes = [shape.misfit_and_yaw(each.astype(np.float32))[0] for each in (face, face * 3 + 50)]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-3)


@pytest.mark.parametrize("angles", ANGLES)
def test_the_yaw_beside_the_misfit_is_that_of_the_pose(angles: Angles) -> None:
    face = project(neutral() + smile(1.0), angles)
    assert shape.misfit_and_yaw(face)[1] == pytest.approx(float(shape.head_pose(face[None])[0, 0]), abs=1e-3)
    assert np.isfinite(shape.misfit_and_yaw(np.zeros((68, 2), np.float32))).all()


def test_the_mirror_map_is_its_own_inverse_and_fits_the_mean_face() -> None:
    twin = shape.figures()["mirror"]
    assert (twin[twin] == np.arange(68)).all()
    assert neutral()[twin] * (-1, 1, 1) == pytest.approx(neutral(), abs=1e-3)
