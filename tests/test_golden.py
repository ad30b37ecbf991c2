"""Test that the timeline of the example clip is the stored one, which was checked by eye."""

from __future__ import annotations

import json
from typing import Any

import pytest
from make_golden import GOLDEN, make

# Differences between CPUs; integers, such as times, are equal.
TOLERANCE = 1e-4
PIXELS = 0.5  # of boxes


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    return json.loads(make()), json.loads(GOLDEN.read_text(encoding="utf-8"))


def assert_alike(now: Any, then: Any, path: str = "", tolerance: float = TOLERANCE) -> None:
    assert type(now) is type(then), path
    if isinstance(now, dict):
        assert list(now) == list(then), path
        for name in now:
            assert_alike(now[name], then[name], f"{path}.{name}", PIXELS if name == "box" else tolerance)
    elif isinstance(now, list):
        assert len(now) == len(then), path
        for index, (item, other) in enumerate(zip(now, then, strict=True)):
            assert_alike(item, other, f"{path}[{index}]", tolerance)
    elif isinstance(now, float):
        assert now == pytest.approx(then, abs=tolerance), path
    else:
        assert now == then, path


def test_the_timeline_is_the_golden_one(pair: tuple[Any, Any]) -> None:
    assert_alike(*pair)


def test_the_golden_timeline_has_tracks_shots_segments_and_peaks(pair: tuple[Any, Any]) -> None:
    _, golden = pair
    assert len(golden["tracks"]) == 2 and len(golden["shots"]) == 3
    assert {segment["track"] for segment in golden["segments"]} == {1, 2}
    assert len({peak["emotion"] for peak in golden["peaks"]}) >= 3
    assert golden["model"]["name"] == "untrained"
