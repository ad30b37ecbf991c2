"""Two versions of fervid on one cache and one folder of results, and timelines of older and newer schemas."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Call, environment
from media import pictures, write
from test_cli import says

from fervid.batch.folder import Results
from fervid.errors import InputError
from fervid.export.timelines import reading
from fervid.export.timelines.fields import SCHEMA_VERSION
from fervid.export.timelines.json import schema

GOLDEN = ROOT / "tests" / "golden" / "clip.json"
LATER = "1.99"  # the schema of the other version
CONSTANTS = {  # file -> (what is there, what the other version has)
    "__init__.py": (r'__version__ = "[^"]+"', '__version__ = "99.0.0"'),
    "cache/entries.py": (r"(?m)^VERSION = \d+", "VERSION = 9999"),
    "export/timelines/fields.py": (r'(?m)^SCHEMA_VERSION = "[^"]+"', f'SCHEMA_VERSION = "{LATER}"'),
}
# In the other version: list which results are read, and wait after writing one if there is a file "hold".
HOOKS = """

def _hooked(plain_read, plain_write):
    import time

    def read(path):
        arrays = plain_read(path)
        if arrays is not None:
            with open("read", "a") as stream:
                print(path, file=stream)
        return arrays

    def write(path, arrays, makes_folder=True):
        is_written = plain_write(path, arrays, makes_folder)
        Path("written").touch()
        while Path("hold").exists():
            time.sleep(0.01)
        return is_written

    return read, write


read, write = _hooked(read, write)
"""
# Run the program without worker processes, which would import torch again.
RUN = """
import sys
from contextlib import contextmanager
from fervid import __version__, execute
from fervid.cli import main

assert __version__ == "99.0.0"

@contextmanager
def serial(*_, **__):
    with execute.serial() as executor:
        yield executor

