"""Test that explanations sum to the logits that they explain, and what the command prints and draws."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import CLIP, Call

from fervid import analysis
from fervid.clips import straightness_of
from fervid.errors import InputError
from fervid.explain import Explanation, FaceWindow, explain, window_at
from fervid.explain.peaks import REGIONS, explain_peaks, stretches
from fervid.explain.picture import draw
from fervid.labels import EMOTIONS
from fervid.model import load, read
from fervid.types import Curve, Peak, Settings, Video
from fervid.video.planning import plan

AT = Fraction(2)


@pytest.fixture(scope="module")
def smile(tmp_path_factory: pytest.TempPathFactory) -> FaceWindow:
    """Return a window of the smile in the example clip."""
    settings = Settings(start=Fraction(1), end=Fraction(3), people=False)
    with analysis.start(CLIP, model="untrained", settings=settings, crops=True) as run:
        return window_at(run, AT)


@pytest.fixture(scope="module")
def explanation(smile: FaceWindow) -> Explanation:
    return explain(load("untrained"), smile.window, smile.neutral)


def test_contributions_sum_to_the_logit(explanation: Explanation) -> None:
    assert len(explanation.shares) == 4
    for label, logit in explanation.logits.items():
        total = sum(share.total for share in explanation.shares[label].values())
        assert total == pytest.approx(logit, abs=0.01)
        assert explanation.residual(label) == pytest.approx(logit - total)


def test_contributions_of_the_default_model_sum_to_the_logit(smile: FaceWindow) -> None:
    """Its four streams are of other kinds of layers than those of the tiny model."""
    whole = explain(load("default"), smile.window, smile.neutral, only="happiness")
    (shares,) = whole.shares.values()
    assert set(shares) == {"c3d", "phrnn", "still", "still_facenet"}
    total = sum(share.total for share in shares.values())
    assert total + whole.residual("happiness") == pytest.approx(whole.logits["happiness"])
    assert abs(whole.residual("happiness")) < 0.05 * abs(whole.logits["happiness"])


def test_logits_and_scores_are_those_of_the_model(smile: FaceWindow, explanation: Explanation) -> None:
    net = load("untrained")
    values = {}
    for spec in net.spec.streams:
        inputs = smile.window.displacement(smile.neutral) if spec.reads == "displacement" else None
        values[spec.name] = net.logits(
            spec.name, [read(smile.window, spec.reads) if inputs is None else inputs]
        )
    fused = net.fuse(values, straightness_of([smile.window]))
    scores = net.probabilities(fused)[0]
    for label, logit in explanation.logits.items():
        assert logit == pytest.approx(fused[0, EMOTIONS.index(label)], abs=1e-4)
        assert explanation.scores[label] == pytest.approx(scores[EMOTIONS.index(label)], abs=1e-4)
    assert list(explanation.scores.values()) == pytest.approx(sorted(scores.tolist(), reverse=True), abs=1e-4)


def test_frames_pixels_and_landmarks_share_the_same_sum(explanation: Explanation) -> None:
    for label, shares in explanation.shares.items():
        pixels, points = explanation.by_pixel(label), explanation.by_landmark(label)
        assert pixels is not None and pixels.shape == (16, 64, 64)
        assert points is not None and points.shape == (68,)
        whole = sum(share.total - share.base for share in shares.values())
        assert pixels.sum() + points.sum() == pytest.approx(whole, abs=1e-3)
        assert explanation.by_frame(label).sum() == pytest.approx(whole, abs=1e-3)


def test_the_window_is_the_nearest_of_the_analysis(smile: FaceWindow) -> None:
    assert abs(smile.seconds - 2) <= 0.16
    assert len(smile.window.rows) == 16


def test_the_picture_has_a_row_for_each_label(smile: FaceWindow, explanation: Explanation) -> None:
    picture = draw(explanation, smile.window)
    assert picture.dtype == np.uint8 and picture.shape[0] > 4 * 144
    colourful = np.ptp(picture.astype(int), axis=2) > 60
    assert all(part.any() for part in np.array_split(colourful, 4))


def test_every_stream_has_its_bar_in_the_picture(smile: FaceWindow, explanation: Explanation) -> None:
    def bars(explanation: Explanation) -> int:
        beside = draw(explanation, smile.window)[:, 8:10].astype(int)
        coloured = (np.ptp(beside, axis=2) > 60).any(1)
        return int(np.diff(coloured.astype(int), prepend=0).clip(0).sum())

    label = next(iter(explanation.shares))
    share = next(iter(explanation.shares[label].values()))
    for count in (2, 5):
        shares = {label: {f"stream {number}": share for number in range(count)}}
        assert bars(replace(explanation, shares=shares)) == count


def test_one_label_alone_has_the_same_contributions(smile: FaceWindow, explanation: Explanation) -> None:
    label = list(explanation.shares)[1]
    alone = explain(load("untrained"), smile.window, smile.neutral, only=label)
    assert list(alone.shares) == [label]
    for name, share in alone.shares[label].items():
        assert share.total == pytest.approx(explanation.shares[label][name].total, abs=1e-3)


def peak_at(video: Video, seconds: float, track: int = 1) -> Peak:
    at = video.ticks(Fraction(seconds))
    return Peak(track, "happiness", at, at, at, 0.9, 0.9, 0.5, 0.5, 0.9)


def test_the_seconds_around_near_peaks_are_analyzed_once() -> None:
    video = plan(CLIP)
    settings = Settings(start=Fraction(1, 2), end=Fraction(14))
    late, first, second = (peak_at(video, seconds) for seconds in (13.5, 1, 2))
    assert list(stretches(video, settings, [late, first, second])) == [
        (Fraction(1, 2), Fraction(3), [first, second]),
        (Fraction(7, 2), Fraction(14), [late]),
    ]
    assert list(stretches(video, settings, [])) == []


def test_a_peak_is_explained_for_its_own_face_and_emotion() -> None:
    video, settings = plan(CLIP), Settings(start=Fraction(1), end=Fraction(3))
    everywhere = np.array([0, 0, video.width, video.height], np.float32)
    nowhere = np.array([0, 0, 2, 2], np.float32)
    empty = np.empty(0, np.float32)
    scores = (np.empty(0, np.int64), np.empty((0, len(EMOTIONS)), np.float32), *[empty] * 4)
    curves = {
        number: Curve(number, 0, 1, 1, hull, *scores) for number, hull in ((1, everywhere), (2, nowhere))
    }
    peaks, steps = [peak_at(video, 2), peak_at(video, 2, 2)], []
    reasons = explain_peaks(video, settings, "untrained", peaks, curves, lambda: steps.append(1))
    ((key, why),) = reasons.items()
    assert key == (peaks[0].apex, 1, "happiness") and len(steps) == 2
    assert set(why.streams) == {spec.name for spec in load("untrained").spec.streams}
    assert cv2.imdecode(np.frombuffer(why.picture, np.uint8), cv2.IMREAD_COLOR).shape == (224, 224, 3)


def test_explain_prints_and_draws(call: Call, tmp_path: Path) -> None:
    done = call("explain", CLIP, "--at", "1", "-o", "why.png")
    assert done.returncode == 0, done.stderr
    assert "not explained" in done.stdout and all(f"  {region} " in done.stdout for region in REGIONS)
    assert cv2.imread(str(tmp_path / "why.png")) is not None
    again = call("explain", CLIP, "--at", "25f", "--json")
    value = json.loads(again.stdout)
    assert list(value["scores"]) == sorted(EMOTIONS, key=lambda label: -value["scores"][label])
    for label in value["labels"].values():
        total = sum(stream["total"] for stream in label["streams"].values())
        assert total + label["residual"] == pytest.approx(label["logit"], abs=1e-3)


def test_a_moment_without_that_face_is_an_error(call: Call) -> None:
    done = call("explain", CLIP, "--at", "1", "--face", "3")
    assert done.returncode == 1 and "readable faces: give --face" in done.stderr
    assert call("explain", CLIP).returncode == 2


def test_a_moment_without_a_face_is_an_error(tmp_path: Path) -> None:
    picture = tmp_path / "grey.png"
    cv2.imwrite(str(picture), np.full((64, 64), 128, np.uint8))
    with (
        analysis.start(picture, model="untrained", crops=True) as run,
        pytest.raises(InputError, match="no face"),
    ):
        window_at(run, Fraction(0))
