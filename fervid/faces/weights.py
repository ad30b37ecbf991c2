"""Files of weights that other packages install."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fervid.errors import ModelError


def installed(name: str) -> Path:
    """Return the path of a file of the `face_recognition_models` distribution, without importing it.

    The package fails to import with current setuptools, and only its files are needed.
    """
    spec = find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise ModelError("dlib's models are not installed: pip install face_recognition_models")
    path = Path(spec.origin).parent / "models" / name
    if not path.is_file():
        raise ModelError(f"{path.name} is missing: pip install --force-reinstall face_recognition_models")
    return path
