"""Pictures for run folders, by either hand."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fervid.errors import OutputError
from fervid.labels import EMOTIONS
from fervid.metrics import charts

SVG = "{http://www.w3.org/2000/svg}"
COUNTS = np.array([[12, 3, 0], [0, 1877, 1]])
HISTORY = {"train loss": [2.0, 1.2, 0.9], "validation loss": [2.1, None, 1.1]}
HISTORY["validation accuracy"] = [0.3, 0.4, 0.5]


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw as if matplotlib were not installed."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def texts(path: Path) -> list[str]:
    return [element.text or "" for element in ElementTree.parse(path).iter(f"{SVG}text")]


def drawn(path: Path, colour: str) -> list[list[tuple[float, float]]]:
    """Return the lines of a colour, as corners in pixels, without the legend's."""
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in element.attrib["points"].split())]
        for element in ElementTree.parse(path).iter(f"{SVG}polyline")
        if element.attrib["stroke"] == colour
        and not re.fullmatch(r"\S+,(\S+) \S+,\1", element.attrib["points"])
    ]


def draw_all(folder: Path) -> list[Path]:
    count, confidence, right = np.array([4, 0, 6]), np.array([0.8, 0, 5.4]), np.array([1, 0, 5])
    coverage = np.arange(1, 6) / 5
    risks = {"joint": (coverage, coverage / 4), "c3d": (coverage, coverage / 3)}
    return [
        charts.confusion(COUNTS, ["a < b & c", "x $y_1$"], folder / "confusion"),
        charts.curves(HISTORY, folder / "curves", title="joint <&>"),
        charts.reliability({"as reported": (count, confidence, right)}, folder / "reliability"),
        charts.risk_coverage(risks, folder / "risk"),
    ]


@pytest.mark.usefixtures("by_hand")
def test_every_chart_by_hand_is_xml_within_its_edges(tmp_path: Path) -> None:
    for path in draw_all(tmp_path):
        root = ElementTree.parse(path).getroot()
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        for element in root.iter():
            for name, edge in (("x", width), ("cx", width), ("y", height), ("cy", height)):
                assert 0 <= float(element.attrib.get(name, 0)) <= edge
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["confusion.svg", "curves.svg", "reliability.svg", "risk.svg"]


@pytest.mark.usefixtures("by_hand")
def test_a_confusion_shows_names_counts_and_shades(tmp_path: Path) -> None:
    path = charts.confusion(COUNTS, ["a < b & c", "x $y_1$"], tmp_path / "confusion")
    shown = texts(path)
    assert shown.count("a < b & c") == 2 and "no face" in shown and "predicted" in shown
    assert shown[:6] == ["12", "3", "0", "0", "1877", "1"]
    fills = [e.attrib["fill"] for e in ElementTree.parse(path).iter(f"{SVG}rect")][1:]
    assert fills[2] == fills[3] == "#fafafa"  # none of the row
    assert fills[4] < fills[0] < fills[1]  # darker with the share of the row
    inks = [e.attrib["fill"] for e in ElementTree.parse(path).iter(f"{SVG}text")]
    assert inks[4] == "white" and inks[2] == "black"


@pytest.mark.usefixtures("by_hand")
def test_long_and_strange_names_fit(tmp_path: Path) -> None:
    names = ["n" * 300, "tab\tand\x00nul \udc80"]
    shown = texts(charts.confusion(np.eye(2, dtype=int), names, tmp_path / "long"))
    assert "n" * 23 + "…" in shown and "tab?and?nul ?" in shown


@pytest.mark.usefixtures("by_hand")
def test_names_keep_clear_of_the_cells(tmp_path: Path) -> None:
    names = ["m" * charts.NAME_LENGTH, *EMOTIONS[1:]]
    root = ElementTree.parse(charts.confusion(np.eye(7, dtype=int), names, tmp_path / "wide")).getroot()
    left = min(float(e.attrib["x"]) for e in root.iter(f"{SVG}rect") if "x" in e.attrib)
    for element in root.iter(f"{SVG}text"):
        if element.text == names[0] and "transform" not in element.attrib:
            assert element.attrib["text-anchor"] == "end"
            end = float(element.attrib["x"])
            start = end - charts.CHARACTER * len(names[0])
            assert charts.ROW < start < end < left  # the axis's name is in the row


