"""Errors about standard input: they name it, and not the copy that fervid makes of it."""

from __future__ import annotations

import io
import json

import pytest
from conftest import ROOT, Call
from test_cli import says

from fervid.cli.shared import inputs
from fervid.errors import InputError

GOLDEN = ROOT / "tests" / "golden" / "clip.json"
VIDEOS = (
    ("info", "-"),
    ("analyze", "-", "-t", "out.json"),
    ("extract", "-", "-o", "out"),
    ("annotate", "-", "-o", "film.mp4"),
    ("explain", "-", "--at", "1"),
)
TIMELINES = (
    ("export", "-", "-f", "srt"),
    ("show", "-"),
    ("peaks", "-"),
    ("people", "-"),
    ("plot", "-", "-o", "curves.svg"),
    ("report", "-", "-o", "page.html"),
    ("compare", "-", "human.csv"),
)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """Set what is read from standard input."""
    content = io.BytesIO()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(content))
    return content


def give(content: io.BytesIO, data: bytes) -> None:
    content.write(data)
    content.seek(0)


@pytest.mark.parametrize("words", (*VIDEOS, *TIMELINES[:-1]), ids=lambda words: words[0])
def test_a_damaged_video(words: tuple[str, ...], given: io.BytesIO, call: Call) -> None:
    give(given, b"\0\0\0\x18ftypmp42" + bytes(100))
    done = call(*words)
    says(done, 1, "fervid: error: standard input ")
    assert "stdin" not in done.stderr and "fervid-" not in done.stderr


@pytest.mark.parametrize("words", TIMELINES, ids=lambda words: words[0])
@pytest.mark.parametrize("damage", ["schema", "json", "values"])
def test_a_damaged_timeline(words: tuple[str, ...], damage: str, given: io.BytesIO, call: Call) -> None:
    whole = json.loads(GOLDEN.read_text("utf-8"))
    changed = {"schema_version": "2.0"} if damage == "schema" else {"source": {}}
    text = json.dumps({**whole, **changed})
    give(given, text[: 40 if damage == "json" else None].encode())
    done = call(*words)
    says(done, 1, "fervid: error: standard input ")
    assert "stdin" not in done.stderr and "fervid-" not in done.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no frame of stdin can be decoded", "no frame of standard input can be decoded"),
        ("{} is not the video, stdin is", "standard input is not the video, standard input is"),
        ("stdin.json exists already", "stdin.json exists already"),
        ("there is no /data/stdin", "there is no /data/stdin"),
        ("a damaged stdin.", "a damaged standard input."),
    ],
)
def test_only_the_copy_of_standard_input_gets_its_name(text: str, expected: str, given: io.BytesIO) -> None:
    give(given, b"x")
    with pytest.raises(InputError) as error, inputs.local_path("-") as path:
        raise InputError(text.format(path))
    assert str(error.value) == expected


@pytest.mark.parametrize("words", [("show", "-"), ("peaks", "-", "-f", "edl")])
def test_a_timeline_of_standard_input(words: tuple[str, ...], given: io.BytesIO, call: Call) -> None:
    timeline = json.loads(GOLDEN.read_text("utf-8"))
    timeline["source"] |= {"name": "stdin", "variable_rate": True}
    give(given, json.dumps(timeline).encode())
    done = call(*words)
    assert done.returncode == 0
    messages = done.stderr or done.stdout
    assert messages.startswith(("standard input\n", "fervid: warning: standard input: "))
    assert "stdin" not in messages
