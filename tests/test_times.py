"""Times as text."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fervid import times


def test_a_time_in_a_message() -> None:
    texts = {0: "0.0 s", 9.96: "10.0 s", 59.96: "1:00.0", 61.2: "1:01.2", 3725.04: "1:02:05.0"}
    texts[Fraction(360_000)] = "100:00:00.0"
    assert {seconds: times.format_seconds(seconds) for seconds in texts} == texts


def test_a_time_on_an_axis() -> None:
    assert [times.format_clock(value) for value in (0, 62.9, 3725.04)] == ["0:00", "1:02", "1:02:05"]
    assert [times.format_clock(value, has_tenths=True) for value in (3, 3725.04)] == ["0:03.0", "1:02:05.0"]


def test_an_estimate_has_no_tenths() -> None:
    texts = {0.4: "0:00", 41.6: "0:42", 59.96: "1:00", 309: "5:09", 7509: "2:05:09"}
    texts |= {172_799: "47:59:59", 172_800: "2 d 0 h", 273_600: "3 d 4 h"}
    assert {seconds: times.format_duration(seconds) for seconds in texts} == texts


def test_a_time_in_subtitles() -> None:
    assert times.format_timecode(59.9996) == "00:01:00.000"
    assert times.format_timecode(Fraction(3_723_004, 1000), ",") == "01:02:03,004"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("25", Fraction(25)),
        (" -0.125 ", Fraction(-1, 8)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("30000/1001", Fraction(30000, 1001)),
        ("1e-06", Fraction(1, 1_000_000)),
        ("2.5E+3", Fraction(2500)),
    ],
)
def test_a_number_is_exact(text: str, value: Fraction) -> None:
    assert times.parse_number(text) == value


INVALID = ("", ".", "e5", "soon", "nan", "1/0", "1/2/3", "1_0", "٣")
LONG = ("1e9999999", "1e-9999999", "9" * 5000, "1/" + "9" * 41)


@pytest.mark.parametrize("text", INVALID + LONG)
def test_a_number_of_unusual_length_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"is (not a number of usual length|a division by zero)"):
        times.parse_number(text)
