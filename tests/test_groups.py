"""Figures by group, the columns that groups come from, and labels that are missing from training data."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CLIP, Call
from test_cli import says
from test_metrics import logits_for, predictions

from fervid import datasets, metrics
from fervid.cli.shared import training
from fervid.datasets import columns
from fervid.errors import InputError, UsageError
from fervid.labels import EMOTIONS
from fervid.train.material import Material
from fervid.types.samples import Drawn, Sample


def answers(rights: list[int], count: int) -> tuple[metrics.Predictions, list[str]]:
    """Return predictions of groups A, B ... of `count` people each; `rights` of their clips are right."""
    truth = np.tile([0, 1, 2], len(rights) * count // 3)
    groups = np.repeat([chr(65 + index) for index in range(len(rights))], count)
    is_right = np.concatenate([np.arange(count) < right for right in rights])
    guesses = np.where(is_right, truth, (truth + 1) % 3)
    return predictions(logits_for(guesses.tolist()), truth), groups.tolist()


def test_the_gap_is_between_the_best_and_the_worst_group() -> None:
    given, groups = answers([54, 36, 45], 60)
    figures = metrics.by_group(given, groups)
    assert [part["name"] for part in figures["groups"]] == ["A", "B", "C"]
    assert [part["accuracy"] for part in figures["groups"]] == [0.9, 0.6, 0.75]
    assert [part["n"] for part in figures["groups"]] == [60] * 3
    gap = figures["gap"]["accuracy"]
    assert (gap["best"], gap["worst"], gap["gap"]) == ("A", "B", pytest.approx(0.3))
    low, high = gap["interval"]
    assert 0.1 < low < 0.3 < high < 0.5
    for part in figures["groups"]:
        low, high = part["interval"]["accuracy"]
        assert low < part["accuracy"] < high
    assert figures["groups"][0]["recall"]["anger"] == 0.9
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_the_interval_of_the_gap_covers_the_truth_at_about_its_level() -> None:
    """Two groups that are right in 80 and 60 of 100 cases: of 60 experiments, most contain 0.2."""
    draws = np.random.default_rng(3)
    held = 0
    for _ in range(60):
        truth = np.zeros(200, np.int64)
        is_right = draws.random(200) < np.repeat([0.8, 0.6], 100)
        given = predictions(logits_for(np.where(is_right, 0, 1).tolist()), truth)
        gap = metrics.by_group(given, ["a"] * 100 + ["b"] * 100, rounds=200)["gap"]["accuracy"]
        low, high = gap["interval"] if gap["best"] == "a" else (-end for end in gap["interval"][::-1])
        held += low <= 0.2 <= high
    assert 51 <= held <= 60


def test_a_small_group_has_figures_and_no_part_in_the_gap() -> None:
    given, groups = answers([50, 40], 60)
    groups[:9] = ["few"] * 9
    figures = metrics.by_group(given, groups, rounds=50)
    assert [part["n"] for part in figures["groups"]] == [51, 60, 9]
    assert {figures["gap"]["accuracy"][end] for end in ("best", "worst")} == {"A", "B"}
    alone = metrics.by_group(given, ["all"] * len(groups), rounds=50)
    assert alone["gap"] == {"accuracy": None, "mean_recall": None}


def test_groups_are_tables_of_a_card() -> None:
    given, groups = answers([50, 40], 60)
    groups[0] = "a|b"
    text = metrics.as_markdown("skin|tone", metrics.by_group(given, groups, rounds=50))
    tables = [[line for line in part.splitlines() if line[:1] == "|"] for part in text.split("\n\n")]
    for table in filter(None, tables):
        assert len({line.count("|") for line in table}) == 1
        assert set(table[1]) == {"|", "-"}
    assert text.startswith("| % by skin/tone | samples |")
    assert re.search(r"\| gap \|  \|  \|  \| 1\d\.\d \| -?\d", text)
    assert "Gap, of groups with 10 samples or more: accuracy A over B" in text


def test_groups_of_a_number_are_in_its_order() -> None:
    given, names = answers([20, 20], 30)
    ages = {"A": "9 to 30", "B": "below 9"}
    figures = metrics.by_group(given, [ages.get(name, "30 or more") for name in names], rounds=10)
    assert [part["name"] for part in figures["groups"]] == ["below 9", "9 to 30"]


def test_every_label_has_an_interval() -> None:
    given, _ = answers([40, 45], 60)
    report = metrics.report(given, rounds=200)
    for part in report["per_class"].values():
        low, high = part["interval"]
        assert low < part["recall"] < high
    lone = metrics.report(replace(given, subjects=("anna",) * len(given)))
    assert lone["per_class"]["anger"]["interval"] is None


# --- where groups come from


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Write a table of clips with columns for groups, and one that describes its people."""
    (tmp_path / "clips.csv").write_text(
        "path,label,subject,age,camera\na.mp4,happy,anna,29,x\nb.mp4,sad,anna,30,y\n"
        "c.mp4,happy,bob,50,\nd.mp4,sad,cleo,,x\n"
    )
    for name in "abcd":
        (tmp_path / f"{name}.mp4").write_text("a film")
    (tmp_path / "people.csv").write_text("subject,skin\nanna,I\nbob,VI\n")
    return f"csv:{tmp_path / 'clips.csv'}"


