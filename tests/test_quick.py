"""Test which tests count as quick, and that those cannot start a process or run a network."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
import quick
import torch
from conftest import CLIP, Call, run_here

from fervid import execute
from fervid.types import Settings

Run = Callable[..., object]


def helper() -> object:
    return subprocess.run


class Helper:
    @property
    def answer(self) -> object:
        return execute.serial


def plain() -> None:
    assert Settings()


def through_a_helper() -> None:
    assert helper()


def through_a_class() -> None:
    assert Helper()


def inside_a_function() -> None:
    def inner() -> object:
        return torch.zeros

    assert inner()


def imported_inside() -> None:
    from fervid import analysis

    assert analysis


def from_a_module_imported_inside() -> None:
    from fervid.train.recipe import Recipe

    assert Recipe


def by_a_command() -> None:
    run_here(["eval", "--model", "untrained"])


def by_an_option(call: Call) -> None:
    call("analyze", CLIP)


def only_reading(call: Call) -> None:
    call("export", "out.json")


@pytest.mark.parametrize(
    ("function", "is_quick"),
    [
        (plain, True),
        (through_a_helper, False),
        (through_a_class, False),
        (inside_a_function, False),
        (imported_inside, False),
        (from_a_module_imported_inside, False),
        (by_a_command, False),
        (by_an_option, False),
        (only_reading, True),
    ],
)
def test_a_test_is_quick_if_it_names_nothing_slow(
    function: Run, is_quick: bool, request: pytest.FixtureRequest
) -> None:
    item = pytest.Function.from_parent(request.node.parent, name=function.__name__, callobj=function)
    assert quick.is_quick(item) == is_quick


def test_a_quick_test_cannot_start_processes_or_run_networks() -> None:
    """Start them by hidden names, so that this test itself counts as quick."""
    starters: list[Run] = [
        lambda: vars(quick)["subprocess"].Popen(["true"]),
        lambda: vars(quick)["BaseProcess"].start(None),
        lambda: globals()["torch"].nn.Identity()(1),
    ]
    for start in starters:
        with pytest.raises(pytest.fail.Exception, match=r"counts as quick"):
            start()


def test_most_tests_of_this_suite_are_quick(request: pytest.FixtureRequest) -> None:
    """Check that `make quick` runs more than half of the tests."""
    items = request.session.items
    if len(items) > 2000:
        assert sum(item.get_closest_marker("quick") is not None for item in items) > len(items) / 2
