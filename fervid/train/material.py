"""What a run learns from and is judged by: samples of datasets, in two parts that share no face."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fervid import datasets
from fervid.datasets import splitting
from fervid.errors import InputError, UsageError
from fervid.labels import CONTEMPT, EMOTIONS
from fervid.types import Sample

ORDER = (*EMOTIONS, CONTEMPT)


@dataclass(frozen=True, eq=False)
class Material:
    """Samples with the labels that a model of them has."""

    labels: tuple[str, ...]
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    remarks: tuple[str, ...] = ()


def gather(
    data: Sequence[str], validation: Sequence[str], labels: Sequence[str], held_out: float, seed: int
) -> Material:
    """Read every dataset; without validation data, hold a part of the people out."""
    train, remarks = read(data)
    judges, more = read(validation)
    return arrange(train, judges, labels, held_out, seed, (*remarks, *more))


def arrange(
    train: Sequence[Sample],
    judges: Sequence[Sample],
    labels: Sequence[str],
    held_out: float,
    seed: int,
    remarks: tuple[str, ...] = (),
) -> Material:
    """Samples to learn from and to be judged by; of the former, where there are none of the latter."""
    if judges:
        splitting.check_disjoint(train, judges)
    elif held_out > 0:
        train, judges = splitting.hold_out(train, held_out, seed)
    else:
        raise UsageError("there is nothing to judge by: give --validation, or a --held-out above 0")
    return Material(_labels(train, judges, labels), tuple(train), tuple(judges), remarks)


def _labels(train: Sequence[Sample], judges: Sequence[Sample], wanted: Sequence[str]) -> tuple[str, ...]:
    """The labels to learn, in their usual order: those asked for, or all that occur."""
    counts = Counter(sample.label for sample in train)
    taken = tuple(label for label in ORDER if label in (wanted or counts))
    strangers = Counter(sample.label for sample in (*train, *judges) if sample.label not in taken)
    if strangers:
        told = ", ".join(f"{label} ({count})" for label, count in strangers.items())
        raise InputError(
            f"there are samples with labels outside of {', '.join(taken)}: {told}; leave them out "
            "of the data, or name them in --labels"
        )
    missing = [label for label in wanted if not counts[label]]
    if missing:
        raise InputError(
            f"there is no sample of {', '.join(missing)} to learn from; add data, or leave it out of --labels"
        )
    return taken


def read(specs: Sequence[str]) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """The samples of several datasets, with names and subjects that tell them apart."""
    samples: list[Sample] = []
    remarks: list[str] = []
    taken: set[str] = set()
    for spec in specs:
        asked, found = datasets.parse(spec), datasets.read(spec)
        # The same folder read in two ways holds the same people.
        own = f"{asked.name}:{Path(asked.path).name or asked.path}"
        for sample in found.samples:
            name = f"{own}/{sample.name}"
            if name in taken:
                raise InputError(f"{sample.name} of {spec} is there twice: give each part of a dataset once")
            taken.add(name)
            subject = None if sample.subject is None else f"{own}/{sample.subject}"
            samples.append(replace(sample, name=name, subject=subject))
        remarks += [f"{spec}: {remark}" for remark in found.remarks]
    return tuple(samples), tuple(remarks)