execute.open_executor = serial
sys.exit(main.run(sys.argv[1:]))
"""
FILMS = ("films/one.mp4", "films/two.mp4")
BATCH = ("batch", "films", "-o", "out", "--model", "untrained")


pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture(scope="session")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package, with other versions."""
    folder = tmp_path_factory.mktemp("later")
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "fervid", folder / "fervid", ignore=without)
    for name, (pattern, text) in CONSTANTS.items():
        path = folder / "fervid" / name
        changed, count = re.subn(pattern, text, path.read_text("utf-8"))
        assert count == 1, name
        path.write_text(changed, "utf-8")
    with (folder / "fervid" / "cache" / "entries.py").open("a", encoding="utf-8") as stream:
        stream.write(HOOKS)
    return folder


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Write two short films with different pictures."""
    (tmp_path / "films").mkdir()
    for count, name in enumerate(FILMS):
        write(tmp_path / name, pictures(6 + count))
    return tmp_path


def start_later(later: Path, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=str(later)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def manifest(folder: Path) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    return {row["input"]: row for row in rows}


def schemas(folder: Path) -> list[str]:
    """Return the schema version of every timeline in a folder of results."""
    return [json.loads(path.read_text("utf-8"))["schema_version"] for path in sorted(folder.rglob("*.json"))]


def spans(cache: Path) -> set[str]:
    """Return the keys that have results in the cache."""
    return {path.parent.name for path in cache.rglob("*.span")}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_batch_is_continued_by_another_version_and_nothing_stale_is_read(
    later: Path, films: Path, call: Call, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        save, count = Results.save, 0

        def interrupted(*values: Any) -> Any:
            nonlocal count
            count += 1
            if count == 2:
                raise KeyboardInterrupt
            return save(*values)

        patch.setattr(Results, "save", interrupted)
        assert call(*BATCH).returncode == 130
    journal = (films / "out" / ".fervid-batch" / "journal.jsonl").read_text("utf-8").splitlines()
    first = {json.loads(line)["cached"] for line in journal}
    own = spans(cache)
    assert len(first) == len(own) == 1  # of the second film, from which the same version would resume
    assert schemas(films / "out") == [SCHEMA_VERSION]

    with start_later(later, films, *BATCH) as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert schemas(films / "out") == [LATER, LATER]
    known = manifest(films / "out")
    assert [row["status"] for row in known.values()] == ["done", "done"]
    read = {Path(line).parent.name for line in (films / "read").read_text().splitlines()}
    assert len(read) == 2 and not read & (own | first)
    assert spans(cache) == own  # what is not its own stays
    assert not (films / "out" / ".fervid-batch").exists()

    done = call(*BATCH)  # the first version again
    assert done.returncode == 0, done.stderr
    assert not spans(cache)
    again = manifest(films / "out")
    assert not {row["key"] for row in again.values()} & {row["key"] for row in known.values()}
    monkeypatch.setenv("FERVID_CACHE_DIR", str(films / "fresh"))
    assert call(*("fresh-out" if word == "out" else word for word in BATCH)).returncode == 0
    assert contents(films / "out") == contents(films / "fresh-out")


def test_two_versions_at_the_same_time(later: Path, films: Path, call: Call, cache: Path) -> None:
    (films / "hold").touch()
    with start_later(later, films, *BATCH) as process:
        try:
            until = time.monotonic() + 300
            while not (films / "written").exists() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            others = spans(cache)
            assert len(others) == 1
            says(call(*BATCH), 1, "another batch is writing to out: wait for it, or name another folder")
            done = call("analyze", FILMS[0], "-t", "first.json", "--model", "untrained")
            assert done.returncode == 0, done.stderr
            assert spans(cache) == others  # its own are gone, and no others
            assert call("cache", "clear").returncode == 0
            assert spans(cache) == others  # they are in use
        finally:
            (films / "hold").unlink()
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert json.loads((films / "first.json").read_text("utf-8"))["schema_version"] == SCHEMA_VERSION
    assert schemas(films / "out") == [LATER, LATER]
    assert not spans(cache)


def since() -> dict[str, int]:
    """Return the fields of a timeline that are later than schema 1.0, with their minor version."""
    fields: dict[str, int] = {}

    def search(node: Any) -> None:
        if isinstance(node, dict):
            for name, value in node.get("properties", {}).items():
                if match := re.search(r"since (?:version )?1\.(\d+)", value.get("description", "")):
                    fields[name] = int(match[1])
            for value in node.values():
                search(value)
        elif isinstance(node, list):
            for value in node:
                search(value)

    search(schema())
    return fields


def without(value: Any, names: set[str]) -> Any:
    """Return JSON values without the fields of these names."""
    if isinstance(value, dict):
        return {name: without(part, names) for name, part in value.items() if name not in names}
    return [without(part, names) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("minor", range(int(SCHEMA_VERSION.partition(".")[2])))
def test_a_timeline_of_an_older_schema_is_read(minor: int) -> None:
    whole = json.loads(GOLDEN.read_text("utf-8"))
    later = {name for name, first in since().items() if first > minor}
    assert later
    old = {**without(whole, later), "schema_version": f"1.{minor}"}
    read, expected = reading.read(io.StringIO(json.dumps(old))), reading.read(io.StringIO(json.dumps(whole)))
    for kind in ("segments", "peaks", "people"):
        assert repr(getattr(read, kind)) == repr(getattr(expected, kind)) != "()"
    assert len(read.curves) == len(expected.curves)
    assert (read.source.name, read.source.planned) == (expected.source.name, expected.source.planned)


@pytest.mark.parametrize("version", ["2.0", "10.3", "0.9", "x"])
def test_a_timeline_of_another_schema_is_refused_in_one_line(version: str) -> None:
    whole = json.loads(GOLDEN.read_text("utf-8")) | {"schema_version": version}
    with pytest.raises(InputError, match=f"schema version {version}, this fervid reads") as error:
        reading.read(io.StringIO(json.dumps(whole)))
    assert "\n" not in str(error.value)


def test_a_timeline_of_a_later_minor_schema_is_read() -> None:
    """Minor versions only add fields."""
    whole = json.loads(GOLDEN.read_text("utf-8")) | {"schema_version": LATER, "added": {"x": [1]}}
    whole["source"]["added"] = None
    assert reading.read(io.StringIO(json.dumps(whole))).segments


def test_commands_refuse_a_timeline_of_another_schema(call: Call, tmp_path: Path) -> None:
    whole = json.loads(GOLDEN.read_text("utf-8")) | {"schema_version": "2.0"}
    (tmp_path / "out.json").write_text(json.dumps(whole))
    for words in (("export", "-f", "srt"), ("show",), ("peaks",), ("report", "-o", "page.html")):
        done = call(words[0], "out.json", *words[1:])
        says(done, 1, "out.json has schema version 2.0, this fervid reads")
        assert done.stderr.count(os.linesep) == 1
