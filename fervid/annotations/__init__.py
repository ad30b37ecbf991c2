"""Annotations made by hand, read from ELAN, Praat or tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path

from fervid.errors import InputError, UsageError
from fervid.files import open_regular, read_limited

READERS = {
    ".eaf": "fervid.annotations.eaf",
    ".textgrid": "fervid.annotations.textgrid",
    ".csv": "fervid.annotations.table",
    ".tsv": "fervid.annotations.table",
}

MOST_BYTES = 1 << 28  # of a file
LONGEST = 1e9  # the latest time, in seconds


@dataclass(frozen=True)
class Annotation:
    """A text about the time [start, end) in seconds."""

    start: Fraction
    end: Fraction
    text: str


@dataclass(frozen=True)
class Tier:
    """A named row of annotations, with the person shown and the annotator if the file names them."""

    name: str
    annotations: tuple[Annotation, ...]  # by start
    who: str = ""
    annotator: str = ""


@dataclass(frozen=True)
class Sheet:
    """A file of annotations."""

    path: str
    tiers: tuple[Tier, ...]
    is_on_player_clock: bool  # else times are from the video's first frame


def read(path: str) -> Sheet:
    """Read a file of annotations by its suffix."""
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        raise UsageError(f"{path} is not a file of annotations: give one of {', '.join(READERS)}")
    reader: Callable[[bytes, str], Sheet] = import_module(READERS[suffix]).read
    try:
        with open_regular(path) as stream:
            data = read_limited(stream, MOST_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return reader(data, path)


def seconds(text: str) -> Fraction:
    """Return a decimal number of seconds, exactly as written."""
    value = float(text)  # checked first: a Fraction of a huge exponent would take forever
    if not abs(value) < LONGEST:
        raise ValueError(f"{text[:40]} is not a time")
    return Fraction(str(value))


def ordered(annotations: list[Annotation]) -> tuple[Annotation, ...]:
    """Return the annotations by start."""
    return tuple(sorted(annotations, key=lambda annotation: (annotation.start, annotation.end)))
