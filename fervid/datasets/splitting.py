"""Parts of a dataset for training, validation and test that share no person.

A sample whose subject is not known counts as a person of its own. Subjects are told apart by name, so that
all samples given at once should be of one dataset, or have subjects made unique.
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
from fervid.files import natural
from fervid.samples import Sample

Counts = npt.NDArray[np.float64]  # a number per label
Person = tuple[bool, str]  # whether the subject is known, and its name or else the sample's

WAYS = ("dealt", "blocks")  # of making folds of sorted people


@dataclass(frozen=True, eq=False)
class Split:
    """One way to share samples out; `validation` is empty unless the dataset has a part of its own for it."""

    name: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    validation: tuple[Sample, ...] = ()


def person(sample: Sample) -> Person:
    """Whose face a sample shows, as far as splitting goes."""
    return (True, sample.subject) if sample.subject is not None else (False, sample.name)


def _people(samples: Iterable[Sample]) -> list[Person]:
    """Everybody in the order of their names, as people sort: 2 before 10; those who are not known first."""
    return sorted({person(sample) for sample in samples}, key=lambda each: (each[0], natural(each[1])))


def folds(samples: Sequence[Sample], count: int, way: str = "dealt") -> tuple[Split, ...]:
    """Share people out over `count` folds: sorted by name, and dealt out like cards, or cut into blocks."""
    if count < 2:
        raise UsageError(f"{count} folds make no sense: ask for 2 or more")
    people = _people(samples)
    if len(people) < count:
        raise InputError(
            f"{count} folds need as many people, and there are {len(people)}; ask for fewer folds"
        )
    dealt = way == WAYS[0]
    fold = {each: at % count if dealt else at * count // len(people) for at, each in enumerate(people)}
    return tuple(
        _apart(f"fold {at + 1}", samples, {p for p in people if fold[p] == at}) for at in range(count)
    )


def leave_one_subject_out(samples: Sequence[Sample]) -> tuple[Split, ...]:
    """A split for each person, who alone is tested; every subject must be known."""
    unknown = [sample.name for sample in samples if sample.subject is None]
    if unknown:
        raise InputError(f"to leave one person out, people must be known: no subject for {some(unknown)}")
    people = _people(samples)
    if len(people) < 2:
        raise InputError(f"to leave one person out, two are needed, and there are {len(people)}")
    return tuple(_apart(f"without {each[1]}", samples, {each}) for each in people)


def official(samples: Sequence[Sample]) -> Split:
    """The dataset's own parts; without a test part of its own, the one for validation is tested."""
    parts: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    for sample in samples:
        part = None if sample.split is None else naming.part_of(sample.split)
        if part is None:
            told = "belongs to no part" if sample.split is None else f"is of part {sample.split!r}"
            raise InputError(
                f"{sample.name} {told}: the dataset's own split needs train, val or test for every sample; "
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
    """Set about `share` of the samples aside, people as a whole, each label by about the same share.

    People come in a random order, and one is set aside when that brings the counts of labels nearer to what
    is wanted; nobody is who would take the last samples of a label along.
    """
    if not 0 < share < 1:
        raise UsageError(f"a share of {share:g} makes no sense: give one between 0 and 1")
    labels = naming.ordered(sample.label for sample in samples)
    column = {label: at for at, label in enumerate(labels)}
    people = sorted({person(sample) for sample in samples})
    row = {each: at for at, each in enumerate(people)}
    counts = np.zeros((len(people), len(labels)))  # samples of each person and label
    for sample in samples:
        counts[row[person(sample)], column[sample.label]] += 1
    total = counts.sum(0)
    wanted, left, held = share * total, total.copy(), np.zeros(len(labels))
    nearest: tuple[float, int] | None = None
    chosen: set[Person] = set()
    for at in np.random.default_rng(seed).permutation(len(people)):
        if not (left > counts[at]).all():
            continue  # it would take the last of a label
        gain = _distance(held, wanted, total) - _distance(held + counts[at], wanted, total)
        if gain > 0:
            chosen.add(people[at])
            held, left = held + counts[at], left - counts[at]
        elif not chosen and (nearest is None or gain > nearest[0]):
            nearest = gain, int(at)
    if not chosen and nearest is not None:
        chosen = {people[nearest[1]]}  # the smallest step there is, where every one is too large
    if not chosen:
        raise InputError(
            f"nobody of {len(people)} can be set aside for validation without taking the last samples of a "
            "label: give more people, or validation data of its own"
        )
    split = _apart("validation", samples, chosen)
    return split.train, split.test


def check_disjoint(train: Iterable[Sample], test: Iterable[Sample]) -> None:
    """Refuse two parts that share a person, or a sample of an unknown one."""
    both = Counter({person(sample) for sample in train}) & Counter({person(sample) for sample in test})
    if both:
        names = [name for _, name in sorted(both)]
        raise InputError(
            f"in training and in test there are the same people: {some(names)}; a model that has seen them "
            "is not tested: split by person"
        )


def _distance(held: Counts, wanted: Counts, total: Counts) -> float:
    """How far the counts are from what is wanted, as shares of each label: rare ones weigh alike."""
    return float((((held - wanted) / total) ** 2).sum())


def _apart(name: str, samples: Sequence[Sample], tested: set[Person]) -> Split:
    return Split(
        name,
        train=tuple(sample for sample in samples if person(sample) not in tested),
        test=tuple(sample for sample in samples if person(sample) in tested),
    )
