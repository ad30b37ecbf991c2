"""Test that help loads none of the heavy libraries, because it must be instant."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT, environment

HEAVY = {"torch", "cv2", "dlib", "scipy", "av", "numpy", "rich", "safetensors"}
LOOK = "import sys; from fervid.cli.main import run; run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"


def modules_after(*arguments: str) -> set[str]:
    """Return the modules that are loaded after the program has run."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *arguments], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert done.stdout
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["analyze", "--help"],
        ["extract", "--help"],
        ["peaks", "--help"],
        ["train", "--help"],
        ["eval", "--help"],
    ],
    ids=" ".join,
)
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    loaded = modules_after(*arguments)
    assert "click" in loaded
    assert not loaded & HEAVY


def test_help_loads_no_command() -> None:
    loaded = modules_after("--help")
    assert not {name for name in loaded if name.startswith("fervid.cli.")} - {
        "fervid.cli.main",
        "fervid.cli.shared",
        "fervid.cli.shared.messages",
        "fervid.cli.shared.options",
        "fervid.cli.shared.output",
    }


def test_models_list_does_not_load_torch() -> None:
    loaded = modules_after("models", "list")
    assert "fervid.model" in loaded and "torch" not in loaded


def test_types_need_only_numpy() -> None:
    look = "import sys, fervid.types, fervid.labels, fervid.errors; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert not loaded & (HEAVY - {"numpy"} | {"click"})
