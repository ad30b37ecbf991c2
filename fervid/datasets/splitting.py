"""Split a dataset into parts for training, validation and test that share no person.

A sample without a subject counts as a different person. Persons are identified by name, so samples of several
datasets need unique subjects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fervid.datasets import naming
from fervid.datasets.remarks import some
from fervid.errors import InputError, UsageError
from fervid.files import natural_key
from fervid.types.samples import Sample

Counts = npt.NDArray[np.float64]  # a number per label
Person = tuple[bool, str]  # (True, subject) or (False, name of the sample)

WAYS = ("dealt", "blocks")  # of dividing sorted people into folds


@dataclass(frozen=True, eq=False)
class Split:
    """Samples for training, test and validation; the last is empty unless the dataset has such a part."""

    name: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    validation: tuple[Sample, ...] = ()


def person(sample: Sample) -> Person:
    """Return the person of a sample."""
    return (True, sample.subject) if sample.subject is not None else (False, sample.name)


def _people(samples: Iterable[Sample]) -> list[Person]:
    """Return all persons in natural order of their names, 2 before 10; unknown ones first."""
    return sorted({person(sample) for sample in samples}, key=lambda who: (who[0], natural_key(who[1])))


def folds(samples: Sequence[Sample], count: int, way: str = "dealt") -> tuple[Split, ...]:
    """Divide people, sorted by name, into `count` folds: dealt like cards, or in blocks."""
    if count < 2:
        raise UsageError(f"{count} folds are not valid: give 2 or more")
    people = _people(samples)
    if len(people) < count:
        raise InputError(
            f"{count} folds need that many people, and there are {len(people)}: give fewer folds"
        )
    dealt = way == WAYS[0]
    fold = {who: i % count if dealt else i * count // len(people) for i, who in enumerate(people)}
    return tuple(
        _split(f"fold {i + 1}", samples, {who for who in people if fold[who] == i}) for i in range(count)
    )


def leave_one_subject_out(samples: Sequence[Sample]) -> tuple[Split, ...]:
    """Return a split for each person, who is the test; every subject must be known."""
    unknown = [sample.name for sample in samples if sample.subject is None]
    if unknown:
        raise InputError(f"to leave one person out, every sample needs a subject: none for {some(unknown)}")
    people = _people(samples)
    if len(people) < 2:
        raise InputError(f"to leave one person out, two people or more are needed, not {len(people)}")
    return tuple(_split(f"without {who[1]}", samples, {who}) for who in people)


def official(samples: Sequence[Sample]) -> Split:
    """Return the dataset's own split; without a test part, its validation part is the test."""
    parts: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    for sample in samples:
        part = None if sample.split is None else naming.part_of(sample.split)
        if part is None:
            has = "has no part" if sample.split is None else f"has the part {sample.split!r}"
            raise InputError(
                f"{sample.name} {has}: the dataset's own split needs train, val or test for every sample; "
                "choose folds by person instead"
            )
        parts[part].append(sample)
    train, validation, test = (tuple(parts[part]) for part in ("train", "val", "test"))
    if not test:
        validation, test = (), validation
    if not train or not test:
        missing = "train" if not train else "test"
        raise InputError(f"the dataset has no part to {missing}: choose folds by person instead")
    return Split("official", train, test, validation)


def hold_out(
    samples: Sequence[Sample], share: float, seed: int
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Hold out about `share` of the samples, and of each label, by whole persons.

    People come in random order. A person is held out if that brings the counts of labels nearer to the share
    and leaves samples of every label.
    """
    if not 0 < share < 1:
        raise UsageError(f"a share of {share:g} is not valid: give one between 0 and 1")
    labels = naming.ordered(sample.label for sample in samples)
    column = {label: i for i, label in enumerate(labels)}
    people = sorted({person(sample) for sample in samples})
    row = {who: i for i, who in enumerate(people)}
    counts = np.zeros((len(people), len(labels)))  # samples of each person and label
    for sample in samples:
        counts[row[person(sample)], column[sample.label]] += 1
    total = counts.sum(0)
    wanted, left, held = share * total, total.copy(), np.zeros(len(labels))
    nearest: tuple[float, int] | None = None
    chosen: set[Person] = set()
    for i in np.random.default_rng(seed).permutation(len(people)):
        if not (left > counts[i]).all():
            continue  # no sample of some label would be left
        gain = _distance(held, wanted, total) - _distance(held + counts[i], wanted, total)
        if gain > 0:
            chosen.add(people[i])
            held, left = held + counts[i], left - counts[i]
        elif not chosen and (nearest is None or gain > nearest[0]):
            nearest = gain, int(i)
    if not chosen and nearest is not None:
        chosen = {people[nearest[1]]}  # every step is too large: take the smallest
    if not chosen:
        raise InputError(
            f"none of {len(people)} people can be held out: each has the last samples of a label; "
            "give more people, or separate validation data"
        )
    split = _split("validation", samples, chosen)
    return split.train, split.test


def check_disjoint(train: Iterable[Sample], test: Iterable[Sample]) -> None:
    """Raise InputError if two parts share a person, or a sample of an unknown person."""
    both = Counter({person(sample) for sample in train}) & Counter({person(sample) for sample in test})
    if both:
        names = [name for _, name in sorted(both)]
        raise InputError(
            f"training and test have the same people: {some(names)}; test with people that the model "
            "has not seen: split by person"
        )


def _distance(held: Counts, wanted: Counts, total: Counts) -> float:
    """Return the squared distance of counts from the wanted ones, as shares of each label."""
    return float((((held - wanted) / total) ** 2).sum())


def _split(name: str, samples: Sequence[Sample], tested: set[Person]) -> Split:
    return Split(
        name,
        train=tuple(sample for sample in samples if person(sample) not in tested),
        test=tuple(sample for sample in samples if person(sample) in tested),
    )
