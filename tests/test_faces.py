"""Test detection, following and crops of the example clip's faces against its ground truth."""

from __future__ import annotations

import json
from functools import cache

import cv2
import numpy as np
import pytest
from conftest import CLIP, ROOT

from fervid.errors import ModelError, UsageError
from fervid.faces import detectors as detectors_module
from fervid.faces import shape
from fervid.faces.detection import Search
from fervid.faces.detectors import Detector, _kept_net, by_torch, detectors, register
from fervid.faces.finder import FaceFinder
from fervid.faces.shape import CROP, MARGIN
from fervid.types import Bytes, Floats
from fervid.video import planning, reading

CLOSE, WIDE, ROCKET = 0, 350, 215  # frames: a large face, one of a third of the height, none
FINDER = FaceFinder(landmarks="dlib")  # the truth of the clip was placed by this predictor


@pytest.fixture(scope="module")
def pictures() -> dict[int, Bytes]:
    """Decode the luma of the tested frames."""
    plan = planning.plan(CLIP)
    pictures = {}
    for frame in (CLOSE, WIDE, ROCKET):
        pts = int(plan.pts[frame])
        pictures[frame] = next(reading.frames(plan, pts, pts + 1)).luma
    return pictures


@pytest.fixture(scope="module")
def truth() -> dict[int, Floats]:
    rows = json.loads((ROOT / "examples" / "clip.truth.json").read_text("utf-8"))["faces"]
    return {row["frame"]: np.array(row["landmarks"], np.float32) for row in rows}


def eyes_apart(landmarks: Floats) -> float:
    return float(shape.eye_distance(landmarks))


def error(landmarks: Floats, truth: Floats) -> float:
    """Return the mean distance of the points, in eye distances."""
    return float(np.linalg.norm(landmarks - truth, axis=1).mean()) / eyes_apart(truth)


