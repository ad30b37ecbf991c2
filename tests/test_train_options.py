"""Test the options and commands of training: recipes, runs from the shell, and several processes."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from conftest import ROOT, Call, environment

from fervid import model
from fervid.cli.main import fervid as program
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.training import ARCHITECTURE_FIELDS, listening, recipe_of
from fervid.errors import UsageError
from fervid.train.augment import AUGMENTATIONS
from fervid.train.listener import Progress
from fervid.train.recipe import SETTING, Recipe, settings


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw curves only as SVG, which takes a twentieth of the time."""
    monkeypatch.setattr("fervid.metrics.charts._png", lambda picture: None)


def given(name: str, *line: str) -> dict[str, Any]:
    """Return the settings of recipes that a command line gives to a command."""
    with click.Context(program) as context:
        command = program.get_command(context, name)
        assert command is not None
        values = command.make_context(name, list(line), parent=context).params
    return {name: value for name, value in values.items() if name in settings()}


def test_fields_of_a_recipe_with_settings_are_options() -> None:
    assert all(SETTING in field.metadata for field in fields(Recipe))
    assert {field.name for field in fields(Recipe)} - settings().keys() == {"finetune", "latent"}
    for name, line, others in (
        ("train", ("-d", "x", "-o", "y"), set()),
        ("finetune", ("-d", "x", "-o", "y"), set(ARCHITECTURE_FIELDS)),
        ("eval", ("--data", "x"), {"data", "teacher", "teacher_share", "teacher_temperature"}),
    ):
        assert given(name, *line).keys() | others == settings().keys()


@pytest.mark.parametrize(("name", "epochs"), [("train", 40), ("finetune", 10)])
def test_defaults_of_options_are_those_of_recipes(name: str, epochs: int) -> None:
    assert recipe_of(given(name, "-d", "x", "-o", "y")) == Recipe(data=("x",), epochs=epochs)
    assert Recipe().epochs == 40 and Recipe().streams == ("c3d", "phrnn")


def test_choices_are_those_of_the_library() -> None:
    assert set(settings()["fusion"].choices) == set(model.FUSIONS)
    assert set(settings()["augmentation"].choices) == set(AUGMENTATIONS)


