"""What a run learns from and is judged by: samples of datasets, in two parts that share no face."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fervid import datasets
from fervid.datasets import splitting
from fervid.errors import InputError, UsageError
from fervid.labels import CONTEMPT, EMOTIONS
from fervid.samples import Drawn, OnDisk, Picture, Sample

ORDER = (*EMOTIONS, CONTEMPT)


@dataclass(frozen=True, eq=False)
class Material:
    """Samples with the labels that a model of them has."""

    labels: tuple[str, ...]
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    remarks: tuple[str, ...] = ()


def gather(
    data: Sequence[str],
    validation: Sequence[str],
    labels: Sequence[str],
    held_out: float,
    seed: int,
    complete: bool = True,
) -> Material:
    """Read every dataset; without validation data, hold a part of the people out."""
    roots: dict[str, str] = {}
    train, remarks = read(data, roots)
    judges, more = read(validation, roots)
    return arrange(train, judges, labels, held_out, seed, (*remarks, *more), complete)


def arrange(
    train: Sequence[Sample],
    judges: Sequence[Sample],
    labels: Sequence[str],
    held_out: float,
    seed: int,
    remarks: tuple[str, ...] = (),
    complete: bool = True,
) -> Material:
    """Samples to learn from and to be judged by; of the former, where there are none of the latter.

    `complete` asks that there be something to learn every label from.
    """
    if judges:
        splitting.check_disjoint(train, judges)
        check_apart(train, judges)
    elif held_out > 0:
        train, judges = splitting.hold_out(train, held_out, seed)
    else:
        raise UsageError("there is nothing to judge by: give --validation, or a --held-out above 0")
    return Material(_labels(train, judges, labels, complete), tuple(train), tuple(judges), remarks)


def _labels(
    train: Sequence[Sample], judges: Sequence[Sample], wanted: Sequence[str], complete: bool
) -> tuple[str, ...]:
    """The labels to learn, in their usual order: those asked for, or all that occur."""
    counts = Counter(sample.label for sample in train)
    there = counts if complete else counts + Counter(sample.label for sample in judges)
    taken = tuple(label for label in ORDER if label in (wanted or there))
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


def digest(material: Material) -> str:
    """A name for just these samples in just these parts."""
    rows = [
        row
        for part in (material.train, material.validation)
        for row in (
            *([one.name, one.label, one.subject, sorted(one.votes.items())] for one in part),
            ["", "", None, []],  # the end of the part
        )
    ]
    return hashlib.sha256(json.dumps([material.labels, rows]).encode()).hexdigest()


def check_apart(train: Sequence[Sample], judges: Sequence[Sample]) -> None:
    """Refuse a file that is learnt from and judged by, under whatever names."""
    learnt = {_pixels(sample): sample.name for sample in train}
    for sample in judges:
        pixels = _pixels(sample)
        if pixels is not None and pixels in learnt:
            raise InputError(
                f"{sample.name} is to be judged by, and is {learnt[pixels]} that is learnt from: "
                "a model that has seen it is not tested"
            )


def _pixels(sample: Sample) -> tuple[object, ...] | None:
    """Return what makes two samples the same pixels, however a picture is set in motion; None if drawn."""
    match sample.pixels:
        case Picture(luma):
            return (hashlib.sha256(luma.tobytes()).digest(),)
        case OnDisk() as file:
            return (os.path.realpath(file.path), file.start, file.end, file.frames, file.share, file.box)
        case Drawn():
            return None


def read(
    specs: Sequence[str], roots: dict[str, str] | None = None
) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """The samples of several datasets, with names and subjects that tell them apart.

    `roots` holds the names that were given to folders so far: one folder, read in two ways, holds the same
    people.
    """
    roots = {} if roots is None else roots
    samples: list[Sample] = []
    remarks: list[str] = []
    taken: set[str] = set()
    for spec in specs:
        asked, found = datasets.parse(spec), datasets.read(spec)
        path = Path(asked.path)
        folder = os.path.realpath(path.parent if path.is_file() else path) if path.exists() else asked.path
        if folder not in roots:
            last = Path(folder).name or "data"
            same = sum(name == last or name.startswith(f"{last}#") for name in roots.values())
            roots[folder] = f"{last}#{same + 1}" if same else last
        own = (
            f"{asked.name}:{roots[folder]}/{path.name}" if path.is_file() else f"{asked.name}:{roots[folder]}"
        )
        for sample in found.samples:
            name = f"{own}/{sample.name}"
            if name in taken:
                raise InputError(f"{sample.name} of {spec} is there twice: give each part of a dataset once")
            taken.add(name)
            person = sample.subject
            # Who is drawn is the same person at every difficulty.
            if person is not None and not isinstance(sample.pixels, Drawn):
                person = f"{roots[folder]}/{person}"
            samples.append(replace(sample, name=name, subject=person, origin=own))
        remarks += [f"{spec}: {remark}" for remark in found.remarks]
    return tuple(samples), tuple(remarks)
