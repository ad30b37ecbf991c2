"""Test defaults of options from fervid.toml: which file wins, and what no file may set."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Call
from test_cli import says
from timelines import text_of, timeline_of, video_of

from fervid.cli.shared import defaults


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the user's file, in a folder that is not the current one, and write a timeline."""
    path = tmp_path / "config" / "fervid.toml"
    path.parent.mkdir()
    monkeypatch.setattr(defaults, "user_file", lambda: path)
    (tmp_path / "out.json").write_text(text_of(timeline_of(video_of(), "P1", "P2")))
    return path


def count(text: str) -> int:
    return len(text.splitlines())


def test_the_command_line_wins_then_the_folder_then_the_user(call: Call, user: Path) -> None:
    every = count(call("peaks", "out.json", "-f", "jsonl").stdout)
    assert every > 2
    user.write_text('[peaks]\nformat = "jsonl"\ntop = 1\n')
    assert count(call("peaks", "out.json").stdout) == 1
    Path("fervid.toml").write_text("[peaks]\ntop = 2\n")
    assert count(call("peaks", "out.json").stdout) == 2
    assert count(call("peaks", "out.json", "--top", "3").stdout) == 3


def test_the_environment_wins_over_a_file(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("fervid.toml").write_text('model = "nobody"\n')
    monkeypatch.setenv("FERVID_MODEL", "nothing")
    says(call("peaks", "gone.mp4"), 1, "gone.mp4")
    Path("movie.mp4").write_bytes(b"\0")
    says(call("peaks", "movie.mp4"), 1, "nothing")
    monkeypatch.delenv("FERVID_MODEL")
    says(call("peaks", "movie.mp4"), 1, "nobody")


def test_values_without_a_command_are_for_every_command_that_has_the_option(call: Call) -> None:
    Path("fervid.toml").write_text("top = 1\njson = true\nno-people = true\nverbose = 0\n")
    assert count(call("peaks", "out.json", "-f", "jsonl").stdout) == 1
    assert call("people", "out.json").stdout.startswith("{")
    assert call("models", "list").stdout.startswith("{")
    assert call("export", "out.json", "-f", "srt").returncode == 0


def test_several_values_and_underscores(call: Call) -> None:
    Path("fervid.toml").write_text('[peaks]\nemotion = ["happy", "sad"]\nmin_gap = 0.5\nformat = "csv"\n')
    printed = call("peaks", "out.json").stdout
    assert "happiness" in printed and "surprise" not in printed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[peaks]\ntopp = 1\n", "fervid.toml: there is no option or command [peaks] topp: did you mean top?"),
        ("[peaks]\ntop = 0\n", "fervid.toml: top = 0: 0 is not in the range"),
        ("[peaks]\ntop = true\n", "write a number or a text"),
        ("[peaks]\nno-people = 3\n", "write true or false"),
        ("[peaks]\noverwrite = true\n", "overwrite cannot be set in a file"),
        ('[peaks]\noutput = "a"\n', "output cannot be set in a file"),
        ('log-file = "a"\n', "log-file cannot be set in a file"),
        ('[peaks]\ndask-address = "tcp://x:1"\n', "dask-address can be set only in"),
        ("peaks = 3\n", "peaks is a command: write [peaks]"),
        ("peaks]", "fervid.toml cannot be read"),
    ],
)
def test_an_invalid_file_is_an_error(call: Call, text: str, words: str) -> None:
    Path("fervid.toml").write_text(text)
    says(call("peaks", "out.json"), 2, words)


def test_a_wrong_name_in_a_group_is_an_error(call: Call) -> None:
    Path("fervid.toml").write_text("[models.lst]\n")
    says(call("models", "list"), 2, "there is no option or command [models] lst: did you mean list?")


def test_the_user_s_file_may_name_a_cluster(call: Call, user: Path) -> None:
    user.write_text('executor = "local"\n')
    assert call("peaks", "out.json", "-f", "csv").returncode == 0


def test_doctor_shows_the_files(call: Call, user: Path) -> None:
    user.write_text("jobs = 4\n")
    Path("fervid.toml").write_text('[peaks]\ntop = 3\nemotion = ["fear"]\n')
    done = call("doctor")
    assert done.returncode == 0
    assert f"{user}: jobs = 4" in done.stdout
    assert "fervid.toml: [peaks] top = 3, [peaks] emotion = ['fear']" in done.stdout
    for text, words in (
        ("[peek]\n", "did you mean peaks?"),
        ("jops = 1\n", "did you mean jobs?"),
        ("=", "read"),
    ):
        user.write_text(text)
        done = call("doctor")
        assert done.returncode == 1
        assert words in done.stdout


def test_help_does_not_read_the_file(call: Call) -> None:
    Path("fervid.toml").write_text("=")
    assert call("--help").returncode == 0
