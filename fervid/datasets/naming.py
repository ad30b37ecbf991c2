"""Names of emotions and parts in datasets, and the order of fervid's labels."""

from __future__ import annotations

from collections.abc import Iterable

from fervid.labels import CONTEMPT, EMOTIONS, NEUTRAL, WORDS
from fervid.labels import label_of as label_of

ORDER = (*EMOTIONS, CONTEMPT)
BASIC = tuple(label for label in EMOTIONS if label != NEUTRAL)  # the six

FULL_WORDS = ", ".join(word for words in WORDS.values() for word in words if len(word) > 3 or word == "sad")

PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "publictest": "val",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}


def part_of(word: str) -> str | None:
    """Return the part that a word means: train, val or test; None for other words."""
    return PARTS.get(word.strip().casefold())


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the labels in the usual order, each once."""
    given = set(labels)
    if given - set(ORDER):
        raise ValueError(f"not labels of fervid: {sorted(given - set(ORDER))}")
    return tuple(label for label in ORDER if label in given)
