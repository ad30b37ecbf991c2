"""The timeline of the example clip is the one that was looked at and kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from make_golden import GOLDEN, make

# How far numbers may differ between kinds of CPU; whole numbers, times among them, are equal.
TOLERANCE = 1e-4
PIXELS = 0.5  # of boxes


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    return json.loads(make()), json.loads(GOLDEN.read_text(encoding="utf-8"))


def assert_alike(now: Any, then: Any, place: str = "", tolerance: float = TOLERANCE) -> None:
    assert type(now) is type(then), place
    if isinstance(now, dict):
        assert list(now) == list(then), place
        for name in now:
            assert_alike(now[name], then[name], f"{place}.{name}", PIXELS if name == "box" else tolerance)
    elif isinstance(now, list):
        assert len(now) == len(then), place
        for index, (one, other) in enumerate(zip(now, then, strict=True)):
            assert_alike(one, other, f"{place}[{index}]", tolerance)
    elif isinstance(now, float):
        assert now == pytest.approx(then, abs=tolerance), place
    else:
        assert now == then, place


def test_the_timeline_is_the_one_that_was_kept(pair: tuple[Any, Any]) -> None:
    assert_alike(*pair)


def test_the_golden_timeline_has_something_to_lose(pair: tuple[Any, Any]) -> None:
    _, golden = pair
    assert len(golden["tracks"]) == 2 and len(golden["shots"]) == 3
    assert len(golden["segments"]) >= 3 and golden["peaks"]
    assert golden["model"]["name"] == "untrained"
