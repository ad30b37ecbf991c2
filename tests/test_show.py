"""A timeline in the terminal: what each column says, with and without colours."""

from __future__ import annotations

import io
import os
import pty
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import Call, Fervid, command, environment
from rich.cells import cell_len
from rich.console import Console
from test_cli import says, with_closed_output
from test_export_formats import peopled
from timelines import doubtful_of, faceless, read_back, text_of, timeline_of, video_of

from fervid.cli.show import STEPS, band, intensities, letters, show_on, sparkline, times
from fervid.export.page.rows import rows
from fervid.labels import COLOURS, EMOTIONS
from fervid.types import Timeline

NAMES = ("P1", "P2")


def shown(timeline: Timeline, width: int = 80, top: int = 10) -> list[str]:
    """Return the lines as a pipe gets them."""
    stream = io.StringIO()
    show_on(Console(file=stream, width=width, highlight=False), timeline, top)
    return stream.getvalue().splitlines()


def test_every_label_has_a_letter_of_its_own() -> None:
    assert letters([*EMOTIONS, "contempt"]) == ["A", "D", "F", "H", "S", "U", "─", "C"]
    assert letters(["a", "a"]) == ["A", "?"]


def test_a_cell_shows_what_lasts_longest_in_it() -> None:
    table = np.array([[3, 1, 0, 4], [0, 0, 2, 2], [0, 0, 0, 0], [1, 2, 0, 3]])
    assert band(table, ["X", "Y"], 0 * table) == "X· Y"
    doubtful = np.array([[1, 1, 0, 4], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1.5, 0, 3]])
    assert band(table, ["X", "Y"], doubtful) == "X· y"
    assert band(table[:1], ["─", "Y"], table[:1]) == "┄"


def test_a_sparkline_goes_from_nothing_to_all() -> None:
    assert sparkline(np.array([0.0, 0.5, 1.0, np.nan])) == "▁▄█ "


def test_the_bands_are_the_segments() -> None:
    lines = shown(read_back(timeline_of(video_of(), *NAMES)), width=3 + 48)  # four cells a second
    first = next(line for line in lines if line.startswith("P1"))
    second = next(line for line in lines if line.startswith("P2"))
    assert first == "P1 " + "─" * 8 + "H" * 12 + "S" * 12
    assert second == "P2 " + " " * 24 + "U" * 16 + "·" * 4
    axis = next(line for line in lines if "0:00 " in line)
    assert axis[3:].index("0:05") == 20
    intensity = lines[lines.index(first) + 1]
    assert intensity[3:11] == "▁" * 8
    assert set(intensity[11:35]) == {"█"}


def test_uncertain_segments_have_small_letters_or_light_blocks() -> None:
    timeline = read_back(doubtful_of(video_of(), *NAMES))
    lines = shown(timeline, width=3 + 48)
    assert next(line for line in lines if line.startswith("P1")) == "P1 " + "─" * 8 + "H" * 12 + "s" * 12
    assert "a-z ┄ uncertain" in "\n".join(lines)
    assert "uncertain" not in "\n".join(shown(timeline_of(video_of(), *NAMES)))
    stream = io.StringIO()
    console = Console(file=stream, width=51, highlight=False, force_terminal=True, color_system="truecolor")
    show_on(console, timeline, 0)
    sadness = ";".join(str(value) for value in bytes.fromhex(COLOURS["sadness"].removeprefix("#")))
    assert f"\x1b[38;2;{sadness}m░" in stream.getvalue() and "░ ┄ uncertain" in stream.getvalue()


def test_the_times_above_the_bands_are_round_and_begin_their_cell() -> None:
    timeline = timeline_of(video_of(), *NAMES)
    for cells in (20, 47, 120, 300):
        line = times(timeline, cells)
        seconds = [int(text[2:]) for text in line.split()]
        steps = {second - before for before, second in pairwise(seconds)}
        assert seconds[0] == 0 and len(steps) <= 1 and steps <= set(STEPS)
        for second in seconds:
            cell = line.index(f"0:{second:02}")
            assert cell * 12 / cells <= second < (cell + 1) * 12 / cells + 1e-9
        assert len(line) <= cells


