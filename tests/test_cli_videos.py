"""Test that show, report, plot, people, export and peaks take a video, and keep the timeline they make."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, Call
from test_cli import says

from fervid import analysis

GOLDEN = ROOT / "tests" / "golden" / "clip.json"  # of the example clip, by the model `untrained`
KNOWN = "read movie.json, the timeline of this video\n"


@pytest.fixture
def known(clip: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the timeline beside the video, and make every analysis fail."""

    def fail(*arguments: object, **options: object) -> None:
        pytest.fail("the video was analyzed again")

    monkeypatch.setattr(analysis, "start", fail)
    return Path(shutil.copy(GOLDEN, clip.with_suffix(".json")))


def test_a_video_is_analyzed_once_and_its_timeline_kept(call: Call, short: Path) -> None:
    shutil.copy(short, "film.mp4")
    first = call("show", "film.mp4")
    assert (first.returncode, first.stderr) == (0, "wrote film.json\n")
    assert call("analyze", "film.mp4", "-t", "other.json", "-q").returncode == 0
    assert Path("film.json").read_bytes() == Path("other.json").read_bytes()
    again = call("show", "film.mp4")
    assert (again.stdout, again.stderr) == (first.stdout, KNOWN.replace("movie", "film"))
    assert call("show", "other.json").stdout == first.stdout


def test_commands_read_the_timeline_beside_a_video(call: Call, known: Path) -> None:
    for arguments, written in (
        (("report", "movie.mp4"), "movie.html"),
        (("plot", "movie.mp4", "-o", "movie.png"), "movie.png"),
        (("export", "movie.mp4", "-o", "movie.srt"), "movie.srt"),
        (("people", "movie.mp4", "--pictures", "faces"), "faces/P1.png"),
        (("peaks", "movie.mp4", "-o", "peaks.csv"), "peaks.csv"),
    ):
        done = call(*arguments)
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(KNOWN)
        assert Path(written).stat().st_size > 0
    page = Path("movie.html").read_text("utf-8")
    assert '"film":"./movie.mp4"' in page and "data:image/jpeg;base64," in page
    assert known.read_bytes() == GOLDEN.read_bytes()


def test_people_of_a_video_are_named_in_its_timeline(call: Call, known: Path) -> None:
    says(call("people", "movie.mp4", "--name", "P1=Eileen"), 2, "give -o FILE, or -y")
    assert call("people", "movie.mp4", "--name", "P1=Eileen", "-y").returncode == 0
    assert json.loads(known.read_text())["people"][0]["name"] == "Eileen"
    assert "Eileen" in call("show", "movie.mp4").stdout


def test_the_timeline_of_another_model_is_not_read(call: Call, known: Path) -> None:
    assert call("show", "movie.mp4", "--model", "untrained").returncode == 0
    with pytest.raises(pytest.fail.Exception, match="analyzed again"):
        call("show", "movie.mp4", "--model", "default")


def test_peaks_keeps_the_timeline_of_a_video_and_reads_it_again(call: Call, short: Path) -> None:
    shutil.copy(short, "film.mp4")
    first = call("peaks", "film.mp4", "--end", "1.5", "-f", "csv")
    assert (first.returncode, first.stderr.splitlines()[0]) == (0, "wrote film.json")
    assert json.loads(Path("film.json").read_text())["settings"]["end"] == 1.5
    again = call("peaks", "film.mp4", "--end", "0:01.5", "--faces", "all", "-f", "csv")
    assert again.stdout == first.stdout
    assert again.stderr.startswith(KNOWN.replace("movie", "film"))


@pytest.mark.parametrize(
    "options",
    [("--start", "1"), ("--detector", "hog"), ("--no-people",), ("--rotate", "0"), ("--sample-fps", "5")],
)
def test_a_timeline_with_other_settings_is_not_read(call: Call, known: Path, options: list[str]) -> None:
    assert call("peaks", "movie.mp4", "--min-face", "0.1").returncode == 0
    with pytest.raises(pytest.fail.Exception, match="analyzed again"):
        call("peaks", "movie.mp4", *options)


def test_an_unknown_emotion_is_an_error_before_an_analysis(call: Call, known: Path) -> None:
    known.unlink()
    says(call("peaks", "movie.mp4", "--emotion", "hapiness"), 2, "Did you mean happiness?")


@pytest.mark.parametrize("text", ["{}", GOLDEN.read_text("utf-8").replace('"sha256": "', '"sha256": "0', 1)])
def test_another_file_beside_the_video_is_left_alone(call: Call, short: Path, text: str) -> None:
    shutil.copy(short, "film.mp4")
    Path("film.json").write_text(text)
    done = call("show", "film.mp4")
    assert done.returncode == 0
    assert (
        done.stderr
        == "fervid: warning: the timeline is not kept: film.json exists already: move it, or "
        + ("name a file with `fervid analyze --timeline`\n")
    )
    assert Path("film.json").read_text() == text


def test_a_video_in_a_folder_of_others_is_read(call: Call, short: Path) -> None:
    os.mkdir("films")
    shutil.copy(short, "films/film.mp4")
    os.chmod("films", 0o500)
    try:
        done = call("export", "films/film.mp4", "-f", "srt")
    finally:
        os.chmod("films", 0o700)
    assert done.returncode == 0
    if os.geteuid():
        assert "the timeline is not kept" in done.stderr
    assert "-->" in done.stdout


def test_invalid_calls_are_errors_before_any_work(call: Call, known: Path) -> None:
    known.unlink()
    for arguments, code, words in (
        (("export", "movie.mp4", "-o", "movie.json"), 2, "the timeline of the video is kept as movie.json"),
        (("export", "movie.mp4", "-f", "frames"), 1, "--tracks"),
        (("peaks", "movie.mp4", "-o", "movie.json"), 2, "the timeline of the video is kept as movie.json"),
        (("report", "movie.mp4", "-o", "movie.mp4", "-y"), 1, "is an input"),
        (("plot", "movie.mp4", "-o", "a.svg", "--end", "9f"), 2, "in seconds"),
        (("people", "movie.mp4", "-o", "new.json"), 2, "there is nothing to change"),
    ):
        says(call(*arguments), code, words)
    assert os.listdir() == ["movie.mp4"]
