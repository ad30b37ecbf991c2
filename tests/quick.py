"""Find the quick tests: those without a process, a browser or a network.

A test is quick if neither it, nor its fixtures, nor the helpers that it calls name such a thing, so no test
needs a mark. As a check, a quick test fails if it starts a process or runs a network.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent
CLIP = HERE.parent / "examples" / "clip.mp4"

# Modules that start processes, open browsers, detect faces or run networks, with their submodules.
SLOW = (
    "subprocess",
    "multiprocessing",
    "distributed",
    "playwright",
    "chromium",  # the helper that opens it
    "pty",
    "torch",
    "fervid.analysis",
    "fervid.execute",
    "fervid.faces.descriptor",
    "fervid.faces.finder",
    "fervid.model",
    "fervid.streams",
    "fervid.train",
    "importlib",  # loads a script, which can do anything
    "runpy",
    "read_gallery",  # of fervid.people, which detects the faces of its pictures
)
QUICK = ("fervid.train.augment", "fervid.train.robust")  # and yet quick
# Names that run the program in the test's process, and the arguments that make it slow.
PROGRAM = {"run_here", "fervid.cli.main"}
WORDS = {"analyze", "annotate", "batch", "bench", "eval", "extract", "finetune", "live", "train", CLIP}


def is_quick(item: pytest.Function) -> bool:
    """Return whether everything that a test names is quick."""
    definitions = item._fixtureinfo.name2fixturedefs
    fixtures = [fixture.func for name in item.fixturenames for fixture in definitions.get(name, ())]
    values, constants, has_slow, runs_program = reached((item.obj, *fixtures))
    if has_slow:
        return False
    if not runs_program:
        return True
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    words = flat([*values, *constants, *parameters])
    return WORDS.isdisjoint(word for word in words if isinstance(word, str | Path))


def is_slow(value: object) -> bool:
    """Return whether a value is a slow module, is from one, or is its name."""
    if isinstance(value, ModuleType):
        name = value.__name__
    else:
        name = value if isinstance(value, str) else getattr(value, "__module__", None)
    return isinstance(name, str) and is_inside(name, SLOW) and not is_inside(name, QUICK)


@cache
def is_inside(name: str, modules: tuple[str, ...]) -> bool:
    """Return whether a module's name is one of some modules or of their submodules."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


class Reached(NamedTuple):
    """What functions and the helpers of tests use."""

    values: list[object]  # and module names
    constants: list[object]
    has_slow: bool
    runs_program: bool


@cache  # the cases of a test share their functions
def reached(functions: tuple[Callable[..., Any], ...]) -> Reached:
    """Return what functions and the helpers of tests use."""
    values: list[object] = []
    constants: list[object] = []
    has_slow = runs_program = False
    queue: list[object] = [*functions]
    seen: set[int] = set()
    while queue:
        function = queue.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        if isinstance(function, type):
            queue += vars(function).values()
        for wrapped in ("fget", "__func__", "hypothesis", "inner_test", "__wrapped__"):
            function = getattr(function, wrapped, function)
        if not isinstance(function, FunctionType):
            continue
        own = used(function)
        values += own.values
        constants += own.constants
        has_slow |= own.has_slow
        runs_program |= own.runs_program
        queue += [value for value in own.values if is_of_tests(value)]
    return Reached(values, constants, has_slow, runs_program)


@cache  # most tests share fixtures and helpers
def used(function: FunctionType) -> Reached:
    """Return what a function uses itself."""
    values: list[object] = []
    constants: list[object] = []
    for code in codes(function.__code__):
        constants += code.co_consts
        modules = [name for name in code.co_names if name == "fervid" or name.startswith("fervid.")]
        for name in code.co_names:
            values += [name, *(f"{module}.{name}" for module in modules)]  # imported in the function
            values.append(function.__globals__.get(name))
    runs_program = any(getattr(value, "__name__", "") in PROGRAM for value in values)
    return Reached(values, constants, any(map(is_slow, values)), runs_program)


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code and the code of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def is_of_tests(value: object) -> bool:
    """Return whether a function or class is defined in the tests."""
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).parent == HERE


def flat(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, list | tuple | set | frozenset):
            yield from flat(value)
        else:
            yield value


def forbid(patch: pytest.MonkeyPatch) -> None:
    """Make the test fail if it starts a process or runs a network."""

    def fail(*arguments: object, **options: object) -> None:
        pytest.fail("a process or a network in a test that counts as quick: add its name to tests/quick.py")

    patch.setattr(subprocess.Popen, "__init__", fail)
    patch.setattr(BaseProcess, "start", fail)
    if "torch" in sys.modules:
        patch.setattr(sys.modules["torch"].nn.Module, "__call__", fail)
