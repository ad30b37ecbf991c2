"""Test that tables fit the terminal: the time and the emotion stay whole, other columns go first."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console
from timelines import doubtful_of, read_back, timeline_of, video_of

from fervid.cli.shared.columns import Column, Fitted, counted, fitting, grid
from fervid.cli.shared.summary import peak_table, people_table, table
from fervid.labels import EMOTIONS
from fervid.types import Timeline

LONG = "a very long name of a person 名前の長い人"


def printed(part: Fitted, width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False, markup=False).print(part)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def film(name: str = "P1", title: str = "film.mp4") -> Timeline:
    return read_back(timeline_of(video_of(title), name, "P2"))


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("name", ["P1", LONG])
def test_a_peak_s_time_and_emotion_stay_whole(width: int, name: str) -> None:
    timeline = film(name)
    lines = printed(peak_table(timeline), width)
    assert max(map(cell_len, lines)) <= width
    headings = lines[1].split()
    assert {"time", "emotion"} <= set(headings)
    assert ("from" in headings) <= ("prominence" in headings) <= ("score" in headings) <= ("rank" in headings)
    for peak in timeline.peaks:
        assert any(f"00:00:{timeline.source.seconds(peak.apex):06.3f}" in line for line in lines)
        assert any(peak.emotion in line for line in lines)
    if width == 200:
        assert " ".join(headings) == "rank time emotion score prominence from to track person"


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_other_tables_fit(width: int) -> None:
    timeline = film(LONG, f"{LONG}.mp4")
    for part in (people_table(timeline), table([timeline, film()])):
        assert max(map(cell_len, printed(part, width))) <= width
    people = "\n".join(printed(people_table(timeline), width))
    assert "P2" in people and "on screen" in people
    summary = "\n".join(printed(table([film()]), width))
    peak = max(film().peaks, key=lambda peak: peak.prominence)
    assert f"{peak.emotion} 0:0{film().source.seconds(peak.apex):.1f}" in summary


def test_tables_state_the_share_that_is_uncertain() -> None:
    timeline = read_back(doubtful_of(video_of(), "P1", "P2"))
    whole, people = ("\n".join(printed(part, 200)) for part in (table([timeline]), people_table(timeline)))
    assert "; 25% uncertain" in whole  # 3 s of 12
    assert "; 38% uncertain" in people and people.count("uncertain") == 1  # 3 s of P1's 8
    assert "uncertain" not in "\n".join(printed(table([film()]), 200))


def test_a_column_of_names_is_there_only_for_names() -> None:
    timeline = film()
    nameless = tuple(replace(person, name=None) for person in timeline.people)
    named = (replace(nameless[0], name="Anna"), *nameless[1:])
    for people, is_there in ((nameless, False), (named, True)):
        lines = printed(people_table(replace(timeline, people=people)), 100)
        assert ("name" in lines[1].split()) == is_there


def test_columns_go_by_rank() -> None:
    columns = [Column(name, ["x" * 10], rank) for name, rank in (("a", 0), ("b", 2), ("c", 1), ("d", 0))]
    kept = ["".join(column.heading for column in fitting(columns, width)) for width in (100, 48, 36, 23, 5)]
    assert kept == ["abcd", "acd", "acd", "ad", "ad"]


def test_a_grid_has_whole_headings() -> None:
    assert grid(["", "happiness", "n"], [["fear", "1", "12345"]], gap=2) == [
        "      happiness      n",
        "fear          1  12345",
    ]


def test_a_confusion_of_the_emotions_fits_into_80_columns() -> None:
    header = ["", *EMOTIONS, "no face", "recall"]
    rows = [[label, *["1234"] * 8, "0.500"] for label in EMOTIONS]
    lines = grid(header, rows)
    assert lines[0].split() == [*EMOTIONS, "no", "face", "recall"]
    assert max(map(len, lines)) <= 80


def test_a_number_has_the_form_of_its_noun() -> None:
    assert [counted(n, "track") for n in (0, 1, 2)] == ["0 tracks", "1 track", "2 tracks"]
    assert [counted(n, "person", "people") for n in (1, 3)] == ["1 person", "3 people"]
