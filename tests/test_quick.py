"""What counts as a quick test: nobody marks one, and none can start a process or run a net."""

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


def of_a_room_imported_inside() -> None:
    from fervid.train.recipe import Recipe

    assert Recipe


def by_a_command() -> None:
    run_here(["eval", "--model", "untrained"])


def by_an_option(call: Call) -> None:
    call("analyze", CLIP)


def that_only_reads(call: Call) -> None:
    call("export", "out.json")


@pytest.mark.parametrize(
    ("function", "is_quick"),
    [
        (plain, True),
        (through_a_helper, False),
        (through_a_class, False),
        (inside_a_function, False),
        (imported_inside, False),
        (of_a_room_imported_inside, False),
        (by_a_command, False),
        (by_an_option, False),
        (that_only_reads, True),
    ],
)
def test_what_is_quick_follows_from_what_is_named(
    function: Run, is_quick: bool, request: pytest.FixtureRequest
) -> None:
    item = pytest.Function.from_parent(request.node.parent, name=function.__name__, callobj=function)
    assert quick.is_quick(item) == is_quick


def test_a_quick_test_is_refused_processes_and_nets() -> None:
    """Named by words that hide them, so that this test counts as quick itself."""
    started: list[Run] = [
        lambda: vars(quick)["subprocess"].Popen(["true"]),
        lambda: vars(quick)["BaseProcess"].start(None),
        lambda: globals()["torch"].nn.Identity()(1),
    ]
    for one in started:
        with pytest.raises(pytest.fail.Exception, match=r"takes for quick"):
            one()


def test_most_tests_of_this_suite_are_quick(request: pytest.FixtureRequest) -> None:
    """Or `make quick` tells little."""
    items = request.session.items
    if len(items) > 2000:
        assert sum(item.get_closest_marker("quick") is not None for item in items) > len(items) / 2
