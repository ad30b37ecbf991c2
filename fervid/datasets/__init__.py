"""Datasets: a reader for each layout that they are published in, named `NAME:PATH[?option=value&...]`.

A layout is one file of this package. It turns a path into samples: where the pixels are, what the face
shows, whose face it is. No pixel is looked at, but where a dataset keeps its pixels as numbers in a table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

from fervid.datasets import disk, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError, UsageError
from fervid.files import shown
from fervid.samples import OnDisk, Sample

_FILES = (  # each layout has the name of its file
    "folder",
    "csv",
    "afew",
    "ckplus",
    "ckplus48",
    "mmi",
    "oulu",
    "ravdess",
    "cremad",
    "savee",
    "fer2013",
    "ferplus",
    "rafdb",
    "affectnet",
    "portraits",
    "acted",
    "synth",
)
ALL = "all"  # the value of `split` that takes every part


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a reader found: samples, the labels that they may have, and what was strange about them."""

    labels: tuple[str, ...]  # in the order of every fervid model, whether or not samples have them
    samples: tuple[Sample, ...]
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.labels != naming.ordered(self.labels):
            raise ValueError(f"labels should be in their usual order, got {self.labels}")
        if len({sample.name for sample in self.samples}) < len(self.samples):
            raise ValueError("two samples have the same name")
        strangers = {sample.label for sample in self.samples} - set(self.labels)
        strangers |= {label for sample in self.samples for label in sample.votes} - set(self.labels)
        if strangers:
            raise ValueError(f"samples have labels that the dataset has not: {sorted(strangers)}")


@dataclass(frozen=True)
class Option:
    """What may follow the question mark: one of some words, a whole number, or any text."""

    default: str
    meaning: str
    choices: tuple[str, ...] = ()
    least: int | None = None  # the smallest whole number, where it is one

    def check(self, name: str, value: str) -> str:
        """The value as the reader wants it."""
        if self.choices:
            for choice in self.choices:
                if choice.casefold() == value.casefold():
                    return choice
            raise UsageError(f"{name}={value} makes no sense: choose among {', '.join(self.choices)}")
        if self.least is not None:
            if not value.isascii() or not value.isdigit() or int(value) < self.least:
                raise UsageError(f"{name}={value} makes no sense: give a whole number from {self.least} on")
            return str(int(value))
        if not value:
            raise UsageError(f"{name}= has no value: give one, or leave the option out")
        return value


Reader = Callable[[str, Mapping[str, str]], Dataset]


@dataclass(frozen=True)
class Layout:
    """One way in which datasets lie on the disk, and the function that reads it."""

    name: str
    description: str  # one line
    options: Mapping[str, Option]
    read: Reader


@dataclass(frozen=True)
class Spec:
    """What a person asks for: a layout, where it is, and the options that were given."""

    name: str
    path: str
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        given = "&".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}:{self.path}" + (f"?{given}" if given else "")


_LAYOUTS: dict[str, Layout] = {}


def layout(name: str, description: str, **options: Option) -> Callable[[Reader], Reader]:
    """Register a reader under a name."""

    def register(read: Reader) -> Reader:
        if name in _LAYOUTS:
            raise ValueError(f"two layouts are called {name!r}")
        _LAYOUTS[name] = Layout(name, description, options, read)
        return read

    return register


def layouts() -> tuple[Layout, ...]:
    """Every layout there is, with its description and options."""
    for file in _FILES:
        import_module(f"fervid.datasets.{file}")
    return tuple(_LAYOUTS[name] for name in dict.fromkeys((*_FILES, *_LAYOUTS)))


def names() -> tuple[str, ...]:
    """The names of all layouts."""
    return tuple(each.name for each in layouts())


def parse(spec: str) -> Spec:
    """Take `NAME:PATH[?option=value&option=value]` apart; the longest path that exists is the path."""
    name, colon, rest = spec.partition(":")
    if not colon:
        raise UsageError(
            f"{shown(spec)} does not say how to read it: write NAME:PATH, for example "
            f"folder:{shown(spec)}; NAME is one of {', '.join(names())}"
        )
    wanted = _named(name)
    path, _, query = rest.partition("?")
    for longer, after in _cuts(rest):
        if longer and os.path.exists(disk.place(longer)):
            path, query = longer, after
            break
    if not path:
        raise UsageError(f"{shown(spec)} names no path: write {wanted.name}:PATH")
    return Spec(wanted.name, path, _options(wanted, query))


def read(spec: str) -> Dataset:
    """Read the dataset that a spec names; what is there and cannot be used is left out, with a remark."""
    asked = parse(spec)
    wanted = _named(asked.name)
    options = {name: option.default for name, option in wanted.options.items()} | dict(asked.options)
    found = wanted.read(asked.path, options)
    if "split" in options and options["split"] != ALL:
        found = _of_split(found, options["split"], asked.path)
    if not found.samples:
        told = f": {'; '.join(found.remarks)}" if found.remarks else ""
        raise InputError(f"{shown(asked.path)} holds no sample that can be used{told}")
    return _whole(found, asked.path)


def _named(name: str) -> Layout:
    for each in layouts():
        if each.name == name.casefold():
            return each
    raise UsageError(f"unknown dataset layout {name!r}: choose among {', '.join(names())}")


def _cuts(text: str) -> Iterator[tuple[str, str]]:
    """Every way to cut the text into a path and what follows a question mark, the longest path first."""
    yield text, ""
    at = text.rfind("?")
    while at >= 0:
        yield text[:at], text[at + 1 :]
        at = text.rfind("?", 0, at)


def _options(wanted: Layout, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for piece in query.split("&") if query else ():
        name, equals, value = piece.partition("=")
        if name not in wanted.options:
            there_are = ", ".join(wanted.options) or "none"
            raise UsageError(f"{wanted.name} has no option {name!r}; there are: {there_are}")
        if not equals:
            raise UsageError(f"option {name} of {wanted.name} needs a value: write {name}=...")
        if name in options:
            raise UsageError(f"option {name} of {wanted.name} is given twice: give it once")
        options[name] = wanted.options[name].check(name, value)
    return options


def _of_split(found: Dataset, split: str, path: str) -> Dataset:
    kept = tuple(s for s in found.samples if s.split is not None and s.split.casefold() == split.casefold())
    if not kept:
        there_are = ", ".join(sorted({s.split for s in found.samples if s.split is not None})) or "none"
        raise InputError(f"{shown(path)} has no part {split!r}; its parts are: {shown(there_are)}")
    return replace(found, samples=kept)


def _whole(found: Dataset, root: str) -> Dataset:
    """The same without samples whose files are missing, empty or pointers to what was never fetched."""
    remarks, kept = Remarks(), []
    faults: dict[str, str | None] = {}
    for sample in found.samples:
        path = sample.pixels.path if isinstance(sample.pixels, OnDisk) else ""
        if path not in faults:
            faults[path] = disk.fault(Path(path)) if path else None
        fault = faults[path]
        if fault is None:
            kept.append(sample)
        else:
            remarks.count(f"left out, {fault}", sample.name)
    told = remarks.told()
    if not kept:
        raise InputError(
            f"none of the {len(found.samples)} samples of {shown(root)} can be used: {'; '.join(told)}"
        )
    return replace(found, samples=tuple(kept), remarks=found.remarks + told)
