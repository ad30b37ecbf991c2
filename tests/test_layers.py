"""Who may import whom: the rooms of the program, and the libraries that each may use besides numpy."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

# The nouns, and how files, URLs and times are written.
NOUNS = {"types", "types.samples", "labels", "errors", "files", "files.urls", "times"}

# Room -> the rooms of ours that it may import, and the third parties. A room may import its own files. A name
# with a dot is a room of its own, apart from the folder around it.
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    "types": (set(), set()),
    "types.samples": ({"types"}, set()),
    "labels": (set(), set()),
    "errors": (set(), set()),
    "files": (set(), set()),
    "files.urls": (set(), set()),
    "files.temporary": ({"errors", "files"}, set()),
    "times": (set(), set()),
    "process": (set(), set()),
    "cache": ({"types", "errors", "files", "files.temporary"}, set()),
    "execute": ({"types", "errors", "process", "files.temporary"}, set()),
    "video": (NOUNS | {"process", "files.temporary"}, {"av", "cv2"}),
    "faces": (NOUNS | {"process"}, {"dlib", "cv2", "scipy", "torch", "safetensors"}),  # torch: who is who
    "clips": (NOUNS | {"faces"}, {"cv2"}),
    "streams": (NOUNS, {"torch"}),
    "model": (NOUNS | {"streams", "clips", "process"}, {"torch", "safetensors"}),
    "timeline": (NOUNS, set()),
    "people": (NOUNS | {"faces", "timeline"}, {"cv2"}),
    "units": (NOUNS | {"faces", "synth"}, set()),
    "analysis": (
        NOUNS | {"video", "faces", "clips", "model", "people", "timeline", "execute", "cache"},
        set(),
    ),
    "export": (NOUNS | {"timeline", "units"}, {"cv2"}),  # cv2: PNG
    "export.drawing": (NOUNS | {"timeline", "units"}, {"cv2"}),
    "annotations": (NOUNS | {"metrics", "export"}, set()),
    "synth": (NOUNS | {"faces"}, {"cv2", "scipy"}),
    "datasets": (NOUNS | {"synth"}, set()),
    "metrics": (NOUNS, set()),
    "train.augment": (NOUNS | {"faces", "clips"}, {"torch"}),
    "train.footage": (NOUNS | {"video", "faces", "synth", "execute", "cache"}, {"cv2"}),
}
EVERYTHING = set(ROOMS)
ROOMS["audience"] = (NOUNS | {"timeline", "export"}, set())
ROOMS["live"] = (NOUNS | {"video", "faces", "clips", "model", "timeline", "export"}, set())
ROOMS["batch"] = (
    NOUNS
    | {"video", "files.temporary", "cache", "execute", "analysis", "export", "metrics", "datasets", "units"},
    set(),
)
ROOMS["train"] = (EVERYTHING - {"export"}, {"torch", "safetensors"})
ROOMS["explain"] = (
    NOUNS | {"analysis", "clips", "export.drawing", "faces", "model", "streams", "process"},
    {"cv2", "torch"},
)
ROOMS["train.robust"] = (NOUNS | {"clips", "faces", "train.footage", "metrics", "model"}, {"cv2"})
ROOMS["train.survey"] = (ROOMS["train"][0] | {"train"}, {"torch"})
ROOMS["cli"] = ROOMS["__main__"] = (set(ROOMS) | {"cli"}, {"click", "rich"})

# What one function alone may import: room -> library.
INSIDE_A_FUNCTION = {
    "metrics": {"matplotlib"},
    "train.robust": {"matplotlib"},
    "export": {"matplotlib"},
    "video": {"fsspec"},
    "process": {"torch"},
}
# One file of a room may use more than the room.
FILES = {
    "streams/survey/flow.py": {"cv2"},
    "datasets/packs.py": {"cv2"},
    "export/editors/otio.py": {"opentimelineio"},
    "export/parquet.py": {"pyarrow"},
    "execute/cluster.py": {"dask", "distributed"},
}

SOURCES = sorted((ROOT / "fervid").rglob("*.py"))


def room_of(name: str) -> str:
    """Return the room of a module of ours: the longest name in ROOMS that its name begins with."""
    parts = name.split(".")[1:]
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((room for room in names if room in ROOMS), parts[0] if parts else "")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Each imported name in full, and whether the import stands inside a function."""
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
    """What a file imports and must not."""
    room = room_of(module_of(path))
    ours, others = ROOMS[room]
    found = []
    for name, is_inside in imports(ast.parse(source)):
        top = name.partition(".")[0]
        if top == "fervid":
            if room_of(name) not in ours | {room, "", "__version__"}:
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
        assert room_of(module_of(path)) in ROOMS, "a new room: give it a row in ROOMS"
        assert not faults(path, path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("room", "source"),
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
def test_a_forbidden_import_is_seen(room: str, source: str) -> None:
    assert faults(ROOT / "fervid" / room, source)


def test_an_import_inside_a_function_is_told_apart() -> None:
    path = ROOT / "fervid" / "metrics" / "charts.py"
    assert not faults(path, "def f():\n    import matplotlib.pyplot")
