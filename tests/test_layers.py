"""Who may import whom: the rooms of the program, and the libraries that each may use besides numpy."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

NOUNS = {
    "types",
    "samples",
    "labels",
    "errors",
    "files",
    "times",
    "urls",
}  # the nouns, and how files and times are written

# Room -> the rooms of ours that it may import, and the third parties. A room may import its own files.
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    "types": (set(), set()),
    "samples": ({"types"}, set()),
    "labels": (set(), set()),
    "errors": (set(), set()),
    "files": (set(), set()),
    "collector": (set(), set()),
    "times": (set(), set()),
    "urls": (set(), set()),
    "threads": (set(), {"torch"}),
    "temporary": ({"errors", "files"}, set()),
    "cache": ({"types", "errors", "files", "temporary"}, set()),
    "execute": ({"types", "errors", "collector", "temporary"}, set()),
    "video": (NOUNS | {"temporary"}, {"av", "cv2"}),
    "faces": (NOUNS | {"threads"}, {"dlib", "cv2", "scipy", "torch", "safetensors"}),  # torch: who is who
    "clips": (NOUNS | {"faces"}, {"cv2"}),
    "streams": (NOUNS, {"torch"}),
    "model": (NOUNS | {"streams", "clips", "threads"}, {"torch", "safetensors"}),
    "timeline": (NOUNS, set()),
    "people": (NOUNS | {"faces", "timeline"}, {"cv2"}),
    "units": (NOUNS | {"faces", "synth"}, set()),
    "analysis": (
        NOUNS | {"video", "faces", "clips", "model", "people", "timeline", "execute", "cache"},
        set(),
    ),
    "export": (NOUNS | {"timeline", "units"}, {"cv2"}),  # cv2: PNG
    "annotations": (NOUNS | {"metrics", "export"}, set()),
    "drawing": (NOUNS | {"timeline"}, {"cv2"}),
    "synth": (NOUNS | {"faces"}, {"cv2", "scipy"}),
    "datasets": (NOUNS | {"synth"}, set()),
    "augment": (NOUNS | {"faces", "clips"}, {"torch"}),
    "metrics": (NOUNS, set()),
    "footage": (NOUNS | {"video", "faces", "synth", "execute", "cache"}, {"cv2"}),
}
EVERYTHING = set(ROOMS)
ROOMS["audience"] = (NOUNS | {"timeline", "export"}, set())
ROOMS["live"] = (NOUNS | {"video", "faces", "clips", "model", "timeline", "export"}, set())
ROOMS["batch"] = (
    NOUNS | {"video", "temporary", "cache", "execute", "analysis", "export", "metrics", "datasets", "units"},
    set(),
)
ROOMS["train"] = (EVERYTHING - {"export"}, {"torch", "safetensors"})
ROOMS["explain"] = (
    NOUNS | {"analysis", "clips", "drawing", "faces", "model", "streams", "threads"},
    {"cv2", "torch"},
)
ROOMS["robust"] = (NOUNS | {"clips", "faces", "footage", "metrics", "model"}, {"cv2"})
ROOMS["survey"] = (ROOMS["train"][0] | {"train"}, {"torch"})
ROOMS["cli"] = ROOMS["__main__"] = (set(ROOMS) | {"cli"}, {"click", "rich"})

# What one function alone may import: room -> library.
INSIDE_A_FUNCTION = {"metrics": {"matplotlib"}, "export": {"matplotlib"}, "video": {"fsspec"}}
# One file of a room may use more than the room.
FILES = {
    "streams/survey/flow.py": {"cv2"},
    "datasets/packs.py": {"cv2"},
    "export/editors/otio.py": {"opentimelineio"},
    "export/parquet.py": {"pyarrow"},
    "execute/cluster.py": {"dask", "distributed"},
}

SOURCES = sorted((ROOT / "fervid").rglob("*.py"))


def room_of(path: Path) -> str:
    place = path.relative_to(ROOT / "fervid")
    return place.parts[0].removesuffix(".py")


def imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Each imported module's full name, and whether the import stands inside a function."""
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
            if node.module == "fervid":
                yield from ((f"fervid.{alias.name}", id(node) in inside) for alias in node.names)
            else:
                yield node.module or "", id(node) in inside


def faults(path: Path, source: str) -> list[str]:
    """What a file imports and must not."""
    room = room_of(path)
    ours, others = ROOMS[room]
    found = []
    for name, is_inside in imports(ast.parse(source)):
        top, _, rest = name.partition(".")
        part = rest.partition(".")[0]
        if top == "fervid":
            if part not in ours | {room, "", "__version__"}:
                found.append(f"{room} imports {name}")
        else:
            allowed = others | FILES.get(path.relative_to(ROOT / "fervid").as_posix(), set())
            if is_inside:
                allowed = allowed | INSIDE_A_FUNCTION.get(room, set())
            if top not in sys.stdlib_module_names | {"numpy"} | allowed:
                found.append(f"{room} imports {name}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "fervid").as_posix())
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    if path == ROOT / "fervid" / "__init__.py":
        assert not list(imports(ast.parse(path.read_text("utf-8"))))
    else:
        assert room_of(path) in ROOMS, "a new room: give it a row in ROOMS"
        assert not faults(path, path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("types.py", "import cv2"),
        ("video/planning.py", "from fervid import faces"),
        ("timeline/peaks.py", "def f():\n    from fervid.model import find"),
        ("execute/local.py", "import dask"),
        ("export/timelines/json.py", "import fervid.cli.main"),
        ("analysis/spans.py", "import torch.nn"),
    ],
)
def test_a_forbidden_import_is_seen(room: str, source: str) -> None:
    assert faults(ROOT / "fervid" / room, source)


def test_an_import_inside_a_function_is_told_apart() -> None:
    path = ROOT / "fervid" / "metrics" / "charts.py"
    assert not faults(path, "def f():\n    import matplotlib.pyplot")
