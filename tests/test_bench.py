"""Test surveys: the table, resuming after interruptions, and systems that fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from conftest import Call
from safetensors.torch import load_file
from test_cli import says

from fervid import execute, files, streams, synth
from fervid.cli.bench import SYNTHETIC
from fervid.datasets import protocols, read
from fervid.train import evaluate
from fervid.train.machine import Machine
from fervid.train.recipe import Recipe
from fervid.train.survey import systems, table, timing
from fervid.train.survey.rows import Failure, Row
from fervid.train.survey.systems import PAIR, SMALL, System

# Drawing only landmarks is fast; networks of faces cannot read them.
BARE = "synth:posed?people=4&per_class=4&classes=6&faces=no"
QUICK = ("--size", "smoke", "--folds", "2", "--epochs", "1", "-j", "1")

SHARE = {"type": "number", "minimum": 0, "maximum": 1}
INTERVAL = {"anyOf": [{"type": "null"}, {"type": "array", "items": SHARE, "minItems": 2, "maxItems": 2}]}
TIME = {"anyOf": [{"type": "null"}, {"type": "number", "exclusiveMinimum": 0}]}
NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1}
SYSTEM = {"system": {"type": "string"}, "streams": NAMES, "fusion": {"enum": [None, "joint", "weighted"]}}
DONE = SYSTEM | {
    "failure": {"type": "null"},
    "rank": {"type": "integer", "minimum": 1},
    "tied_with_first": {"type": "boolean"},
    "accuracy": SHARE,
    "accuracy_interval": INTERVAL,
    "mean_recall": SHARE,
    "mean_recall_interval": INTERVAL,
    "n": {"type": "integer"},
    "n_no_face": {"type": "integer"},
    "parameters": {"type": "integer", "minimum": 1},
    "ms_per_window": TIME,
    "times_default_pair": TIME,
    "reads": NAMES,
    "sizes": {"type": "object"},
    "device": {"enum": ["cpu", "cuda"]},
    "versions": {"type": "object", "required": ["fervid", "torch"]},
}
FAILED = SYSTEM | {"failure": {"type": "string", "minLength": 1}}


def closed(properties: dict[str, Any]) -> dict[str, Any]:
    shape = {"type": "object", "properties": properties, "required": list(properties)}
    return shape | {"additionalProperties": False}


SCHEMA = closed(
    {
        "format": {"const": 1},
        "data": closed(
            {
                "specs": NAMES,
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                "clips": {"type": "integer"},
                "people": {"type": "integer"},
                "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
            }
        ),
        "settings": {"type": "object", "required": ["protocol", "size", "epochs", "batch", "seed"]},
        "ranked_by": {"const": "mean_recall"},
        "level": {"const": 0.95},
        "timing": {"type": "string"},
        "rows": {"type": "array", "items": {"anyOf": [closed(DONE), closed(FAILED)]}},
    }
)


Survey = Callable[..., tuple[int, str, str]]


@pytest.fixture
def survey(call: Call) -> Survey:
    """Return a function that runs the command and returns its code, standard output and standard error."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        done = call("bench", "survey", *arguments)
        return done.returncode, done.stdout, done.stderr

    return run


def rows_of(text: str) -> dict[str, dict[str, Any]]:
    """Check a table as JSON; return its rows by system."""
    value = json.loads(text)
    jsonschema.validate(value, SCHEMA)
    return {row["system"]: row for row in value["rows"]}