def test_one_person_is_not_people() -> None:
    (line,) = [line for line in shown(timeline_of(video_of(), "P1")) if "analyzed" in line]
    assert line.startswith("0:12.0 analyzed, 1 person in 2 tracks")


def test_json_lines_show_the_intensity_of_segments() -> None:
    timeline = read_back(timeline_of(video_of(), *NAMES), "jsonl")
    edges = np.linspace(0, 300, 13)
    values = intensities(timeline, rows(timeline)[0], edges)
    assert values[:2] == pytest.approx([0.12, 0.12])
    assert values[2:8] == pytest.approx([0.98] * 6)
    assert np.isnan(values[8:]).all()


@pytest.mark.parametrize("width", [12, 30, 60, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = "a very long name of a person 名前の長い人"
    lines = shown(read_back(timeline_of(video_of("長い名前の映画.mp4"), long, "P2")), width)
    assert max(cell_len(line) for line in lines) <= width


def test_names_do_nothing_to_a_terminal() -> None:
    evil = "\x1b[2J\x07[red]P1"
    text = "\n".join(shown(read_back(timeline_of(video_of(evil), evil, "P2"))))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]P1" in text


def test_nothing_found_is_said() -> None:
    text = "\n".join(shown(read_back(faceless(video_of()))))
    for words in ("No face was found.", "untrained", "ends before", "No expression stands out"):
        assert words in text


def test_many_rows_are_cut_and_counted() -> None:
    timeline = timeline_of(video_of(), *NAMES)
    base = timeline.curves[0]
    many = tuple(replace(base, track=number, person=f"P{number}") for number in range(25))
    lines = shown(read_back(replace(timeline, curves=many, segments=(), peaks=())))
    assert "and 5 more rows" in lines


def test_in_a_pipe_it_is_plain(fervid: Fervid, tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text(text_of(timeline_of(video_of(), *NAMES)))
    done = fervid("show", "out.json", "--top", "1", env={"COLUMNS": "60"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 60
    assert done.stdout.count("P1") + done.stdout.count("P2") == 3  # two bands and a peak
    assert "do not say what a person feels" in " ".join(done.stdout.split())
    none = fervid("show", "-", "--top", "0", input=(tmp_path / "out.json").read_bytes())
    assert none.returncode == 0 and "Highest" not in none.stdout


@pytest.mark.parametrize(("more", "has_colour"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_on_a_terminal_it_has_colours(tmp_path: Path, more: dict[str, str], has_colour: bool) -> None:
    (tmp_path / "out.json").write_text(text_of(timeline_of(video_of(), *NAMES)))
    master, slave = pty.openpty()
    line = command(["show", tmp_path / "out.json"])
    terminal = environment(TERM="xterm-256color", COLORTERM="truecolor", COLUMNS="60", **more)
    subprocess.run(line, env=terminal, stdout=slave, stdin=subprocess.DEVNULL, check=True)
    os.close(slave)
    text = b""
    try:
        while piece := os.read(master, 65536):
            text += piece
    except OSError:  # the other end is closed and all is read
        pass
    os.close(master)
    assert ("\x1b[38;2;230;159;0m█" in text.decode()) == has_colour  # the orange of happiness
    assert ("HHH" in text.decode()) != has_colour


def test_a_damaged_timeline_is_an_error(call: Call) -> None:
    Path("out.json").write_text(text_of(timeline_of(video_of()))[:900])
    says(call("show", "out.json"), 1, "cut off")


@pytest.mark.parametrize("words", ["datasets list", "show out.json", "peaks out.json", "people out.json"])
def test_a_closed_pipe_is_no_failure_of_a_table(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out.json").write_text(text_of(peopled("Anna", None)), encoding="utf-8")
    assert with_closed_output(words.split()) == (0, b"")
