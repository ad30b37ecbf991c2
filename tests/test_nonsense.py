"""Options and data of training with values beyond all reason: an error of one line, without taking memory."""

from __future__ import annotations

import pytest
from conftest import Call
from test_cli import says

DATA = ("-d", "synth:posed?people=4&per_class=4&faces=no")
LONG = "9" * 5000


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--epochs", "99999999999999999999"), "--epochs must be from 0 to 1000000"),
        (("--joint-epochs", "99999999999999999999"), "--joint-epochs must be from 1 to 1000000"),
        (("--batch", "999999999999"), "--batch must be from 2 to 100000"),
        (("--epoch-clips", "1000000000000"), "--epoch-clips must be from 0 to 100000000"),
        (("--committee", "1000000000"), "--committee must be from 1 to 100"),
        (("--size", f"phrnn.width={LONG}"), "--size must be STREAM.SIZE=NUMBER"),
        (("--size", "phrnn.width=٣"), "--size must be STREAM.SIZE=NUMBER"),
        (("--jobs", "99999999999"), "is not in the range 1<=x<=1024"),
        (("-d", "synth:posed?people=999999999999"), "give a whole number, 1 or more and at most 100000"),
        (("-d", "synth:posed?per_class=100000000"), "give a whole number, 1 or more and at most 100000"),
        (("-d", f"synth:posed?seed={LONG}"), "give a whole number, 0 or more"),
        (("-d", "synth:posed?" + "a" * 300_000), "synth has no option"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_a_number_that_is_too_large(words: tuple[str, ...], expected: str, call: Call) -> None:
    says(call("train", *DATA, "--streams", "phrnn", "-o", "run", *words), 2, expected)


@pytest.mark.parametrize("count", [LONG, "٢", "-1"])
def test_a_protocol_with_another_number_of_folds(count: str, call: Call) -> None:
    says(call("eval", *DATA, "--protocol", f"kfold:{count}"), 2, "--protocol must be one of kfold:N")
