"""The promises of docs/reliability.md are tested."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

from conftest import ROOT


def test_every_promise_names_tests_that_exist() -> None:
    rows = (ROOT / "docs" / "reliability.md").read_text("utf-8").splitlines()
    tests = {name for path in Path(__file__).parent.glob("test_*.py") for name in defined(path)}
    promises = []
    for index, row in enumerate(rows):
        if row.startswith("| promise"):
            table = takewhile(lambda row: row.startswith("|"), rows[index + 2 :])
            promises += [promise.split(" | ") for promise in table]
    assert len(promises) > 20
    for _, named in promises:
        assert re.findall(r"`(test_\w+)`", named)
        assert set(re.findall(r"`(test_\w+)`", named)) <= tests


def defined(path: Path) -> list[str]:
    return re.findall(r"^def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE)
