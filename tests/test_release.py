"""Test the Dockerfile, the workflow that publishes, and the pages made from the commands."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, environment

from fervid import __version__

INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "ENTRYPOINT", "CMD"}


def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments, on one line each."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_dockerfile_is_small_and_has_no_root() -> None:
    steps = dockerfile()
    assert {name for name, _ in steps} <= INSTRUCTIONS
    last = [index for index, (name, _) in enumerate(steps) if name == "FROM"][-1]
    assert all(re.match(r"python:3\.\d+-slim-\w+( AS \w+)?$", rest) for name, rest in steps if name == "FROM")
    final = dict(steps[last:])
    assert final["USER"] == "fervid"
    assert json.loads(final["ENTRYPOINT"]) == ["fervid"] and json.loads(final["CMD"]) == ["--help"]
    assert f"FERVID_CACHE_DIR={final['VOLUME']}" in final["ENV"]
    runs = " ".join(rest for name, rest in steps if name == "RUN")
    assert "download.pytorch.org/whl/cpu" in runs and "--no-cache-dir" in runs
    assert not re.search(r"\bsudo\b|apt-get|curl|wget", runs)


def test_the_dockerfile_copies_what_the_package_is_built_from(tmp_path: Path) -> None:
    """Build the metadata from the copied files alone, and run the shell's part of each step."""
    for name, rest in dockerfile():
        if name == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(
                        ROOT / source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__")
                    )
                else:
                    shutil.copy(ROOT / source, tmp_path / target)
        elif name == "RUN":
            subprocess.run(["sh", "-n", "-c", rest], check=True)
    build = "from setuptools import build_meta; print(build_meta.prepare_metadata_for_build_wheel('.'))"
    line = [sys.executable, "-W", "ignore", "-c", build]
    done = subprocess.run(line, cwd=tmp_path, env=environment(PYTHONPATH=""), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    metadata = (tmp_path / done.stdout.split()[-1] / "METADATA").read_text("utf-8")
    assert f"Version: {__version__}" in metadata
    assert "License-File: LICENSE" in metadata and "License-File: fervid/faces/data/NOTICE" in metadata
    assert "# fervid" in metadata  # the README


def test_the_example_in_the_dockerfile_is_a_valid_call() -> None:
    import click

    from fervid.cli.analyze import analyze

    (line,) = re.findall(r"fervid (analyze .*)", (ROOT / "Dockerfile").read_text("utf-8"))
    name, *arguments = shlex.split(line)
    assert isinstance(analyze.make_context(name, arguments), click.Context)


def test_the_workflow_publishes_a_tag_that_is_the_version() -> None:
    yaml = pytest.importorskip("yaml")
    text = (ROOT / ".github" / "workflows" / "publish.yml").read_text("utf-8")
    workflow: dict[Any, Any] = yaml.safe_load(text)
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML reads the key `on` as true
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert publish["needs"] == "build" and publish["permissions"] == {"id-token": "write"}
    assert workflow["permissions"] == {} and build["permissions"] == {"contents": "read"}
    commands = [step["run"] for step in build["steps"] if "run" in step]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = [command.split()[1] for command in commands if command.startswith("make ")]
    assert targets == ["test", "dist"] and all(f"\n{target}:" in makefile for target in targets)
    (check,) = [command for command in commands if command.startswith("test ")]
    check = check.replace(".venv/bin/python", shlex.quote(sys.executable))
    for tag, code in ((f"v{__version__}", 0), ("v0.0.9", 1)):
        done = subprocess.run(["sh", "-c", check], env=environment(GITHUB_REF_NAME=tag), check=False)
        assert done.returncode == code


def test_man_pages_and_the_reference_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["make_man.py", str(tmp_path)])
    runpy.run_path(str(ROOT / "docs" / "make_man.py"), run_name="__main__")
    names = {path.name for path in tmp_path.iterdir()}
    assert {"fervid.1", "fervid-peaks.1", "fervid-models-list.1", "reference.md"} <= names
    peaks = (tmp_path / "fervid-peaks.1").read_text("utf-8")
    for part in (
        ".SH NAME\nfervid\\-peaks \\- List the peaks",
        ".SH FACES AND MODELS",
        "\\-\\-min\\-gap",
        ".SH EXAMPLES",
    ):
        assert part in peaks
    program = (tmp_path / "fervid.1").read_text("utf-8")
    assert ".SH USE A TIMELINE" in program and "\\fBfervid\\-models\\fR(1)" in program
    reference = (tmp_path / "reference.md").read_text("utf-8")
    assert "## fervid cache clear" in reference and "| `--top N` | Only N peaks" in reference
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    for path in tmp_path.glob("*.1"):
        done = subprocess.run(
            ["groff", "-man", "-ww", "-z", "-Tutf8", "-Kutf8", path],
            capture_output=True,
            text=True,
            env=os.environ,
        )
        assert (done.returncode, done.stderr) == (0, ""), path.name