def test_a_column_of_the_data_or_of_a_table_groups_samples(table: str, tmp_path: Path) -> None:
    samples = datasets.read(table).samples
    assert columns.groups(samples, "camera") == ["x", "y", "unknown", "x"]
    assert columns.groups(samples, "age:30,50") == ["below 30", "30 to 50", "50 or more", "unknown"]
    assert columns.groups(samples, "subject") == ["anna", "anna", "bob", "cleo"]
    people = str(tmp_path / "people.csv")
    assert columns.groups(samples, "skin", people) == ["I", "I", "VI", "unknown"]
    assert columns.groups(samples, "camera", people) == ["x", "y", "unknown", "x"]
    (tmp_path / "names.csv").write_text("name,skin\nb.mp4,II\n")
    together = [replace(each, name=f"csv:clips/{each.name}", origin="csv:clips") for each in samples]
    assert columns.groups(together, "skin", str(tmp_path / "names.csv"))[1] == "II"
    prefixed = [replace(each, subject=f"clips/{each.subject}") for each in samples]
    assert columns.groups(prefixed, "skin", people) == ["I", "I", "VI", "unknown"]


@pytest.mark.parametrize(
    ("wanted", "about", "words"),
    [
        ("height", None, r"no column 'height': choose one of age, camera, subject, split, origin"),
        ("age:old", None, "give numbers after the colon"),
        ("age:50,30", None, "ascending"),
        ("camera:3", None, "camera is 'x' in a row, which is not a number"),
        ("skin", "other.csv", "has no row for any sample: its column subject has other names"),
        ("skin", "none.csv", "cannot be read"),
        ("skin", "bad.csv", "no column name or subject"),
    ],
)
def test_a_wrong_column_is_an_error(
    table: str, tmp_path: Path, wanted: str, about: str | None, words: str
) -> None:
    (tmp_path / "other.csv").write_text("subject,skin\nzoe,I\n")
    (tmp_path / "bad.csv").write_text("who,skin\nanna,I\n")
    samples = datasets.read(table).samples
    with pytest.raises((UsageError, InputError), match=words):
        columns.groups(samples, wanted, None if about is None else str(tmp_path / about))


def test_eval_reports_groups(call: Call, tmp_path: Path) -> None:
    rows = [f"{CLIP},happy,{start},{start + 1},{'x' if start < 2 else 'y'}" for start in (0, 1, 2, 3)]
    Path("clips.csv").write_text("\n".join(["path,label,start,end,camera", *rows, ""]))
    line = ("eval", "--data", "csv:clips.csv", "--model", "untrained", "--by")
    done = call(*line, "camera")
    assert done.returncode == 0, done.stderr
    assert "| % by camera | samples | people |" in done.stdout
    assert "95 % interval" in done.stdout
    figures = json.loads(call(*line, "camera", "--json").stdout)
    assert [(part["name"], part["n"]) for part in figures["by"]["camera"]["groups"]] == [("x", 2), ("y", 2)]
    wrong = call(*line, "cam")
    assert wrong.returncode == 2 and "the data has no column 'cam': choose one of camera" in wrong.stderr
    says(call("eval", "--data", "csv:clips.csv", "--about", "clips.csv"), 2, "--about is for --by")


# --- labels that data does not have


def test_missing_labels_are_reported_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def sample(label: str, origin: str) -> Sample:
        return Sample(f"{origin}/{label}", label, Drawn("a"), origin=origin)

    messages: list[str] = []
    monkeypatch.setattr(training.log, "warning", lambda text, *values: messages.append(text % values))
    shown = [label for label in EMOTIONS if label not in ("fear", "neutral")]
    first = [sample(label, "ckplus:CK+") for label in shown]
    second = [sample(label, "mmi:MMI") for label in (*shown[:-1], "neutral")]
    train = (*first, *second)
    training.warn_of_missing_labels(
        Material(tuple(label for label in EMOTIONS if label != "fear"), train, ())
    )
    assert messages == [
        "the training data has no fear: the model will not learn it",
        "ckplus:CK+ has no neutral, learned from the other data only",
        "mmi:MMI has no surprise, learned from the other data only",
    ]
    messages.clear()
    training.warn_of_missing_labels(Material(EMOTIONS, first, ()), finetune=True)
    assert messages == ["the training data has no fear, neutral: the model may unlearn them"]
    messages.clear()
    training.warn_of_missing_labels(Material(EMOTIONS, tuple(sample(each, "a") for each in EMOTIONS), ()))
    assert messages == []
