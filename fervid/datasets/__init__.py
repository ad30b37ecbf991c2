"""Datasets: a reader for each published layout, chosen by `NAME:PATH[?option=value&...]`.

Each layout is a file of this package, with a function that turns a path into samples. It reads pixels only if
they are numbers in a table; otherwise a sample has the path of its file.
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
from fervid.files import display_name
from fervid.types.samples import OnDisk, Sample

_FILES = (  # names of the files, and of their layouts
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
    "kdef",
    "jaffe",
    "rafd",
    "fer2013",
    "ferplus",
    "rafdb",
    "expw",
    "sfew",
    "affectnet",
    "portraits",
    "acted",
    "synth",
)
DIGITS = 18  # of a number, at most
ALL = "all"  # the value of an option that selects everything


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset as read: its samples, their possible labels, and remarks on problems."""

    labels: tuple[str, ...]  # in the usual order, with or without samples
    samples: tuple[Sample, ...]
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.labels != naming.ordered(self.labels):
            raise ValueError(f"labels should be in their usual order, got {self.labels}")
        if len({sample.name for sample in self.samples}) < len(self.samples):
            raise ValueError("two samples have the same name")
        unknown = {sample.label for sample in self.samples} - set(self.labels)
        unknown |= {label for sample in self.samples for label in sample.votes} - set(self.labels)
        if unknown:
            raise ValueError(f"samples have labels that the dataset does not have: {sorted(unknown)}")


@dataclass(frozen=True)
class Option:
    """An option of a layout: one of some words, a whole number, or any text."""

    default: str
    meaning: str
    choices: tuple[str, ...] = ()
    least: int | None = None  # the smallest value, for a whole number
    most: int = 100_000  # the largest one

    def check(self, name: str, value: str) -> str:
        """Return a valid value, with the case of the choices; raise UsageError for others."""
        if self.choices:
            for choice in self.choices:
                if choice.casefold() == value.casefold():
                    return choice
            raise UsageError(f"{name}={value} is not valid: choose one of {', '.join(self.choices)}")
        if self.least is not None:
            is_number = value.isascii() and value.isdigit() and len(value) <= DIGITS
            if not is_number or not self.least <= int(value) <= self.most:
                wanted = f"{self.least} or more and at most {self.most}"
                raise UsageError(f"{name}={value:.40} is not valid: give a whole number, {wanted}")
            return str(int(value))
        if not value:
            raise UsageError(f"{name}= has no value: give a value, or omit the option")
        return value


Reader = Callable[[str, Mapping[str, str]], Dataset]


@dataclass(frozen=True)
class Layout:
    """A layout of datasets on disk, and the function that reads it."""

    name: str
    description: str  # one line
    options: Mapping[str, Option]
    read: Reader


@dataclass(frozen=True)
class Spec:
    """A dataset that the user names: its layout, its path, and options."""

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
            raise ValueError(f"two layouts have the name {name!r}")
        _LAYOUTS[name] = Layout(name, description, options, read)
        return read

    return register


def layouts() -> tuple[Layout, ...]:
    """Return all layouts."""
    for file in _FILES:
        import_module(f"fervid.datasets.{file}")
    return tuple(_LAYOUTS[name] for name in dict.fromkeys((*_FILES, *_LAYOUTS)))


def names() -> tuple[str, ...]:
    """Return the names of all layouts."""
    return tuple(layout.name for layout in layouts())


def parse(spec: str) -> Spec:
    """Split `NAME:PATH[?option=value&option=value]`; PATH is the longest path that exists."""
    name, colon, rest = spec.partition(":")
    if not colon:
        raise UsageError(
            f"{display_name(spec)} has no layout: write NAME:PATH, for example "
            f"folder:{display_name(spec)}; NAME is one of {', '.join(names())}"
        )
    wanted = _named(name)
    path, _, query = rest.partition("?")
    for longer, after in _cuts(rest):
        if longer and os.path.exists(disk.expand(longer)):
            path, query = longer, after
            break
    if not path:
        raise UsageError(f"{display_name(spec)} names no path: write {wanted.name}:PATH")
    return Spec(wanted.name, path, _options(wanted, query))


def read(spec: str) -> Dataset:
    """Read the dataset that a spec names; leave out samples that cannot be read, with a remark."""
    parsed = parse(spec)
    wanted = _named(parsed.name)
    options = {name: option.default for name, option in wanted.options.items()} | dict(parsed.options)
    dataset = wanted.read(parsed.path, options)
    if "split" in options and options["split"] != ALL:
        dataset = _of_split(dataset, options["split"], parsed.path)
    if not dataset.samples:
        remarks = f": {'; '.join(dataset.remarks)}" if dataset.remarks else ""
        raise InputError(f"{display_name(parsed.path)} has no sample that can be used{remarks}")
    return _whole(dataset, parsed.path)


def _named(name: str) -> Layout:
    for layout in layouts():
        if layout.name == name.casefold():
            return layout
    raise UsageError(f"unknown dataset layout {name!r}: choose one of {', '.join(names())}")


def _cuts(text: str) -> Iterator[tuple[str, str]]:
    """Yield every split of the text at a question mark, the longest path first."""
    yield text, ""
    mark = text.rfind("?")
    while mark >= 0:
        yield text[:mark], text[mark + 1 :]
        mark = text.rfind("?", 0, mark)


def _options(wanted: Layout, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for piece in query.split("&") if query else ():
        name, equals, value = piece.partition("=")
        if name not in wanted.options:
            have = ", ".join(wanted.options) or "none"
            raise UsageError(f"{wanted.name} has no option {name!r}; its options are: {have}")
        if not equals:
            raise UsageError(f"option {name} of {wanted.name} needs a value: write {name}=...")
        if name in options:
            raise UsageError(f"option {name} of {wanted.name} is given twice: give it once")
        options[name] = wanted.options[name].check(name, value)
    return options


def _of_split(dataset: Dataset, split: str, path: str) -> Dataset:
    kept = tuple(s for s in dataset.samples if s.split is not None and s.split.casefold() == split.casefold())
    if not kept:
        have = ", ".join(sorted({s.split for s in dataset.samples if s.split is not None})) or "none"
        raise InputError(f"{display_name(path)} has no part {split!r}; its parts are: {display_name(have)}")
    return replace(dataset, samples=kept)


def _whole(dataset: Dataset, root: str) -> Dataset:
    """Return the dataset without samples that have a missing or empty file, or a Git LFS pointer."""
    remarks, kept = Remarks(), []
    faults: dict[str, str | None] = {}
    for sample in dataset.samples:
        path = sample.pixels.path if isinstance(sample.pixels, OnDisk) else ""
        if path not in faults:
            faults[path] = disk.undecodable_reason(Path(path)) if path else None
        fault = faults[path]
        if fault is None:
            kept.append(sample)
        else:
            remarks.count(f"left out, {fault}", sample.name)
    texts = remarks.texts()
    if not kept:
        raise InputError(
            f"none of the {len(dataset.samples)} samples of {display_name(root)} can be used: "
            f"{'; '.join(texts)}"
        )
    return replace(dataset, samples=tuple(kept), remarks=dataset.remarks + texts)