def overlap(first: Floats, second: Floats) -> float:
    """Return the intersection over union of two boxes."""
    low = np.maximum(first[:2], second[:2])
    high = np.minimum(first[:2] + first[2:], second[:2] + second[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / (float(np.prod(first[2:])) + float(np.prod(second[2:])) - shared)


def scaled(luma: Bytes, landmarks: Floats, scale: float) -> tuple[Bytes, Floats]:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(luma, None, fx=scale, fy=scale, interpolation=how), moved(
        landmarks, np.array([[scale, 0, scale / 2 - 0.5], [0, scale, scale / 2 - 0.5]])
    )


def moved(landmarks: Floats, matrix: np.ndarray) -> Floats:
    return (landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def warped(luma: Bytes, matrix: np.ndarray) -> Bytes:
    size = (luma.shape[1], luma.shape[0])
    return cv2.warpAffine(luma, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def tilted(luma: Bytes, landmarks: Floats, degrees: float) -> tuple[Bytes, Floats]:
    """Turn picture and points clockwise about the bridge of the nose."""
    x, y = landmarks[27:31].mean(axis=0).tolist()
    matrix = cv2.getRotationMatrix2D((x, y), -degrees, 1.0)
    return warped(luma, matrix), moved(landmarks, matrix)


@pytest.mark.parametrize("frame", [CLOSE, WIDE])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_face_is_detected_and_landmarked(
    pictures: dict[int, Bytes], truth: dict[int, Floats], frame: int, scale: float
) -> None:
    luma, expected = scaled(pictures[frame], truth[frame], scale)
    (face,) = FINDER.detect(luma)
    assert face.box.shape == (4,) and face.box.dtype == np.float32
    assert overlap(face.box, FINDER.box(expected)) > 0.6
    assert face.score > 0.1
    landmarks = FINDER.fit(luma, face)
    assert landmarks.shape == (68, 2) and landmarks.dtype == np.float32
    assert error(landmarks, expected) < 0.05


def test_a_picture_without_a_face_has_none(pictures: dict[int, Bytes]) -> None:
    assert FINDER.detect(pictures[ROCKET]) == []
    assert FINDER.detect(np.zeros((8, 8), np.uint8)) == []


def test_a_face_below_min_face_is_left_out(pictures: dict[int, Bytes]) -> None:
    assert FaceFinder(min_face=0.9).detect(pictures[WIDE]) == []
    assert len(FaceFinder(min_face=0.3).detect(pictures[WIDE])) == 1


def test_two_faces_come_in_order_of_score(pictures: dict[int, Bytes]) -> None:
    both = np.hstack([pictures[WIDE], pictures[CLOSE]])
    faces = FINDER.detect(both)
    assert len(faces) == 2
    assert faces[0].score >= faces[1].score
    assert sorted(int(face.box[0] > 640) for face in faces) == [0, 1]


def test_a_view_that_is_not_contiguous_gives_the_same_as_its_copy(pictures: dict[int, Bytes]) -> None:
    mirrored = pictures[WIDE][:, ::-1]
    padded = np.pad(pictures[WIDE], ((0, 0), (0, 32)))[:, :640]
    for name in ("yunet", "hog"):
        exact = FaceFinder(detectors()[name].smallest / 480, name)  # at this size nothing is resized first
        for finder in (FaceFinder(detector=name), exact):
            for view in (mirrored, padded):
                assert not view.flags.c_contiguous
                (face,) = finder.detect(view)
                (same,) = finder.detect(view.copy())
                assert face.box.tolist() == same.box.tolist() and face.score == same.score
                assert (finder.fit(view, face) == finder.fit(view.copy(), same)).all()


def test_dlib_is_given_contiguous_pictures_alone(
    pictures: dict[int, Bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check the input: with other pictures dlib mostly, but not always, detects nothing."""
    given = []

    class Watched:
        def run(self, luma: Bytes, *rest: float) -> object:
            given.append(luma.flags.c_contiguous)
            return [], [], []

    monkeypatch.setattr("fervid.faces.detectors._hog", Watched)
    FaceFinder(detectors()["hog"].smallest / 480, "hog").detect(pictures[WIDE][:, ::-1])
    assert given == [True]


def test_the_box_of_landmarks_is_upright_and_round_the_face(truth: dict[int, Floats]) -> None:
    x, y, width, height = FINDER.box(truth[CLOSE]).tolist()
    assert width == height
    inner = truth[CLOSE][17:]
    assert (inner > (x, y)).all() and (inner < (x + width, y + height)).all()


@pytest.mark.parametrize("shift", [(0.5, 0.0), (0.25, 0.75), (-0.5, 0.5), (2.3, 1.6)])
def test_points_follow_shifts_below_a_pixel(pictures: dict[int, Bytes], shift: tuple[float, float]) -> None:
    # Shifted at double size, so that a half-pixel shift is no blur.
    whole = pictures[WIDE]
    shifted = warped(whole, np.array([[1, 0, 2 * shift[0]], [0, 1, 2 * shift[1]]]))
    small, small_shifted = (
        cv2.resize(picture, (320, 240), interpolation=cv2.INTER_AREA) for picture in (whole, shifted)
    )
    (face,) = FINDER.detect(small)
    off = FINDER.fit(small_shifted, face) - FINDER.fit(small, face) - np.array(shift, np.float32)
    assert np.abs(off.mean(axis=0)).max() < 0.25
    assert np.linalg.norm(off, axis=1).mean() < 0.6
    assert np.linalg.norm(off, axis=1).max() < 2


@pytest.mark.parametrize("frame", [CLOSE, WIDE])
@pytest.mark.parametrize("degrees", [-30, 30, 75])
def test_a_tilted_head_is_followed_and_verified(
    pictures: dict[int, Bytes], truth: dict[int, Floats], frame: int, degrees: int
) -> None:
    luma, expected = tilted(pictures[frame], truth[frame], degrees)
    landmarks = FINDER.follow(luma, expected)
    assert error(landmarks, expected) < 0.05
    assert FINDER.look(luma, landmarks) is not None


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_head_that_tilts_step_by_step_is_followed(
    pictures: dict[int, Bytes], truth: dict[int, Floats], sign: int
) -> None:
    landmarks = truth[WIDE]
    for degrees in (10, 20, 30):
        luma, expected = tilted(pictures[WIDE], truth[WIDE], sign * degrees)
        landmarks = FINDER.follow(luma, landmarks)
        assert error(landmarks, expected) < 0.05
    turned = shape.head_pose(np.stack([truth[WIDE], landmarks]))[:, 2]
    assert turned[1] - turned[0] == pytest.approx(sign * 30, abs=4)


def test_verify_distinguishes_a_face_from_the_background(
    pictures: dict[int, Bytes], truth: dict[int, Floats]
) -> None:
    assert FINDER.look(pictures[CLOSE], truth[CLOSE])
    assert FINDER.look(pictures[WIDE], truth[WIDE])
    away = truth[WIDE] - truth[WIDE].mean(axis=0)
    assert not FINDER.look(pictures[WIDE], away + np.float32([540, 120]))
    for x in (150, 320, 500):
        for y in (120, 240, 360):
            assert not FINDER.look(pictures[ROCKET], away + np.float32([x, y]))


@pytest.mark.parametrize("roll", [0, 25, -60])
@pytest.mark.parametrize("apart", [18.0, 40.0, 150.0])  # pixels between the eyes: enlarged, near, averaged
def test_a_crop_has_the_eyes_at_fixed_positions(roll: int, apart: float) -> None:
    angle = np.radians(roll)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    face = shape.figures()["neutral"][:, :2] * apart @ turn.T
    landmarks = (face + np.array([401.3, 297.6])).astype(np.float32)
    rows, columns = np.mgrid[:600, :800]
    light = np.zeros((600, 800))
    for x, y in shape.eye_centres(landmarks):
        light += 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (0.06 * apart) ** 2))
    crop = FINDER.crop(light.astype(np.uint8), landmarks)
    assert crop.shape == (CROP, CROP) and crop.dtype == np.uint8
    for half, share in ((0, 0.3), (CROP // 2, 0.7)):
        part = crop[:, half : half + CROP // 2].astype(float)
        y, x = (
            float((grid * part).sum() / part.sum()) for grid in np.mgrid[: part.shape[0], : part.shape[1]]
        )
        assert (x + half, y) == pytest.approx((share * CROP, 0.3 * CROP), abs=0.15)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_middle_of_a_crop_with_a_margin_is_the_crop(
    pictures: dict[int, Bytes], truth: dict[int, Floats], scale: float
) -> None:
    picture = scaled(pictures[CLOSE], truth[CLOSE], scale)
    middle = FINDER.crop(*picture, margin=MARGIN)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    difference = np.abs(middle.astype(int) - FINDER.crop(*picture))
    assert (difference > 0).mean() < 0.001  # only a coordinate that rounds the other way may differ
    assert difference.max() <= 8


@pytest.mark.parametrize("frame", [CLOSE, WIDE])
def test_a_crop_depends_little_on_the_size_of_the_picture(
    pictures: dict[int, Bytes], truth: dict[int, Floats], frame: int
) -> None:
    crops = [
        FINDER.crop(*scaled(pictures[frame], truth[frame], scale)).astype(float)
        for scale in (1.0, 2.0, 4.0, 5.5)
    ]
    assert crops[0].std() > 20
    for other in crops[1:]:
        assert np.abs(other - crops[0]).mean() < 3
        assert abs((other - crops[0]).mean()) < 0.5
        # A drift by one pixel would differ more than resampling does.
        assert np.abs(other - crops[0]).mean() < 0.6 * np.abs(other - np.roll(crops[0], 1, axis=1)).mean()


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_a_face_at_the_edge_of_the_picture_is_followed(
    pictures: dict[int, Bytes], truth: dict[int, Floats], side: str, scale: float
) -> None:
    luma, expected = pictures[WIDE], truth[WIDE]
    x, y, width, height = FINDER.box(expected)
    left = round(x + width * 0.3) if side == "left" else 0
    right = round(x + width * 0.7) if side == "right" else luma.shape[1]
    top = round(y + height * 0.3) if side == "top" else 0
    bottom = round(y + height * 0.7) if side == "bottom" else luma.shape[0]
    part, points = scaled(luma[top:bottom, left:right], expected - np.float32([left, top]), scale)
    landmarks = FINDER.follow(part, points)
    inside = ((points >= 0) & (points < part.shape[::-1])).all(axis=1)
    assert 10 < inside.sum() < 68
    assert np.linalg.norm(landmarks - points, axis=1)[inside].mean() / eyes_apart(points) < 0.2
    crop = FINDER.crop(part, points)
    whole = FINDER.crop(*scaled(luma, expected, scale))
    assert (np.abs(crop.astype(int) - whole) < 12).mean() > 0.4  # the visible part is where it was
    FINDER.look(part, points)
    for face in FINDER.detect(cv2.resize(part, None, fx=1 / scale, fy=1 / scale)):
        assert np.isfinite(FINDER.fit(part, face.moved(np.array([[scale, 0, 0], [0, scale, 0]])))).all()


def test_a_face_wholly_outside_still_has_a_crop(pictures: dict[int, Bytes], truth: dict[int, Floats]) -> None:
    for away in ((-2000, 0), (2000, 0), (0, -2000), (0, 2000)):
        for scale in (1.0, 4.0):
            luma, points = scaled(pictures[WIDE], truth[WIDE], scale)
            gone = points + np.float32(away) * np.float32(scale)
            assert FINDER.crop(luma, gone).shape == (CROP, CROP)
            assert not FINDER.look(luma, gone)


def test_a_head_in_profile_keeps_its_size_in_the_crop(truth: dict[int, Floats]) -> None:
    narrow = truth[CLOSE] * np.float32([0.3, 1.0])
    _, along = shape.eye_line(narrow)
    assert float(np.hypot(*along)) > 0.6 * eyes_apart(truth[CLOSE])
    assert eyes_apart(narrow) < 0.35 * eyes_apart(truth[CLOSE])


def test_the_slow_detector_detects_the_face(pictures: dict[int, Bytes], truth: dict[int, Floats]) -> None:
    luma, expected = scaled(pictures[WIDE], truth[WIDE], 0.5)
    finder = FaceFinder(min_face=0.3, detector="mmod", landmarks="dlib")
    (face,) = finder.detect(luma)
    assert face.score > 0
    assert overlap(face.box, finder.box(expected)) > 0.5
    assert error(finder.fit(luma, face), expected) < 0.05


def test_detectors_have_names() -> None:
    assert tuple(detectors()) == ("yunet", "hog", "mmod")
    with pytest.raises(UsageError, match=r"unknown detector 'haar'.*yunet, hog, mmod"):
        FaceFinder(detector="haar")


def test_two_detectors_of_one_name_are_an_error() -> None:
    with pytest.raises(ValueError, match="two detectors are called 'hog'"):
        register("hog", Detector(lambda luma, accept: iter(()), 80, 80, 0.0))
    assert tuple(detectors()) == ("yunet", "hog", "mmod")


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_min_face_must_be_a_share(share: float) -> None:
    with pytest.raises(UsageError, match="--min-face"):
        FaceFinder(min_face=share)


# --- detection at every angle and size


@pytest.mark.parametrize("degrees", [20, 45, -45, 90, -90, 135, 180])
def test_a_rolled_face_is_detected(
    pictures: dict[int, Bytes], truth: dict[int, Floats], degrees: int
) -> None:
    luma, expected = tilted(pictures[WIDE], truth[WIDE], degrees)
    face = FINDER.detect(luma, Search.FULL)[0]
    assert overlap(face.box, FINDER.box(expected)) > 0.5
    assert error(FINDER.fit(luma, face), expected) < 0.06


def test_a_quick_search_detects_large_faces_at_every_angle(
    pictures: dict[int, Bytes], truth: dict[int, Floats]
) -> None:
    luma, expected = tilted(pictures[WIDE], truth[WIDE], 90)
    box = FINDER.box(expected)
    large, small = (FaceFinder(min_face=float(box[2]) / luma.shape[0] / times) for times in (2.5, 0.9))
    assert not large.detect(luma)
    (face,) = large.detect(luma, Search.QUICK)
    assert overlap(face.box, box) > 0.5
    assert not small.detect(luma, Search.QUICK)


@pytest.mark.parametrize("side", [20, 27, 40])
def test_a_small_face_is_detected(pictures: dict[int, Bytes], truth: dict[int, Floats], side: int) -> None:
    scale = side / float(FINDER.box(truth[WIDE])[2])
    luma, expected = scaled(pictures[WIDE], truth[WIDE], scale)
    around = cv2.copyMakeBorder(luma, 100, 100, 100, 100, cv2.BORDER_REPLICATE)
    (face,) = FaceFinder(min_face=20 / around.shape[0]).detect(np.asarray(around, np.uint8))
    assert overlap(face.box, FINDER.box(expected + np.float32(100))) > 0.5


def test_ten_faces_at_once_are_detected(pictures: dict[int, Bytes], truth: dict[int, Floats]) -> None:
    x, y, width, height = FINDER.box(truth[CLOSE]).astype(int).tolist()
    tile = pictures[CLOSE][
        max(0, y - height // 3) : y + height + height // 5, x - width // 5 : x + width * 6 // 5
    ]
    small = cv2.resize(tile, (120, 150), interpolation=cv2.INTER_AREA)
    crowd = np.vstack([np.hstack([small] * 5), np.hstack([small[:, ::-1]] * 5)])
    faces = FINDER.detect(np.ascontiguousarray(crowd))
    assert len(faces) == 10
    assert {(int(face.box[0]) // 120, int(face.box[1]) // 150) for face in faces} == {
        (column, row) for column in range(5) for row in range(2)
    }


def test_a_large_face_is_detected_beside_a_small_one(
    pictures: dict[int, Bytes], truth: dict[int, Floats]
) -> None:
    large, points = scaled(pictures[CLOSE], truth[CLOSE], 3.0)
    assert FINDER.box(points)[2] > detectors()["yunet"].largest
    faces = FaceFinder(min_face=0.02).detect(large)
    assert overlap(faces[0].box, FINDER.box(points)) > 0.5


@pytest.mark.parametrize(("is_whole", "most"), [(False, 0.16), (True, 0.18)])
def test_the_points_of_a_detection_are_eyes_nose_and_mouth(
    pictures: dict[int, Bytes],
    truth: dict[int, Floats],
    is_whole: bool,
    most: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In single precision, and in 8-bit integers."""
    if not is_whole:
        monkeypatch.setattr(detectors_module, "by_torch", lambda: None)
    (face,) = FINDER.detect(pictures[WIDE])
    assert face.points is not None
    expected = shape.five(truth[WIDE])
    off = np.linalg.norm(face.points[:, None] - expected, axis=2)  # (5 detected, 5 expected)
    assert off.argmin(axis=1).tolist() == [0, 1, 2, 3, 4]
    assert off.diagonal().max() / eyes_apart(truth[WIDE]) < most


@pytest.mark.parametrize("yaw", [-70, -30, 0, 30, 70])
def test_five_points_give_the_pose(yaw: int) -> None:
    angle = np.radians(yaw)
    turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    face = (60 * shape.figures()["neutral"] @ turn.T)[:, :2].astype(np.float32) + 200
    posed = shape.posed(shape.five(face))
    assert np.abs(posed - face).max() < 0.1
    assert shape.head_pose(posed[None])[0, 0] == pytest.approx(yaw, abs=0.5)


@pytest.mark.parametrize(("file", "height"), [("YUNET", 160), ("YUNET_WHOLE", 480)])
def test_a_missing_or_damaged_detector_is_an_error(
    file: str, height: int, pictures: dict[int, Bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small pictures are read by OpenCV, large ones in 8-bit integers."""
    luma = np.asarray(cv2.resize(pictures[WIDE], (height, height)), np.uint8)
    for kept in (by_torch, _kept_net):
        monkeypatch.setattr(detectors_module, kept.__name__, cache(kept.__wrapped__))
    monkeypatch.setattr(detectors_module, file, "data/none.onnx")
    with pytest.raises(ModelError, match=r"none\.onnx is missing: pip install"):
        list(detectors()["yunet"].detect(luma, 0.0))
    monkeypatch.setattr(detectors_module, file, "faces/data/NOTICE")
    with pytest.raises(ModelError, match="NOTICE is damaged: pip install"):
        list(detectors()["yunet"].detect(luma, 0.0))
