"""Test that the example clip matches its ground truth, as dlib tracks it, and the puppet that draws it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import av
import cv2
import dlib
import numpy as np
import numpy.typing as npt
import pytest

from fervid import synth
from fervid.errors import UsageError

EXAMPLES = Path(__file__).parents[1] / "examples"
Points = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def truth() -> dict:
    return json.loads((EXAMPLES / "clip.truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """Decode the clip's luma, and check the time of every frame."""
    with av.open(str(EXAMPLES / "clip.mp4")) as container:
        decoded = [(frame.time, frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    assert [time for time, _ in decoded] == pytest.approx([index / 25 for index in range(len(decoded))])
    return [np.ascontiguousarray(luma) for _, luma in decoded]


@pytest.fixture(scope="module")
def see(frames):
    """Return a function that gives dlib's box and landmarks of the one face of a frame."""
    detector = dlib.get_frontal_face_detector()
    models = Path(importlib.util.find_spec("face_recognition_models").origin).parent / "models"
    predictor = dlib.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))

    def look(index: int) -> tuple[list[float], Points]:
        (box,) = detector(frames[index], 0)
        points = np.array([(p.x, p.y) for p in predictor(frames[index], box).parts()], np.float64)
        return [box.left(), box.top(), box.width(), box.height()], points

    return look


def upright(points: Points) -> Points:
    """Return landmarks in eye distances, with the middle of the eyes as the origin, without roll."""
    right, left = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    across = left - right
    size = np.linalg.norm(across)
    turn = np.array([across, (-across[1], across[0])]) / size
    return (points - (right + left) / 2) @ turn.T / size


def measures(points: Points) -> dict[str, float]:
    """Measure a face, in eye distances, with y downwards."""
    p = upright(points)
    return {
        "width": p[54, 0] - p[48, 0],
        "corners": p[[48, 54], 1].mean() - p[[51, 57], 1].mean(),
        "gap": p[66, 1] - p[62, 1],
        "chin": p[8, 1],
        "brows": p[17:27, 1].mean(),
        "inner_brows": p[[21, 22], 1].mean(),
        "outer_brows": p[[18, 25], 1].mean(),
    }


def change(see, truth: dict, emotion: str) -> dict[str, float]:
    """Return the change of each measure from just before the onset to the apex."""
    fps = truth["fps"]
    shown = next(e for shot in truth["shots"] for e in shot["expressions"] if e["emotion"] == emotion)
    onset, start, end = (round(shown[key] * fps) for key in ("onset", "apex_start", "apex_end"))
    neutral = [measures(see(index)[1]) for index in (onset - 6, onset - 3, onset)]
    apex = [measures(see(index)[1]) for index in np.linspace(start + 2, end - 2, 3).round().astype(int)]
    return {name: np.mean([a[name] for a in apex]) - np.mean([n[name] for n in neutral]) for name in apex[0]}


def test_frames_and_shots_match_the_truth(frames, truth):
    assert len(frames) == truth["frames"]
    assert {frame.shape for frame in frames} == {(truth["height"], truth["width"])}
    assert truth["shots"][0]["start_frame"] == 0
    assert truth["shots"][-1]["end_frame"] == truth["frames"]
    for shot in truth["shots"]:
        assert shot["start"] == pytest.approx(shot["start_frame"] / truth["fps"])
        for shown in shot["expressions"]:
            times = [shown[key] for key in ("onset", "apex_start", "apex_end", "offset")]
            assert shot["start"] < times[0] < times[1] < times[2] < times[3] < shot["end"]


def test_cuts_match_the_truth(frames, truth):
    small = np.stack([cv2.resize(f, (64, 48), interpolation=cv2.INTER_AREA) for f in frames]).astype(float)
    jumps = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2))
    cuts = [shot["start_frame"] for shot in truth["shots"][1:]]
    assert np.flatnonzero(jumps > 40).tolist() == [cut - 1 for cut in cuts]
    assert np.delete(jumps, [cut - 1 for cut in cuts]).max() < 10


def test_boxes_and_landmarks_match_the_truth(see, truth):
    for face in truth["faces"][::5]:
        _, points = see(face["frame"])
        # The detector's own box of a face from the side is beside the face.
        (x, y), (width, height) = points.min(axis=0), np.ptp(points, axis=0)
        left, top, wide, high = face["box"]
        across = min(x + width, left + wide) - max(x, left)
        down = min(y + height, top + high) - max(y, top)
        shared = max(0.0, across) * max(0.0, down)
        assert shared / (width * height + wide * high - shared) > 0.9
        truly = np.array(face["landmarks"])
        eyes = np.linalg.norm(truly[36:42].mean(axis=0) - truly[42:48].mean(axis=0))
        assert np.linalg.norm(points - truly, axis=1).mean() / eyes < 0.05


def test_the_faceless_shot_has_no_face(frames, truth):
    (shot,) = [shot for shot in truth["shots"] if not shot["face"]]
    detector = dlib.get_frontal_face_detector()
    for index in range(shot["start_frame"], shot["end_frame"], 12):
        assert len(detector(frames[index], 0)) == 0
    assert not any(shot["start_frame"] <= face["frame"] < shot["end_frame"] for face in truth["faces"])


