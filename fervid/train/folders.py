"""The folder of a run: its recipe, its checkpoints, and whether it is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fervid import files, model
from fervid.errors import InputError, OutputError
from fervid.train.material import Material, digest
from fervid.train.recipe import Recipe

STATE = "state"  # the folder of checkpoints; deleted when the run is done
RECIPE = "recipe.json"
MOST_BYTES = 1 << 26  # of a recipe


def begin(folder: Path, recipe: Recipe, material: Material) -> None:
    """Create a run folder."""
    value = recipe.as_json() | {"material": digest(material)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STATE).mkdir(exist_ok=True)
        files.write(folder / RECIPE, json.dumps(value, indent=1) + "\n")
    except OSError as failure:
        raise OutputError(f"cannot write a model to {folder}: {failure.strerror}") from failure


def _read(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(files.read_text(folder / RECIPE, MOST_BYTES))
    return value


def check_material(folder: Path, material: Material) -> None:
    """Raise InputError if a run was started with other samples, or another split of them."""
    value = _read(folder)
    if value.get("material") != digest(material):
        raise InputError(
            f"the run in {folder} was started with other data, or another split of it: start again with "
            "--overwrite, or name another folder"
        )


def is_done(folder: Path) -> bool:
    """Return whether a run is finished."""
    return (folder / model.SPEC).is_file() and not (folder / STATE).exists()


def recipe_of(folder: Path) -> Recipe:
    """Return the recipe of a run."""
    try:
        return Recipe.from_json(_read(folder))
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as failure:
        raise InputError(
            f"{folder} contains no training run to resume: start one without --resume"
        ) from failure
