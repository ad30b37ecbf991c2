"""Remarks on a dataset: problems by kind, each with a count and a few names."""

from __future__ import annotations

from fervid.files import display_name

NAMED = 3  # names in a remark


class Remarks:
    """Collects remarks while a dataset is read."""

    def __init__(self) -> None:
        self._plain: list[str] = []
        self._counts: dict[str, list[str]] = {}

    def add(self, text: str) -> None:
        """Add a remark."""
        self._plain.append(text)

    def add_without_people(self, title: str, noun: str) -> None:
        """Add the remark that a dataset does not identify people."""
        self.add(
            f"{title} does not identify people: fervid's own splits count each {noun} as a different person"
        )

    def count(self, kind: str, name: str) -> None:
        """Add a name to a kind of problem."""
        self._counts.setdefault(kind, []).append(display_name(name))

    def texts(self) -> tuple[str, ...]:
        """Return all remarks as text."""
        return *self._plain, *(f"{kind}: {some(names)}" for kind, names in self._counts.items())


def some(names: list[str]) -> str:
    """Return the number of names and the first few."""
    more = ", ..." if len(names) > NAMED else ""
    return f"{len(names):,} ({', '.join(names[:NAMED])}{more})"
