"""`synth`: faces that fervid draws itself; the path is the difficulty."""

from __future__ import annotations

from collections.abc import Mapping

from fervid.datasets import DIGITS, Dataset, Option, layout
from fervid.datasets.ckplus import CLASSES
from fervid.errors import UsageError
from fervid.labels import EMOTIONS

DIFFICULTIES = ("posed", "medium", "spontaneous", "weak", "talking")
LABELS = {"6": CLASSES["6"], "7": EMOTIONS, "8": CLASSES["8"]}


@layout(
    "synth",
    "sequences that fervid draws: synth:posed, synth:medium, synth:spontaneous, synth:weak",
    people=Option("60", "number of drawn people", least=1),
    per_class=Option("60", "samples of each label, shared among the people", least=1),
    classes=Option("7", "6 without neutral, 7 with it, 8 also with contempt", ("6", "7", "8")),
    seed=Option("0", "seed of the people and their motion", least=0, most=10**DIGITS),
    faces=Option("yes", "draw faces, or make only landmarks, which is much faster", ("yes", "no")),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """List the samples; they are drawn later."""
    if path not in DIFFICULTIES:
        raise UsageError(f"synth:{path} is not valid: choose one of {', '.join(DIFFICULTIES)}")
    from fervid import synth  # here, because other layouts do not need its imports

    labels = LABELS[options["classes"]]
    numbers = {name: int(options[name]) for name in ("people", "per_class", "seed")}
    return Dataset(
        labels, tuple(synth.samples(difficulty=path, labels=labels, bare=options["faces"] == "no", **numbers))
    )
