"""Tells which tests are quick: those in which neither a process, nor a browser, nor a net has a part.

That follows from what a test names, itself or through its fixtures and the helpers that it calls, so that
nobody has to mark anything. What slips through is found when it runs: a quick test is refused processes and
nets.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
CLIP = HERE.parent / "examples" / "clip.mp4"

# What starts processes, opens browsers, finds faces or runs nets, by the beginning of a module's name.
SLOW = (
    "subprocess",
    "multiprocessing",
    "distributed",
    "playwright",
    "torch",
    "fervid.analysis",
    "fervid.execute",
    "fervid.faces.finder",
    "fervid.footage",
    "fervid.model",
    "fervid.people.descriptor",
    "fervid.streams",
    "fervid.survey",
    "fervid.train",
    "importlib",  # a script is loaded, of which no name tells what it does
)
# Words to the program that make it do so, where a test runs it in its own process.
PROGRAM = {"run_here", "fervid.cli.main"}
WORDS = {"analyze", "annotate", "batch", "bench", "eval", "extract", "finetune", "train", CLIP}


def is_quick(item: pytest.Function) -> bool:
    """Whether all that a test names is quick."""
    found = item._fixtureinfo.name2fixturedefs
    fixtures = [fixture.func for name in item.fixturenames for fixture in found.get(name, ())]
    named, said = reached([item.obj, *fixtures])
    if any(map(is_slow, named)):
        return False
    if not any(getattr(one, "__name__", "") in PROGRAM for one in named):
        return True
    given = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return WORDS.isdisjoint(one for one in flat([*named, *said, *given]) if isinstance(one, str | Path))


def is_slow(value: object) -> bool:
    """Whether something is a slow module, or out of one, or its name."""
    if isinstance(value, ModuleType):
        name = value.__name__
    else:
        name = value if isinstance(value, str) else getattr(value, "__module__", None)
    return isinstance(name, str) and any(name == slow or name.startswith(f"{slow}.") for slow in SLOW)


def reached(functions: Iterable[Callable[..., Any]]) -> tuple[list[object], list[object]]:
    """Whatever functions of the tests name: values of their modules, and modules by name; their constants."""
    named: list[object] = []
    said: list[object] = []
    ahead: list[object] = [*functions]
    seen: set[int] = set()
    while ahead:
        one = ahead.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, type):
            ahead += vars(one).values()
        for wrapped in ("fget", "__func__", "hypothesis", "inner_test", "__wrapped__"):
            one = getattr(one, wrapped, one)
        if not isinstance(one, FunctionType):
            continue
        for code in codes(one.__code__):
            said += code.co_consts
            within = [name for name in code.co_names if name == "fervid" or name.startswith("fervid.")]
            for name in code.co_names:
                named += [name, *(f"{room}.{name}" for room in within)]  # as if imported in the function
                value = one.__globals__.get(name)
                named.append(value)
                if is_of_tests(value):
                    ahead.append(value)
    return named, said


def codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code and that of the functions inside it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from codes(one)


def is_of_tests(value: object) -> bool:
    """Whether a function or class is one of the tests' own."""
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).parent == HERE


def flat(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, list | tuple | set | frozenset):
            yield from flat(value)
        else:
            yield value


def refuse(patch: pytest.MonkeyPatch) -> None:
    """Let a quick test that starts a process or runs a net fail, and say why."""

    def refused(*arguments: object, **named: object) -> None:
        pytest.fail("a process or a net in a test that tests/quick.py takes for quick: tell it there")

    patch.setattr(subprocess.Popen, "__init__", refused)
    patch.setattr(BaseProcess, "start", refused)
    if "torch" in sys.modules:
        patch.setattr(sys.modules["torch"].nn.Module, "__call__", refused)
