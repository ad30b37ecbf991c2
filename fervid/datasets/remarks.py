"""What was strange about a dataset, gathered by kind, and told once with a count and a few names."""

from __future__ import annotations

from fervid.files import shown

NAMED = 3  # names that a remark shows


class Remarks:
    """Grows while a reader reads."""

    def __init__(self) -> None:
        self._plain: list[str] = []
        self._counts: dict[str, list[str]] = {}

    def say(self, text: str) -> None:
        """A remark that stands once."""
        self._plain.append(text)

    def count(self, kind: str, name: str) -> None:
        """One more of its kind."""
        self._counts.setdefault(kind, []).append(shown(name))

    def told(self) -> tuple[str, ...]:
        """All of it, in sentences for people."""
        return *self._plain, *(f"{kind}: {some(names)}" for kind, names in self._counts.items())


def some(names: list[str]) -> str:
    """How many there are, and the first few of them."""
    more = ", ..." if len(names) > NAMED else ""
    return f"{len(names):,} ({', '.join(names[:NAMED])}{more})"
