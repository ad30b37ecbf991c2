"""A timeline as a picture: that it holds what the timeline says, in each format."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from conftest import Call
from timelines import doubtful_of, faceless, read_back, text_of, timeline_of, video_of

from fervid.errors import OutputError, UsageError
from fervid.export.page.plot import MARKS, MUTED, Look, draw
from fervid.labels import COLOURS
from fervid.types import Timeline

pytest.importorskip("matplotlib")


def svg_of(timeline: Timeline, **look: float) -> str:
    return draw(timeline, timeline.peaks, Look("svg", **look)).decode()  # type: ignore[arg-type]


def words_of(svg: str) -> str:
    texts = (element for element in ElementTree.fromstring(svg).iter() if "text" in element.tag)
    return " ".join("".join(element.itertext()) for element in texts)


def test_a_png_holds_the_colours_of_what_is_shown() -> None:
    timeline = read_back(timeline_of(video_of()))
    picture = cv2.imdecode(np.frombuffer(draw(timeline, timeline.peaks, Look(dots=100)), np.uint8), 1)
    assert picture.shape[1] == 720
    there = {f"#{red:02X}{green:02X}{blue:02X}" for blue, green, red in picture.reshape(-1, 3)}
    for emotion in ("neutral", "happiness", "sadness", "surprise"):
        assert COLOURS[emotion] in there
    assert COLOURS["disgust"] not in there


def test_an_svg_holds_names_times_and_the_note_as_text() -> None:
    words = words_of(svg_of(read_back(timeline_of(video_of(), "Anna $x^2$ <b>", "長い"))))
    for word in ("Anna $x^2$ <b>", "長い", "0:10", "happiness", "valence", "not what a person feels"):
        assert word in words
    assert "anger" not in words


def test_the_same_timeline_gives_the_same_bytes() -> None:
    timeline = read_back(timeline_of(video_of()))
    assert svg_of(timeline) == svg_of(timeline)
    pdf = Look("pdf")
    assert draw(timeline, timeline.peaks, pdf) == draw(timeline, timeline.peaks, pdf)


def test_a_part_has_finer_times() -> None:
    words = words_of(svg_of(read_back(timeline_of(video_of())), start=2, end=3))
    assert "0:02.4" in words
    assert "0:10" not in words


def test_every_mark_is_in_the_legend() -> None:
    timeline = read_back(timeline_of(video_of(), "Anna", "Ben"))
    words = words_of(svg_of(timeline))
    for word in ("neutral", "sadness", "not readable", "peak", "new shot", "others"):
        assert word in words
    assert words.count("Anna") == 2  # the row and the dark lines
    early = words_of(svg_of(timeline, end=4))
    for word in ("sadness", "not readable", "new shot", "others"):
        assert word not in early


def test_an_uncertain_segment_is_pale_with_an_outline_and_in_the_legend() -> None:
    timeline = read_back(doubtful_of(video_of(), "Anna", "Ben"))
    picture = cv2.imdecode(np.frombuffer(draw(timeline, (), Look(dots=100)), np.uint8), 1)
    strong = np.array(list(bytes.fromhex(COLOURS["sadness"].removeprefix("#")))[::-1])
    pale = np.rint(255 - MUTED * (255 - strong))
    near = (np.abs(picture.astype(int) - pale) <= 1).all(-1).sum()
    assert near > 1000 > 5 * (picture == strong).all(-1).sum()  # of the legend
    assert "uncertain" in words_of(svg_of(timeline))
    assert "uncertain" not in words_of(svg_of(timeline, end=4))


def test_rows_are_of_those_who_are_on_screen() -> None:
    timeline = read_back(timeline_of(video_of(), "Anna", "Ben"))
    assert "Ben" not in words_of(svg_of(timeline, end=4))
    assert "Anna" not in words_of(svg_of(timeline, start=9))
    assert "Ben" in words_of(svg_of(timeline, start=9))


def test_a_narrow_plot_cuts_no_words() -> None:
    """Every text lies within the picture, also a long name, which is shortened."""
    timeline = read_back(timeline_of(video_of(), "A name of many words and letters " * 3, "P2"))
    narrow = Look(width=2.5, dots=100)
    picture = cv2.imdecode(np.frombuffer(draw(timeline, timeline.peaks, narrow), np.uint8), 0)
    assert picture.shape[1] == 250
    assert (picture[:, :2] == 255).all() and (picture[:, -2:] == 255).all()
    assert (picture[-2:] == 255).all()
    words = words_of(svg_of(timeline, width=2.5))
    assert "not what a person feels" in " ".join(words.split())
    assert "A name of" in words and "letters" not in words


def test_the_axis_of_arousal_ends_where_arousal_ends() -> None:
    """No emotion of the model has an arousal below -0.27, so the axis has no tick at -0.5."""
    words = words_of(svg_of(read_back(timeline_of(video_of()))))
    assert words.count("−0.5") == 1  # valence's


def test_a_very_long_timeline_has_few_times() -> None:
    timeline = read_back(timeline_of(video_of()))
    years = replace(timeline, source=replace(timeline.source, time_base=Fraction(10**8)))
    assert 2 <= len(re.findall(r"\d+:00:00", words_of(svg_of(years)))) <= MARKS


def test_no_curves_and_no_faces_are_no_failure() -> None:
    assert "valence" not in words_of(svg_of(read_back(timeline_of(video_of()), "jsonl")))
    assert "no face was found" in words_of(svg_of(read_back(faceless(video_of()))))


def test_a_stretch_outside_is_refused() -> None:
    message = "nothing to plot from 20 s to 12 s: the timeline covers 0 s to 12 s"
    with pytest.raises(UsageError, match=message):
        svg_of(read_back(timeline_of(video_of())), start=20)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OutputError, match=re.escape("pip install 'fervid[charts]'")):
        svg_of(read_back(timeline_of(video_of())))


def test_the_command(call: Call, tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text(text_of(timeline_of(video_of())))
    done = call("plot", "out.json", "--width", "3.5", "--end", "0:10", "-o", "a.pdf")
    assert (done.returncode, done.stderr) == (0, "wrote a.pdf\n")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    for arguments, words in (
        (("-o", "a.pdf"), "use -y"),
        (("-o", "a.gif"), "must end in one of .png, .svg, .pdf"),
        (("-o", "b.png", "--start", "9f"), "in seconds"),
        (("-o", "no/b.png"), "there is no folder"),
        ((), "Missing option '-o'"),
    ):
        done = call("plot", "out.json", *arguments)
        assert done.returncode in (1, 2)
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "out.json"]
