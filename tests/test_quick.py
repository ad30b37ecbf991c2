"""Test which tests count as quick, and that those cannot start a process or run a network."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
import quick
import torch
from conftest import CLIP, run_here

from fervid import execute
from fervid.types import Settings


def helper() -> object:
    return subprocess.run


class Helper:
    @property
    def answer(self) -> object:
        return execute.serial


def imported_inside() -> None:
    from fervid import analysis

    assert analysis


def from_a_module_imported_inside() -> None:
    from fervid.train.recipe import Recipe

    assert Recipe


QUICK = [lambda: Settings(), lambda call: call("export", "out.json")]
SLOW = [
    lambda: helper(),
    lambda: Helper(),
    lambda: (lambda: torch.zeros)(),
    imported_inside,
    from_a_module_imported_inside,
    lambda: run_here(["eval", "--model", "untrained"]),
    lambda call: call("analyze", CLIP),
]


@pytest.mark.parametrize("function", [*QUICK, *SLOW])
def test_a_test_is_quick_if_it_names_nothing_slow(
    function: Callable[..., object], request: pytest.FixtureRequest
) -> None:
    item = pytest.Function.from_parent(request.node.parent, name="test", callobj=function)
    assert quick.is_quick(item) == (function in QUICK)


def test_a_quick_test_cannot_start_processes_or_run_networks() -> None:
    """Start them by hidden names, so that this test itself counts as quick."""
    for start in (
        lambda: vars(quick)["subprocess"].Popen(["true"]),
        lambda: vars(quick)["BaseProcess"].start(None),
        lambda: globals()["torch"].nn.Identity()(1),
    ):
        with pytest.raises(pytest.fail.Exception, match=r"counts as quick"):
            start()


def test_most_tests_of_this_suite_are_quick(request: pytest.FixtureRequest) -> None:
    """Check that `make quick` runs more than half of the tests."""
    items = request.session.items
    if len(items) > 2000:
        assert sum(item.get_closest_marker("quick") is not None for item in items) > len(items) / 2
