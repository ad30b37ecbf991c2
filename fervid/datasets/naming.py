"""Words for emotions: what datasets and people call them, and the order that fervid keeps them in."""

from __future__ import annotations

from collections.abc import Iterable

from fervid.labels import CONTEMPT, EMOTIONS, NEUTRAL, WORDS
from fervid.labels import LABELS as LABELS
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
    """Which part a dataset's own word for it means: train, val or test."""
    return PARTS.get(word.strip().casefold())


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
    """The labels in the order that holds everywhere, each once."""
    given = set(labels)
    strangers = given - set(ORDER)
    if strangers:
        raise ValueError(f"no labels of fervid's: {sorted(strangers)}")
    return tuple(label for label in ORDER if label in given)
