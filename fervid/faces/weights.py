"""Files of weights: those that fervid includes, and those that another package installs."""

from __future__ import annotations

import hashlib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fervid.errors import ModelError


def included(name: str, sha256: str) -> Path:
    """Return the path of a file that fervid includes, after checking its content."""
    path = Path(__file__).parents[1] / name
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path.name} is missing: pip install --force-reinstall fervid") from error
    if digest != sha256:
        raise ModelError(f"{path.name} is damaged: pip install --force-reinstall fervid")
    return path


def import_dlib() -> Any:
    """Import dlib, which only its own detectors and predictor need."""
    try:
        return import_module("dlib")
    except ImportError as error:
        raise ModelError("dlib is not installed: pip install 'fervid[dlib]'") from error


def installed(name: str) -> Path:
    """Return the path of a file of the `face_recognition_models` distribution, without importing it.

    The package fails to import with current setuptools, and only its files are needed.
    """
    spec = find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise ModelError("dlib's models are not installed: pip install 'fervid[dlib]'")
    path = Path(spec.origin).parent / "models" / name
    if not path.is_file():
        raise ModelError(f"{path.name} is missing: pip install --force-reinstall face_recognition_models")
    return path