def without_times(text: str) -> dict[str, Any]:
    """Return a table as JSON without the measured times."""
    value = json.loads(text)
    for row in value["rows"]:
        for name in ("ms_per_window", "times_default_pair"):
            row.pop(name, None)
    return value


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time one pass, and draw curves only as SVG, which takes a twentieth of the time."""
    monkeypatch.setattr(timing, "PASSES", 1)
    monkeypatch.setattr("fervid.metrics.charts._png", lambda picture: None)


# --- the command


def test_a_survey_of_drawn_faces(survey: Survey, tmp_path: Path) -> None:
    names = ["mscnn", "phrnn", "phrnn+mscnn-weighted"]
    options = ["--synthetic", *QUICK, "--only", ",".join(names), "-o", tmp_path / "runs"]
    code, out, err = survey(*options, "--json")
    assert code == 0, err
    table_of = rows_of(out)
    assert set(table_of) == set(names)
    for name, row in table_of.items():
        assert row["n"] == 36 and row["n_no_face"] == 0 and row["times_default_pair"] > 0, name
        low, high = row["mean_recall_interval"]
        assert low <= row["mean_recall"] <= high
    nets = [streams.build(name, 6, **SMALL[name]) for name in names[:2]]
    alone = [sum(value.numel() for value in net.parameters()) for net in nets]
    assert [table_of[name]["parameters"] for name in names] == [*alone, sum(alone)]
    ranks = [row["rank"] for row in json.loads(out)["rows"]]
    recalls = [row["mean_recall"] for row in json.loads(out)["rows"]]
    assert ranks[0] == 1 and ranks == sorted(ranks) and recalls == sorted(recalls, reverse=True)
    assert json.loads(out)["data"]["clips"] == 36 and json.loads(out)["settings"]["size"] == "smoke"
    assert json.loads((tmp_path / "runs" / "survey.json").read_text()) == json.loads(out)
    assert str(tmp_path) not in out

    code, plain, err = survey(*options)
    assert code == 0 and "epoch" not in err  # nothing is trained again
    assert plain == (tmp_path / "runs" / "table.txt").read_text()
    lines = plain.splitlines()
    assert max(map(len, lines)) <= 100 and lines[0].split()[:3] == ["rank", "system", "weights"]
    assert {line.split()[1 if "=" not in line[:7] else 2] for line in lines[1:4]} == set(names)
    assert "visible expression" in plain and "its figures mean nothing" in plain


def test_support_vectors_are_on_the_frame_net_of_the_same_table(survey: Survey, tmp_path: Path) -> None:
    options = ["--synthetic", *QUICK, "--only", "aggregate_moments", "-o", tmp_path, "--json"]
    code, out, err = survey(*options)
    assert code == 0, err
    assert set(rows_of(out)) == {"aggregate_moments"}
    parts = sorted(path.name for path in (tmp_path / "still").iterdir() if path.is_dir())
    assert len(parts) > 1
    for part in parts:
        below = load_file(tmp_path / "still" / part / "model.safetensors")
        above = load_file(tmp_path / "aggregate_moments" / part / "model.safetensors")
        net = [name for name in below if not name.startswith("still.top.")]
        assert net
        for name in net:
            assert torch.equal(below[name], above[name.replace("still.", "aggregate_moments.", 1)]), name


def test_an_interrupted_survey_resumes(
    survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["-d", BARE, *QUICK, "--only", "dtgn,phrnn,tiny_displacement", "--json"]
    code, whole, err = survey(*options, "-o", tmp_path / "whole")
    assert code == 0, err
    real, calls = evaluate.run.train, []

    def train(*arguments: Any, **named: Any) -> Path:
        calls.append(arguments[2].relative_to(tmp_path / "runs").as_posix())
        if len(calls) == 4:  # within the second system
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(evaluate.run, "train", train)
    code, out, err = survey(*options, "-o", tmp_path / "runs")
    assert (code, out) == (130, "") and err.endswith("fervid: interrupted\n")
    assert rows_of((tmp_path / "runs" / "survey.json").read_text()).keys() == {"dtgn"}
    first = (tmp_path / "runs" / "dtgn" / "row.json").read_bytes()
    code, out, err = survey(*options, "-o", tmp_path / "runs")
    assert code == 0, err
    assert without_times(out) == without_times(whole)
    started = ["dtgn/fold_1", "dtgn/fold_2", "phrnn/fold_1", "phrnn/fold_2"]
    assert calls == [*started, "phrnn/fold_2", "tiny_displacement/fold_1", "tiny_displacement/fold_2"]
    assert (tmp_path / "runs" / "dtgn" / "row.json").read_bytes() == first
    _, fewer, _ = survey(*options, "--only", "phrnn", "-o", tmp_path / "runs")
    assert rows_of(fewer).keys() == {"phrnn"} and len(calls) == 7
    assert len(rows_of((tmp_path / "runs" / "survey.json").read_text())) == 3  # the folder's table has all


def test_a_survey_older_than_a_setting_resumes_with_its_default(survey: Survey, tmp_path: Path) -> None:
    options = ["-d", BARE, *QUICK, "--only", "dtgn", "-o", tmp_path / "runs"]
    assert survey(*options, "--window", "short")[0] == 0
    path = tmp_path / "runs" / "survey.json"
    value = json.loads(path.read_text())
    assert value["settings"].pop("window") == "short"
    path.write_text(json.dumps(value))
    assert survey(*options, "--window", "short")[0] == 0
    code, _, err = survey(*options)
    assert code == 2 and "other settings (window)" in err


def test_a_failing_system_stops_no_other(
    survey: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["-d", BARE, *QUICK, "-o", tmp_path / "runs", "--json", "--only"]
    code, out, err = survey(*options, "dtan,dtgn,dtan+dtgn-joint")
    assert code == 3
    table_of = rows_of(out)
    assert "has no pictures" in table_of["dtan"]["failure"]
    assert table_of["dtan+dtgn-joint"]["failure"] == "its stream dtan failed"
    assert table_of["dtgn"]["rank"] == 1 and table_of["dtgn"]["times_default_pair"] is None
    assert "fervid: warning: dtan failed: " in err and "Traceback" not in err
    plain = (tmp_path / "runs" / "table.txt").read_text()
    assert "dtan            failed: " in plain and max(map(len, plain.splitlines())) <= 100
    assert survey(*options, "dtan")[0] == 1

    def broken(*arguments: Any, **named: Any) -> None:
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(evaluate, "by_protocol", broken)
    code, out, _ = survey(*options, "dtgn,phrnn")  # the first is finished
    assert code == 3 and rows_of(out)["phrnn"]["failure"] == "unexpected ZeroDivisionError: by chance"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--data"),
        (["--synthetic", "-d", BARE], 2, "cannot be combined with --data"),
        (["-d", BARE, "--folds", "1"], 2, "--folds"),
        (["-d", BARE, "--folds", "2", "--protocol", "loso"], 2, "cannot be combined"),
        (["-d", BARE, "--protocol", "halves"], 2, "--protocol must be one of"),
        (["-d", BARE, "--only", "c3d,c4d"], 2, "not 'c4d'"),
        (["-d", BARE, "--size", "tiny"], 2, "--size"),
        (["-d", BARE, "--rate", "-1"], 2, "--rate"),
        (["-d", BARE, "--epochs", "0"], 2, "--epochs"),
        (["-d", BARE, "--folds", "5"], 1, "there are 4"),
        (["-d", "nosuch:x"], 2, "nosuch"),
        (["-d", BARE, "--device", "cuda"], 1, "no CUDA GPU"),
        (["-d", BARE, "-o", "mine"], 1, "is not a survey"),
        (["-d", BARE, "-o", "mine/letter.txt"], 1, "is a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_usage_errors_come_before_any_work(call: Call, arguments: list[str], code: int, words: str) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    Path("mine").mkdir()
    Path("mine/letter.txt").write_text("dear")
    folder = [] if "-o" in arguments else ["-o", "runs"]
    says(call("bench", "survey", *arguments, *folder), code, words)
    assert sorted(path.name for path in Path().rglob("*")) == ["letter.txt", "mine"]


def test_a_folder_has_one_survey(call: Call) -> None:
    runs, survey = Path("runs"), ("bench", "survey")
    options = ["-d", BARE, *QUICK, "-o", runs, "--only", "tiny_displacement"]
    assert call(*survey, *options).returncode == 0
    other = call(*survey, *options, "--seed", "3", "--batch", "4")
    says(other, 2, "started with other settings (batch, seed)")
    says(call(*survey, "-d", BARE.replace("posed", "weak"), *options[2:]), 2, "started with other data")
    lock = files.take_lock(runs / "lock")
    assert lock is not None
    says(call(*survey, *options), 1, "another survey is running")
    lock.release()
    (runs / "tiny_displacement" / "row.json").write_text("{")
    says(call(*survey, *options), 1, "row.json is damaged: delete it")
    (runs / "survey.json").write_text("[]")
    says(call(*survey, *options), 1, "survey.json is damaged")


@pytest.mark.parametrize("spec", SYNTHETIC.values())
def test_synthetic_data_has_people_to_hold_out(spec: str) -> None:
    samples = read(spec).samples
    assert len({sample.subject for sample in samples}) >= 6
    for part in protocols.plan(samples, "kfold:3").parts:
        assert {sample.label for sample in part.train} == {sample.label for sample in samples}


# --- the systems


def test_every_stream_has_a_row_before_its_fusions() -> None:
    usual = [system.name for system in systems.chosen()]
    assert set(streams.names()) - set(usual) == {"tiny_displacement", "tiny_faces"}
    assert PAIR.name == "c3d+phrnn-joint" and PAIR.name in usual and "dtan+dtgn-joint" in usual
    assert len(set(usual)) == len(usual)
    assert set(SMALL) <= set(usual)
    assert set(systems.OVER_STILL) <= set(usual)
    for index, system in enumerate(systems.chosen()):
        assert all(usual.index(base.name) < index for base in system.bases)


def test_a_fusion_of_finished_streams_equals_one_that_trains_them(tmp_path: Path) -> None:
    samples = tuple(synth.samples("posed", 4, 4, 0, ("happiness", "surprise"), bare=True))
    names = ("tiny_displacement", "phrnn")
    sizes = {"phrnn": SMALL["phrnn"]}
    usual = Recipe(streams=names, epochs=1, joint_epochs=1, batch=4, held_out=0.3, sizes=sizes)
    machine = Machine(torch.device("cpu"))

    def predictions(recipe: Recipe, name: str, *fused: Path) -> evaluate.Predictions:
        folder = tmp_path / name
        with execute.serial() as run:
            return evaluate.by_protocol("kfold:2", samples, recipe, folder, run, machine, bases=fused)

    whole = predictions(usual, "whole")
    for name in names:
        sizes = {stream: size for stream, size in usual.sizes.items() if stream == name}
        predictions(replace(usual, streams=(name,), sizes=sizes), name)
    fused = predictions(usual, "fused", *(tmp_path / name for name in names))
    assert set(fused.logits) == set(whole.logits) == {*names, "weighted", "joint"}
    for key, logits in whole.logits.items():
        np.testing.assert_allclose(fused.logits[key], logits, atol=1e-5)
    assert fused.headline == "joint" and not np.allclose(fused.logits["joint"], fused.logits["weighted"])


# --- the table


def row(name: str, said: list[int], people: int = 20) -> Row:
    """Make a row in which each person shows two labels; predictions repeat `said`."""
    return Row(
        system=System((name,)),
        reads=("faces",),
        sizes={},
        parameters=1_234_567,
        milliseconds=1.5,
        ratio=0.5,
        labels=("happiness", "surprise"),
        subjects=tuple(f"p{index // 2}" for index in range(2 * people)),
        truth=np.array([0, 1] * people),
        said=np.array((said * 2 * people)[: 2 * people]),
        device="cpu",
    )


def test_ranks_follow_mean_recall_and_equals_have_the_same() -> None:
    right, wrong, all_one = row("a", [0, 1]), row("b", [1, 0]), row("c", [0])
    ranked = table.ranked([wrong, all_one, right, row("d", [1])])
    assert [f"{entry.rank} {entry.row.system.name}" for entry in ranked] == ["1 a", "2 c", "2 d", "4 b"]
    assert [entry.mean_recall for entry in ranked] == [1.0, 0.5, 0.5, 0.0]
    assert not any(entry.is_tied for entry in ranked)


def test_rounding_does_not_separate_equals() -> None:
    def recalls(name: str, tenths: tuple[int, int, int]) -> Row:
        labels, truth = ("anger", "happiness", "surprise"), np.repeat([0, 1, 2], 10)
        is_right = np.tile(np.arange(10), 3) < np.repeat(tenths, 10)
        said = np.where(is_right, truth, (truth + 1) % 3)
        return replace(row(name, [0], people=15), labels=labels, truth=truth, said=said)

    ranked = table.ranked([recalls("a", (3, 2, 1)), recalls("b", (1, 2, 3))])
    assert [(entry.row.system.name, entry.rank) for entry in ranked] == [("a", 1), ("b", 1)]


def test_ties_compare_the_same_people() -> None:
    """Test that of two systems with a third of errors, only one that errs on other people ties."""
    best = row("best", [0, 1, 0, 1, 1, 0])
    nearly = row("nearly", [0, 1, 0, 1, 1, 0])
    nearly.said[:2] = [1, 0]  # an error on one more person
    (first, second) = table.ranked([nearly, best])
    assert first.row.system.name == "best" and second.is_tied
    worse = row("worse", [0, 1, 0, 1, 1, 0])
    worse.said[: 2 * 14] = 1 - worse.truth[: 2 * 14]
    assert [entry.is_tied for entry in table.ranked([best, worse])] == [False, False]
    assert first.accuracy_range is not None
    assert first.accuracy_range[0] < first.accuracy < first.accuracy_range[1]


def test_one_person_gives_no_interval() -> None:
    (entry,) = table.ranked([row("a", [0, 1], people=1)])
    assert entry.mean_recall_range is None and not entry.is_tied


def test_a_row_is_read_back_equal() -> None:
    kept = row("a", [0, 1])
    back = Row.from_json(json.loads(json.dumps(kept.as_json())))
    assert back.as_json() == kept.as_json() and back.system == kept.system


def test_the_table_is_narrow() -> None:
    settings = {"protocol": "kfold:3", "epochs": 40, "seed": 0, "size": "full"}
    facts = {"data": {"clips": 40, "people": 20}, "settings": settings}
    long = Failure(System(("cascaded_peak", "inception3d"), "weighted"), "for many reasons " * 20)
    text = table.as_text(facts, [row("a", [0, 1]), row("b", [0, 1]), row("still_mobilenet", [0]), long])
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[1].split()[:4] == ["1", "a", "1.23", "M"] and lines[2].split()[:3] == ["1", "=", "b"]
    assert "100.0 [100.0, 100.0]" in lines[1] and lines[4].endswith("...")
    assert "=: a tie" in text and "mean nothing" not in text


def test_timed_windows_are_those_of_analysis() -> None:
    sample = next(synth.samples("posed", 1, 1, 0, ("surprise",)))
    windows = timing.windows([sample], None)
    assert 0 < len(windows) <= timing.WINDOWS and windows[0]["faces"].shape == (16, 64, 64)
    (taken,) = timing.milliseconds([timing.untrained(System(("dtgn", "mscnn"), "weighted"), SMALL)], windows)
    assert taken > 0
    numbers = [table._number(value) for value in (0.00431, 1.0, 15.93, 1043.2, None)]
    assert numbers == ["0.00431", "1.00", "15.9", "1043", "-"]


def test_models_are_timed_in_turn_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(timing, "PASSES", 3)
    monkeypatch.setattr(timing, "_run", lambda net, some: seen.append((net, torch.get_num_threads())))
    torch.set_num_threads(2)
    try:
        timing.milliseconds(["own", "pair"], [{}])
        assert seen == [("own", 1), ("pair", 1)] * 3 and torch.get_num_threads() == 2
        seen.clear()
        monkeypatch.setattr(timing, "ENOUGH", -1.0)
        timing.milliseconds(["own", "pair"], [{}])
        assert len(seen) == 2
    finally:
        torch.set_num_threads(1)
