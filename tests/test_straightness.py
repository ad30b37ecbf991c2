"""How far a face gets of how far it moves."""

from __future__ import annotations

import numpy as np
import pytest

from fervid import clips, synth
from fervid.clips.straightness import straightness
from fervid.faces import shape
from fervid.train.footage import strip_of
from fervid.types import Floats

TIME = np.linspace(0, 1, clips.LENGTH)


def moving(course: Floats, size: float = 0.1, noise: float = 0.0, seed: int = 0) -> Floats:
    """Return points that move along a course in a direction of their own."""
    random = np.random.default_rng(seed)
    way = random.normal(size=(51, 2))
    rest = random.normal(size=(51, 2))
    moved = rest + size * course[:, None, None] * way
    return np.asarray(moved + noise * random.normal(size=moved.shape), np.float32)


def test_one_way_is_all_the_way_and_to_and_fro_is_none() -> None:
    assert straightness(moving(TIME)) == pytest.approx(1, abs=1e-3)
    appears = np.clip((TIME - 0.4) / 0.2, 0, 1)  # most of the window is still
    assert straightness(moving(appears)) == pytest.approx(1, abs=1e-3)
    assert straightness(moving(np.sin(2 * np.pi * 3 * TIME))) < 0.2
    there_and_back = 1 - np.abs(2 * TIME - 1)
    assert straightness(moving(there_and_back)) < 0.1
    half_back = np.where(TIME < 0.5, 2 * TIME, 1.5 - TIME)
    assert 0.2 < straightness(moving(half_back)) < 0.5


def test_a_face_that_does_not_move_gets_nowhere() -> None:
    assert straightness(moving(TIME, size=0)) == 0
    for odd in (np.nan, np.inf):
        assert straightness(np.where(np.arange(51)[:, None] == 7, np.float32(odd), moving(TIME))) == 0
    trembling = [straightness(moving(TIME, size=0, noise=0.01, seed=seed)) for seed in range(40)]
    assert np.median(trembling) < 0.4


@pytest.mark.parametrize("size", [0.03, 0.3])
def test_neither_noise_nor_size_nor_direction_of_time_counts(size: float) -> None:
    points = moving(TIME, size, noise=size / 10)
    assert straightness(points) > 0.95
    assert straightness(points[::-1]) == pytest.approx(straightness(points), abs=1e-9)
    assert straightness(2 * points) == pytest.approx(straightness(points), abs=1e-4)


def test_people_who_talk_get_less_far_than_expressions_that_appear() -> None:
    """Drawn people: neutral ones who talk, and expressions from rest to their height."""
    medians = []
    for difficulty, label in (("talking", "neutral"), ("posed", "surprise")):
        strips = (strip_of(sample) for sample in synth.samples(difficulty, 8, 8, 0, [label], bare=True))
        faces = [clips.Face.of_strip(strip) for strip in strips]
        medians.append(np.median([window.straightness for face in faces for window in face.windows()]))
    talking, appearing = medians
    assert appearing > 0.75 and talking < 0.5


def test_a_window_reads_the_inner_points_without_pose() -> None:
    strip = strip_of(next(iter(synth.samples("posed", 1, 1, 0, ["surprise"], bare=True))))
    face = clips.Face.of_strip(strip)
    *_, window = face.windows()
    upright = shape.without_pose(strip.landmarks - np.float32(shape.MARGIN))[window.rows]
    assert window.straightness == pytest.approx(straightness(upright[:, 17:]), abs=1e-4)
    assert window.straightness != pytest.approx(straightness(upright[:, :17]), abs=1e-2)