def test_documented_defaults_are_those_of_recipes() -> None:
    parts = (ROOT / "docs" / "commands.md").read_text("utf-8").split("\n## ")
    text = next(part for part in parts if part.startswith("fervid train\n"))
    documented: dict[str, str] = {}
    for options, numbers in re.findall(r"^\| (`--[^|]+) \|[^|(]+ \(([\d., ]+)\)", text, re.M):
        names = [name.replace("-", "_") for name in re.findall(r"--([\w-]+)", options)]
        documented |= dict(zip(names, numbers.split(", "), strict=True))
    usual = {name: f"{getattr(Recipe(), name):g}" for name in documented if name in settings()}
    assert len(usual) > 8 and usual.items() <= documented.items()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"streams": ("c3d", "c4d")}, "--streams"),
        ({"streams": ("c3d", "c3d")}, "different"),
        ({"fusion": "sum"}, "--fusion"),
        ({"augmentation": "much"}, "--augmentation"),
        ({"illumination": "lamp"}, "--illumination"),
        ({"sizes": {"still": {"width": 3}}}, "not in --streams"),
        ({"epochs": -1, "start_from": ("m",)}, "--epochs must be from 0 to 1000000"),
        ({"epochs": 0}, "give --start-from"),
        ({"coarse": 1.5}, "--coarse must be from 0 to 1"),
        ({"coarse": -0.5}, "--coarse must be from 0 to 1"),
        ({"coarse": 0.5, "streams": ("phrnn",)}, "--coarse does not apply to phrnn"),
        ({"coarse": 0.5, "streams": ("phrnn", "still_mobilenet")}, "not apply to phrnn.still_mobilenet"),
        ({"soft_labels": 1.5}, "--soft-labels"),
        ({"average": 1.0}, "--average"),
        ({"rate": -1.0}, "--rate"),
        ({"rate": float("nan")}, "--rate"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_invalid_recipes(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Recipe(**change)  # type: ignore[arg-type]


def test_options_become_a_recipe() -> None:
    starts = ["--start-from", "one", "--start-from", "two", "--epochs", "0", "--coarse", "0.5"]
    sizes = ["--size", "c3d.width=4", "--labels", "anger, fear"]
    recipe = recipe_of(given("train", "-d", "synth:posed", "-o", "x", *starts, *sizes))
    assert (recipe.start_from, recipe.epochs, recipe.coarse) == (("one", "two"), 0, 0.5)
    assert (recipe.sizes, recipe.labels) == ({"c3d": {"width": 4}}, ("anger", "fear"))
    assert Recipe.from_json(json.loads(json.dumps(recipe.as_json()))) == recipe


@pytest.mark.parametrize(
    ("messages", "term", "is_shown"),
    [
        (Messages(), "xterm", True),
        (Messages(), "dumb", False),
        (Messages(quiet=True), "xterm", False),
        (Messages(has_progress=False), "xterm", False),
    ],
    ids=["usual", "dumb terminal", "quiet", "no progress"],
)
def test_the_bar_is_shown_on_a_terminal_only(
    messages: Messages, term: str, is_shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "120")
    with listening(messages) as listener:
        listener.crop(1, 2)
        listener.tick(Progress("still", 1, 2, 0.25, 0.5, 0.75, math.nan))
    assert ("epoch 1/2  loss 0.500  accuracy 0.750" in screen.getvalue()) == is_shown


SYNTH = "synth:posed?people=8&per_class=8"


FROM = "--start-from"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    yield [
        "--streams",
        "tiny_faces+tiny_displacement",
        "--epochs",
        "1",
        "--joint-epochs",
        "1",
        "--batch",
        "4",
    ]


def test_training_from_the_shell(call: Call, tmp_path: Path, tiny: list[str]) -> None:
    data = "synth:posed?people=4&per_class=4&classes=6"
    done = call("train", "-d", data, *tiny, "-o", "run", "--held-out", "0.3", "-j", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run\n" and "joint: epoch 1 of 1: validation accuracy" in done.stderr
    again = call("train", "-d", data, *tiny, "-o", "run")
    assert again.returncode == 1 and "continue it with --resume" in again.stderr
    resumed = call("train", "-o", "run", "--resume")
    assert resumed.returncode == 0 and "is done" in resumed.stderr
    both = call("train", "-o", "run", "--resume", "--epochs", "3")
    assert both.returncode == 2 and "leave out --epochs" in both.stderr

    scored = call("eval", "-d", data, "--model", "run", "--json", "--predictions", "said.csv", "-j", "1")
    assert scored.returncode == 0, scored.stderr
    figures = json.loads(scored.stdout)
    assert figures["n"] == 24 and figures["n_no_face"] == 0
    assert set(figures["streams"]) == {"tiny_faces", "tiny_displacement", "weighted", "joint"}
    assert np.array(figures["confusion"]).sum() == 24
    assert figures["accuracy"] == pytest.approx(np.trace(figures["confusion"]) / 24)
    rows = (tmp_path / "said.csv").read_text().splitlines()
    assert len(rows) == 25 and rows[0].startswith("name,subject,fold,label,predicted")
    table = call("eval", "-d", data, "--model", "run", "--pictures", "figures", "-j", "1")
    assert table.returncode == 0 and "24 samples, 0 of them without a face" in table.stdout
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {
        "confusion",
        "reliability",
        "risk_coverage",
    }

    itself = call("finetune", "--model", "run", "-d", data, "-o", "run", "-y")
    assert itself.returncode == 2 and "is the model to start from" in itself.stderr
    model.verify(tmp_path / "run")
    mine = call(
        "finetune", "--model", "run", "-d", data, "--epochs", "1", "--batch", "4", "-o", "mine", "-j", "1"
    )
    assert mine.returncode == 0, mine.stderr
    assert model.read_spec(tmp_path / "mine").labels == model.read_spec(tmp_path / "run").labels


def test_protocols_from_the_shell(call: Call, tmp_path: Path, tiny: list[str]) -> None:
    data = "synth:posed?people=4&per_class=4&classes=6"
    rest = ["--protocol", "kfold:2", *tiny, "--held-out", "0.4", "--runs", "runs", "--json", "-j", "1"]
    done = call("eval", "-d", data, *rest)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["n"] == 24 and figures["folds"]["n"] == 2
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["fold_1", "fold_2"]
    again = call("eval", "-d", data, *rest)
    assert again.stdout == done.stdout and "epoch" not in again.stderr
    other = call("eval", "-d", data, *rest, "--seed", "7")
    assert other.returncode == 2 and "started with other settings" in other.stderr
    rest[1] = "kfold:3"
    split = call("eval", "-d", data, *rest)
    assert split.returncode == 1 and "another split" in split.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "-o", "x"], "--data"),
        (["train", "-o", "x", "--resume"], "no training run"),
        (["train", "-d", "synth:posed", "-o", "x", "--size", "c3d=4"], "STREAM.SIZE=NUMBER"),
        (["train", "-d", "synth:posed", "-o", "x", "--labels", "joy"], "--labels"),
        (["train", "-d", "synth:posed", "-o", "x", "--streams", "c5d"], "--streams"),
        (["eval", "--model", "untrained"], "--data"),
        (["eval", "-d", "synth:posed", "--model", "untrained", "--epochs", "3"], "give it with --protocol"),
        (["eval", "-d", "synth:posed", "--protocol", "halves"], "--protocol must be one of"),
        (["eval", "-d", "synth:posed", "--model", "untrained", "--json", "--predictions", "-"], "both"),
        (["finetune", "--model", "untrained", "-o", "x"], "--data"),
        (["train", "-d", SYNTH, "-o", "x", "--start-from", "nosuch"], "no model"),
        (
            ["train", "-d", SYNTH, "-o", "x", FROM, "untrained", FROM, "nosuch"],
            "no model",
        ),
        (["train", "-d", SYNTH, "-o", "x", "--device", "cuda"], "no CUDA GPU"),
        (["train", "-d", SYNTH, "-o", "x", "--streams", "still", "--size", "still.foo=3"], "these sizes"),
        (
            ["train", "-d", SYNTH, "-o", "x", "--streams", "still", "--size", "still.width=0"],
            "--size must be",
        ),
        (["finetune", "--model", "nosuch", "-d", "synth:posed", "-o", "x"], "no model"),
    ],
)
def test_usage_errors(call: Call, arguments: list[str], words: str, tmp_path: Path) -> None:
    done = call(*arguments)
    assert done.returncode in (1, 2) and words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_folder_of_other_files_is_not_replaced(call: Call, tmp_path: Path, tiny: list[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    done = call("train", "-d", "synth:posed?people=2&per_class=2", *tiny, "-o", "mine", "-y")
    assert done.returncode == 1 and "is not a training run" in done.stderr
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


# At the end of Python, threads of a group of processes that is still open can abort it.
ONE_OF_SEVERAL = """\
import sys
from pathlib import Path
from fervid.cli import main
code = main.run()
threads = {path.read_text() for path in Path("/proc/self/task").glob("*/comm")}
sys.exit("the group of processes is still open" if any("gloo" in name for name in threads) else code)
"""


def test_several_processes_train_one_model(tmp_path: Path, tiny: list[str]) -> None:
    (tmp_path / "one.py").write_text(ONE_OF_SEVERAL)
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "one.py",
    ]
    data = ["-d", "synth:posed?people=4&per_class=2&classes=6", "--held-out", "0.3"]
    done = subprocess.run(
        [*launch, "train", *data, *tiny, "-o", "run", "-j", "1"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run\n"  # only the main process prints
    model.verify(tmp_path / "run")
    assert done.stderr.count("joint: epoch 1 of 1") == 1