@pytest.mark.usefixtures("by_hand")
def test_curves_have_a_panel_per_quantity_and_skip_what_was_not_measured(tmp_path: Path) -> None:
    path = charts.curves(HISTORY, tmp_path / "curves", title="joint <&>")
    shown = texts(path)
    assert {"joint <&>", "loss", "validation accuracy", "train loss", "validation loss"} <= set(shown)
    assert shown.count("epoch") == 2
    train, accuracy = drawn(path, charts.COLOURS[0])
    (validation,) = drawn(path, charts.COLOURS[1])
    assert (len(train), len(validation), len(accuracy)) == (3, 2, 3)
    assert [x for x, _ in validation] == [train[0][0], train[2][0]]
    assert validation[0][1] < train[0][1]  # a greater loss stands higher
    slope = (train[1][1] - train[0][1]) / (train[2][1] - train[1][1])
    assert slope == pytest.approx(0.8 / 0.3, abs=0.02)


@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ([1.0, 2.0, float("nan"), 2.0, 1.0], [2, 2]),
        ([1.0, 2.0, float("inf")], [2]),
        ([1.0], [1]),
        ([2.0, 2.0, 2.0], [3]),
        ([None, None], []),
        ([float("nan")], []),
        ([], []),
    ],
)
def test_a_line_breaks_where_training_diverged(tmp_path: Path, values: list[float], lines: list[int]) -> None:
    path = charts.curves({"loss": values}, tmp_path / "curves")
    lines_of = [line.attrib for line in ElementTree.parse(path).iter(f"{SVG}polyline")]
    own = [line["points"].split() for line in lines_of if line["stroke"] == charts.COLOURS[0]]
    assert list(map(len, own)) == lines


@pytest.mark.usefixtures("by_hand")
def test_a_long_line_is_thinned_and_keeps_its_ends(tmp_path: Path) -> None:
    coverage = np.arange(1, 20_001) / 20_000
    path = charts.risk_coverage({"joint": (coverage, coverage / 2)}, tmp_path / "risk")
    (line,) = drawn(path, charts.COLOURS[0])
    assert len(line) == charts.POINTS
    box = drawn(path, charts.GREY)[0]
    assert line[-1] == (max(x for x, _ in box), min(y for _, y in box))  # coverage 1, risk 0.5: the corner


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 12), st.booleans())
def test_ticks_are_few_even_and_within(low: float, width: float, about: int, is_whole: bool) -> None:
    high = low + width
    if high - low < 1e-9 * abs(low):
        return
    marks = charts.ticks(low, high, about, is_whole)
    slack = 1e-6 * width + 1e-9
    assert len(marks) <= about + 1
    assert all(low - slack <= mark <= high + slack for mark in marks)
    steps = np.diff(marks)
    assert np.allclose(steps, steps[0] if len(steps) else 0, rtol=1e-3)
    if is_whole:
        assert all(mark == round(mark) for mark in marks)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="as many rows"):
        charts.confusion(COUNTS, ["one"], tmp_path / "confusion")
    with pytest.raises(ValueError, match="at least one quantity"):
        charts.curves({}, tmp_path / "curves")
    with pytest.raises(OutputError, match="cannot write"):
        charts.curves(HISTORY, tmp_path / "missing" / "curves")


def test_matplotlib_draws_where_it_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for path in draw_all(tmp_path):
        assert path.suffix == ".png"
        picture = cv2.imread(str(path))
        assert picture.shape[0] > 150 and picture.shape[1] > 200
        assert picture.std() > 10
    again = charts.curves(HISTORY, tmp_path / "again", title="joint <&>")
    assert again.read_bytes() == (tmp_path / "curves.png").read_bytes()


def test_letters_that_matplotlib_lacks_are_drawn_by_hand(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = charts.confusion(np.eye(2, dtype=int), ["怒り", "喜び"], tmp_path / "confusion")
    assert path.suffix == ".svg" and "怒り" in texts(path)
