"""Annotations made by hand: what ELAN, Praat or a table hold, as tiers of stretches of text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path

from fervid.errors import InputError, UsageError

READERS = {
    ".eaf": "fervid.annotations.eaf",
    ".textgrid": "fervid.annotations.textgrid",
    ".csv": "fervid.annotations.table",
    ".tsv": "fervid.annotations.table",
}

LONGEST = 1e9  # seconds: no time is later


@dataclass(frozen=True)
class Annotation:
    """A stretch [start, end) in seconds, and what was written of it."""

    start: Fraction
    end: Fraction
    text: str


@dataclass(frozen=True)
class Tier:
    """A row of annotations: of whom, and by whom, where the file tells."""

    name: str
    annotations: tuple[Annotation, ...]  # by start
    who: str = ""
    annotator: str = ""


@dataclass(frozen=True)
class Sheet:
    """One file of annotations."""

    path: str
    tiers: tuple[Tier, ...]
    is_on_player_clock: bool  # else its times count from the video's first frame


def read(path: str) -> Sheet:
    """Read a file of annotations by its suffix."""
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        raise UsageError(f"{path} is no file of annotations: give one of {', '.join(READERS)}")
    reader: Callable[[bytes, str], Sheet] = import_module(READERS[suffix]).read
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return reader(data, path)


def seconds(text: str) -> Fraction:
    """A decimal number of seconds, exactly as it is written."""
    value = float(text)  # which has no exponents that an exact number could drown in
    if not abs(value) < LONGEST:
        raise ValueError(f"{text} is no time")
    return Fraction(str(value))


def ordered(annotations: list[Annotation]) -> tuple[Annotation, ...]:
    """The annotations by start."""
    return tuple(sorted(annotations, key=lambda each: (each.start, each.end)))
