"""Test that help loads none of the heavy libraries, because it must be instant."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT, environment

HEAVY = {"torch", "cv2", "dlib", "scipy", "av", "numpy", "rich", "safetensors"}
PRINT = "print(*sys.modules, file=sys.stderr)"
LOOK = f"import sys; from fervid.cli.main import run; run(sys.argv[1:]); {PRINT}"


def modules_after(*arguments: str, code: str = LOOK) -> set[str]:
    """Return the modules that are loaded after the program has run."""
    line = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(line, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout
    return set(done.stderr.split())


COMMANDS = ("analyze", "extract", "peaks", "export", "compare", "train", "eval")


@pytest.mark.parametrize("arguments", ["--help", "--version", *(f"{name} --help" for name in COMMANDS)])
def test_help_loads_no_heavy_library(arguments: str) -> None:
    loaded = modules_after(*arguments.split())
    assert "click" in loaded
    assert not loaded & HEAVY


def test_help_loads_no_command() -> None:
    loaded = modules_after("--help")
    commands = {name.removeprefix("fervid.cli.") for name in loaded if name.startswith("fervid.cli.")}
    assert commands <= {"main", "shared", "shared.messages", "shared.options", "shared.output"}


def test_models_list_does_not_load_torch() -> None:
    loaded = modules_after("models", "list")
    assert "fervid.model" in loaded and "torch" not in loaded


def test_types_need_only_numpy() -> None:
    code = f"import sys, fervid.types, fervid.labels, fervid.errors; print(); {PRINT}"
    loaded = modules_after(code=code)
    assert "numpy" in loaded
    assert not loaded & (HEAVY - {"numpy"} | {"click"})
