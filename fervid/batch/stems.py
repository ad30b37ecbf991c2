"""The paths of outputs: no two inputs share one, in any format and on any file system."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from itertools import permutations

from fervid.batch.work import FORMATS
from fervid.files import shorten

STATE = ".fervid-batch"  # the folder of a batch's state, in the folder of results
RESERVED = (
    "manifest",
    "emotions",
    "predictions",
    "accuracy",
    STATE,
)  # other files in the folder
SUFFIXES = tuple({suffix.casefold() for suffix in FORMATS.values()})
# The part of a suffix before another suffix: a.mp4.openface.csv may be an output of a.mp4 or a.mp4.openface.
MIDDLES = tuple(
    {long.removesuffix(short) for long, short in permutations(SUFFIXES, 2) if long.endswith(short)}
)


class Stems:
    """The paths of outputs without the suffix of the format; each path is given out once."""

    def __init__(self) -> None:
        self._stems = set(RESERVED)
        self._folders: dict[str, str] = {}  # by the path that it would have if all were free
        self._folded: set[str] = set()  # the folders
        self._numbers: dict[str, int] = {}  # the next number to try, by path

    def take(self, parts: Sequence[str]) -> str:
        """Return the stem for an input with this path; names that are not free get a number."""
        folder = ""
        for part in parts[:-1]:
            wanted = f"{folder}{shorten(part)}"
            if wanted not in self._folders:
                self._folders[wanted] = self._free(wanted, self._is_file)
                self._folded.add(_folded(self._folders[wanted]))
            folder = f"{self._folders[wanted]}/"
        stem = self._free(f"{folder}{shorten(parts[-1])}", self._is_taken)
        self._stems.add(_folded(stem))
        return stem

    def _free(self, path: str, is_taken: Callable[[str], bool]) -> str:
        if not is_taken(folded := _folded(path)):
            return path
        number = self._numbers.get(folded, 2)
        while is_taken(f"{folded}.{number}"):
            number += 1
        self._numbers[folded] = number + 1
        return f"{path}.{number}"

    def _is_file(self, path: str) -> bool:
        """Return whether a folded path may be a file, so that no folder can be there."""
        return path == STATE or any(
            path.endswith(suffix) and path.removesuffix(suffix) in self._stems for suffix in SUFFIXES
        )

    def _is_taken(self, stem: str) -> bool:
        """Return whether some output of a folded stem may be a folder or the output of another stem."""
        return (
            stem in self._stems
            or any(stem + middle in self._stems for middle in MIDDLES)
            or any(stem.endswith(middle) and stem.removesuffix(middle) in self._stems for middle in MIDDLES)
            or any(stem + suffix in self._folded for suffix in SUFFIXES)
        )


def _folded(path: str) -> str:
    """Return a key that is equal for paths that are one file on some system: case and accents are ignored."""
    return unicodedata.normalize("NFC", path).casefold()