def test_happiness_widens_and_lifts_the_corners_of_the_mouth(see, truth):
    seen = change(see, truth, "happiness")
    assert seen["width"] > 0.1
    assert seen["corners"] < -0.06
    assert seen["gap"] > 0.03
    assert abs(seen["brows"]) < 0.04


def test_surprise_opens_the_mouth_and_lifts_the_brows(see, truth):
    seen = change(see, truth, "surprise")
    assert seen["gap"] > 0.1
    assert seen["chin"] > 0.1
    assert seen["brows"] < -0.06
    assert seen["width"] < 0.02


def test_sadness_lowers_the_corners_and_lifts_the_inner_brows(see, truth):
    seen = change(see, truth, "sadness")
    assert seen["corners"] > 0.03
    assert seen["inner_brows"] < -0.03
    assert seen["inner_brows"] < seen["outer_brows"] - 0.015
    assert abs(seen["gap"]) < 0.03


# --- the parts of the script


@pytest.fixture
def drawn() -> tuple[np.ndarray, Points]:
    """Draw a simple face; return the picture and its landmarks."""
    landmarks = synth.neutral_face()[:, :2] * 60 + (160, 110)
    picture = np.full((320, 320, 3), 150, np.uint8)
    cv2.fillPoly(picture, [cv2.convexHull(landmarks.astype(np.int32))], (190, 200, 220))
    for first, last, colour in ((36, 42, 250), (42, 48, 250), (48, 60, 110)):
        cv2.fillPoly(picture, [landmarks[first:last].astype(np.int32)], (colour, colour, colour))
    return picture, landmarks


def animate(portrait: np.ndarray, landmarks: Points, weights: dict[str, float]) -> np.ndarray:
    """Return the photograph with action units applied."""
    return synth.Puppet(portrait, landmarks).pose(synth.move(landmarks, weights))[0]


def test_without_weights_the_photograph_stays_as_it_is(drawn):
    picture, landmarks = drawn
    still = animate(picture, landmarks, {})
    assert np.abs(still.astype(int) - picture).mean() < 0.5


def test_a_dropped_jaw_opens_a_dark_mouth_and_keeps_the_edges_of_the_picture(drawn):
    picture, landmarks = drawn
    view = synth.view_of(landmarks)
    moved, placed = synth.Puppet(picture, landmarks).pose(synth.move(landmarks, {"AU26": 1.0}, view))
    (x, top), (_, bottom) = placed[[62, 66]].round().astype(int)
    assert bottom - top > 8
    mouth = np.s_[top + 1 : bottom - 1, x]
    assert moved[mouth].mean(axis=-1).min() < 60 < picture[mouth].mean(axis=-1).min()
    edge = np.ones(picture.shape[:2], bool)
    edge[8:-8, 8:-8] = False
    assert np.abs(moved[edge].astype(int) - picture[edge]).max() <= 1


def test_grey_pictures_move_like_coloured_ones(drawn):
    picture, landmarks = drawn
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    weights = {"AU1": 1.0, "AU2": 1.0}
    moved = animate(grey, landmarks, weights)
    assert moved.shape == grey.shape
    coloured = cv2.cvtColor(animate(picture, landmarks, weights), cv2.COLOR_BGR2GRAY)
    assert np.abs(moved.astype(int) - coloured).mean() < 1.0
    assert np.abs(moved.astype(int) - grey).max() > 20


def test_the_view_has_the_size_and_turn_of_the_head():
    turn = np.radians(20)
    scale = 50 * np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0]])
    landmarks = synth.neutral_face() @ scale.T + (300, 200)
    assert synth.view_of(landmarks) == pytest.approx(scale, abs=1e-6)


def test_lids_and_lips_never_pass_through_each_other():
    landmarks = synth.neutral_face()[:, :2] * 60
    moved = synth.move(landmarks, {"AU45": 3.0, "AU17": 3.0})
    for upper, lower in synth.TOUCHING:
        assert moved[lower, 1] - moved[upper, 1] > -1e-6


def test_an_action_rises_holds_and_falls():
    action = synth.Action(1.0, 1.5, 2.0, 3.0, {"AU12": 0.8}, sag=0.1)
    assert action.level(0.9) == 0
    assert action.level(1.25) == pytest.approx(0.5)
    assert action.level(1.5) == pytest.approx(1.0)
    assert action.level(2.0) == pytest.approx(0.9)
    assert action.level(2.5) == pytest.approx(0.45)
    assert action.level(3.0) == 0
    times = np.linspace(0.8, 3.2, 500)
    assert np.abs(np.diff([action.level(t) for t in times])).max() < 0.03
    assert synth.activity([action, action], 1.5) == {"AU12": pytest.approx(1.6)}


def test_invalid_arguments_are_an_error():
    with pytest.raises(UsageError, match="order"):
        synth.Action(1.0, 0.5, 2.0, 3.0, {})
    with pytest.raises(UsageError, match="AU99"):
        synth.move(synth.neutral_face()[:, :2], {"AU99": 1.0})
    with pytest.raises(UsageError, match="8-bit"):
        synth.Puppet(np.zeros((9, 9), np.float32), np.zeros((68, 2)))
