"""Who may import whom: the packages of the program, and the libraries that each may use besides numpy."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

# The types that all stages exchange, and how files, URLs and times are written.
BASICS = {"types", "types.samples", "labels", "errors", "files", "files.urls", "times"}

# Package -> the packages of ours that it may import, and the third parties. A package may import its own
# files. A name with a dot is a package of its own, apart from the folder around it.
PACKAGES: dict[str, tuple[set[str], set[str]]] = {
    "types": (set(), set()),
    "types.samples": ({"types"}, set()),
    "labels": (set(), set()),
    "errors": (set(), set()),
    "files": (set(), set()),
    "files.urls": (set(), set()),
    "files.temporary": ({"errors", "files"}, set()),
    "times": (set(), set()),
    "process": (set(), set()),
    "quantized": (set(), {"torch"}),
    "packing": ({"types"}, set()),
    "cache": ({"types", "errors", "files", "files.temporary"}, set()),
    "execute": ({"types", "errors", "process", "files.temporary"}, set()),
    "video": (BASICS | {"process", "files.temporary"}, {"av", "cv2"}),
    "faces": (
        BASICS | {"process", "quantized", "packing"},
        {"dlib", "cv2", "scipy", "torch", "safetensors"},
    ),  # torch: who is who
    "clips": (BASICS | {"faces"}, {"cv2"}),
    "streams": (BASICS | {"quantized", "faces"}, {"torch"}),  # faces: dlib's net, from which one starts
    "model": (BASICS | {"streams", "clips", "process", "quantized", "packing"}, {"torch", "safetensors"}),
    "timeline": (BASICS, set()),
    "people": (BASICS | {"faces", "timeline"}, {"cv2"}),
    "units": (BASICS | {"faces", "synth"}, set()),
    "analysis": (
        BASICS | {"video", "faces", "clips", "model", "people", "timeline", "execute", "cache"},
        set(),
    ),
    "export": (BASICS | {"timeline", "units"}, {"cv2"}),  # cv2: PNG
    "export.drawing": (BASICS | {"timeline", "units"}, {"cv2"}),
    "annotations": (BASICS | {"metrics", "export"}, set()),
    "synth": (BASICS | {"faces"}, {"cv2", "scipy"}),
    "datasets": (BASICS | {"synth"}, set()),
    "metrics": (BASICS, set()),
    "train.augment": (BASICS | {"faces", "clips"}, {"torch"}),
    "train.footage": (BASICS | {"video", "faces", "synth", "execute", "cache"}, {"cv2"}),
}
EVERYTHING = set(PACKAGES)
PACKAGES["audience"] = (BASICS | {"timeline", "export"}, set())
PACKAGES["live"] = (BASICS | {"video", "faces", "clips", "model", "timeline", "export"}, set())
PACKAGES["batch"] = (
    BASICS
    | {"video", "files.temporary", "cache", "execute", "analysis", "export", "metrics", "datasets", "units"}
    | {"model"},
    set(),
)
PACKAGES["train"] = (EVERYTHING - {"export"}, {"torch", "safetensors"})
PACKAGES["explain"] = (
    BASICS | {"analysis", "clips", "export.drawing", "faces", "model", "streams", "process"},
    {"cv2", "torch"},
)
PACKAGES["train.robust"] = (BASICS | {"clips", "faces", "train.footage", "metrics", "model"}, {"cv2"})
PACKAGES["train.survey"] = (PACKAGES["train"][0] | {"train"}, {"torch"})
PACKAGES["cli"] = PACKAGES["__main__"] = (set(PACKAGES) | {"cli"}, {"click", "rich"})

# What one function alone may import: package -> library.
INSIDE_A_FUNCTION = {
    "metrics": {"matplotlib"},
    "train.robust": {"matplotlib"},
    "export": {"matplotlib"},
    "video": {"fsspec"},
    "process": {"torch"},
}
# One file of a package may use more than the package.
FILES = {
    "streams/survey/flow.py": {"cv2"},
    "datasets/packs.py": {"cv2"},
    "export/editors/otio.py": {"opentimelineio"},
    "export/parquet.py": {"pyarrow"},
    "execute/cluster.py": {"dask", "distributed"},
}

SOURCES = sorted((ROOT / "fervid").rglob("*.py"))


def package_of(name: str) -> str:
    """Return the package of a module of ours: the longest name in PACKAGES that its name begins with."""
    parts = name.split(".")[1:]
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((package for package in names if package in PACKAGES), parts[0] if parts else "")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Yield each imported name in full, and whether the import is inside a function."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here, so that this test can read them"
            yield from ((f"{node.module}.{alias.name}", id(node) in inside) for alias in node.names)


def faults(path: Path, source: str) -> list[str]:
    """Return the imports of a file that are not allowed."""
    package = package_of(module_of(path))
    ours, others = PACKAGES[package]
    wrong = []
    for name, is_inside in imports(ast.parse(source)):
        top = name.partition(".")[0]
        if top == "fervid":
            if package_of(name) not in ours | {package, "", "__version__"}:
                wrong.append(f"{package} imports {name}")
        else:
            allowed = others | FILES.get(path.relative_to(ROOT / "fervid").as_posix(), set())
            if is_inside:
                allowed = allowed | INSIDE_A_FUNCTION.get(package, set())
            if top not in sys.stdlib_module_names | {"numpy"} | allowed:
                wrong.append(f"{package} imports {name}")
    return wrong


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "fervid").as_posix())
def test_a_file_imports_only_what_its_package_may(path: Path) -> None:
    if path == ROOT / "fervid" / "__init__.py":
        assert not list(imports(ast.parse(path.read_text("utf-8"))))
    else:
        assert package_of(module_of(path)) in PACKAGES, "a new package: give it a row in PACKAGES"
        assert not faults(path, path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("types/faces.py", "import cv2"),
        ("types/video.py", "from fervid.types import samples"),
        ("types/timeline.py", "from fervid.types.samples import Strip"),
        ("files/writing.py", "import fervid.files.temporary"),
        ("train/augment/pixels.py", "from fervid.train.recipe import Recipe"),
        ("train/footage/strips.py", "from fervid import train"),
        ("export/page/report.py", "from fervid.export import drawing"),
        ("process.py", "import torch"),
        ("video/planning.py", "from fervid import faces"),
        ("timeline/peaks.py", "def f():\n    from fervid.model import find"),
        ("execute/local.py", "import dask"),
        ("export/timelines/json.py", "import fervid.cli.main"),
        ("analysis/spans.py", "import torch.nn"),
    ],
)
def test_a_forbidden_import_is_seen(package: str, source: str) -> None:
    assert faults(ROOT / "fervid" / package, source)


def test_an_import_inside_a_function_is_told_apart() -> None:
    path = ROOT / "fervid" / "metrics" / "charts.py"
    assert not faults(path, "def f():\n    import matplotlib.pyplot")
