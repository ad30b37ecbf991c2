"""`synth`: faces that fervid draws itself; the difficulty stands in place of a path."""

from __future__ import annotations

from collections.abc import Mapping

from fervid.datasets import Dataset, Option, layout
from fervid.datasets.ckplus import CLASSES
from fervid.errors import UsageError
from fervid.labels import EMOTIONS

DIFFICULTIES = ("posed", "medium", "spontaneous", "weak", "talking")
LABELS = {"6": CLASSES["6"], "7": EMOTIONS, "8": CLASSES["8"]}


@layout(
    "synth",
    "sequences that fervid draws: synth:posed, synth:medium, synth:spontaneous, synth:weak",
    people=Option("60", "how many people are made up", least=1),
    per_class=Option("60", "samples of each label, shared among the people", least=1),
    classes=Option("7", "6 without neutral, 7 with it, 8 with contempt, too", ("6", "7", "8")),
    seed=Option("0", "other seeds make up other people", least=0),
    faces=Option("yes", "paint faces, or make landmarks alone, which is far quicker", ("yes", "no")),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """List what shall be drawn; nothing is drawn yet."""
    if path not in DIFFICULTIES:
        raise UsageError(f"synth:{path} makes no sense: choose among {', '.join(DIFFICULTIES)}")
    from fervid import synth  # here, because it imports what lists and readers of files need not wait for

    labels = LABELS[options["classes"]]
    numbers = {name: int(options[name]) for name in ("people", "per_class", "seed")}
    return Dataset(
        labels, tuple(synth.samples(difficulty=path, labels=labels, bare=options["faces"] == "no", **numbers))
    )
