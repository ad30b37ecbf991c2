"""What pip installs: pins of every package, hashes of every file, and the licences in PyAV's wheel."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import av
import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HASHES = r"(?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
LOCKED = re.compile(rf"^([\w.-]+)==(\S+)(?: ; ([^\\\n]*?))? \\\n{HASHES}", re.M)  # name, version, marker


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_locked_package_has_hashes_and_is_a_pin() -> None:
    text = (ROOT / "locked.txt").read_text("utf-8")
    entries = LOCKED.findall(text)
    assert len(entries) == len(re.findall(r"^[^#\s]", text, re.M))
    later = ">= '3.12'"  # the pins are of Python 3.11
    locked = {canonicalize_name(name): version for name, version, marker in entries if later not in marker}
    assert locked == pins()


def needed(requirement: Requirement, seen: set[str]) -> Iterator[str]:
    """Yield the names of the packages that a requirement installs here, as far as they are installed."""
    name = canonicalize_name(requirement.name)
    if name in seen:
        return
    seen.add(name)
    try:
        parts = distribution(name).requires or []
    except PackageNotFoundError:
        return
    yield name
    for part in map(Requirement, parts):
        extras = requirement.extras or {""}
        if part.marker is None or any(part.marker.evaluate({"extra": extra}) for extra in extras):
            yield from needed(part, seen)


def test_every_installed_package_is_pinned() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    sections = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    lines = [line.strip() for section in sections for line in section.splitlines() if line.strip()]
    seen: set[str] = set()
    names = {name for line in lines for name in needed(Requirement(line), seen)}
    assert len(names) > 60
    assert names - pins().keys() == set()


def test_the_libraries_in_pyav_s_wheel_are_named_with_their_licences() -> None:
    libraries = Path(av.__file__).parents[1] / "av.libs"
    if not libraries.is_dir():
        pytest.skip("this PyAV was not installed from its wheel for Linux")
    names = {re.split(r"-[0-9a-f]{8}\.|\.so", path.name)[0] for path in libraries.iterdir()}
    assert {"libx264", "libx265"} < names
    text = (ROOT / "docs" / "licences.md").read_text("utf-8")
    assert {name for name in names if f"`{name}`" not in text} == set()
