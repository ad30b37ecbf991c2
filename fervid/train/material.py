"""The training and validation samples of a run, which share no people and no files."""

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
from fervid.types.samples import Drawn, OnDisk, Picture, Sample

ORDER = (*EMOTIONS, CONTEMPT)


@dataclass(frozen=True, eq=False)
class Material:
    """Training and validation samples, and the labels of a model trained on them."""

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
    """Read every dataset; without validation data, hold out a share of the people."""
    roots: dict[str, str] = {}
    train, remarks = read(data, roots)
    validating, more = read(validation, roots)
    return arrange(train, validating, labels, held_out, seed, (*remarks, *more), complete)


def arrange(
    train: Sequence[Sample],
    validation: Sequence[Sample],
    labels: Sequence[str],
    held_out: float,
    seed: int,
    remarks: tuple[str, ...] = (),
    complete: bool = True,
) -> Material:
    """Check training and validation samples; without validation samples, hold out a share of the people.

    With `complete`, every label needs a training sample.
    """
    if validation:
        splitting.check_disjoint(train, validation)
        check_no_shared_files(train, validation)
    elif held_out > 0:
        train, validation = splitting.hold_out(train, held_out, seed)
    else:
        raise UsageError("there is no validation set: give --validation, or a --held-out above 0")
    return Material(_labels(train, validation, labels, complete), tuple(train), tuple(validation), remarks)


def _labels(
    train: Sequence[Sample], validation: Sequence[Sample], wanted: Sequence[str], complete: bool
) -> tuple[str, ...]:
    """Return the labels to learn, in their usual order: those asked for, or all that occur."""
    counts = Counter(sample.label for sample in train)
    present = counts if complete else counts + Counter(sample.label for sample in validation)
    taken = tuple(label for label in ORDER if label in (wanted or present))
    unknown = Counter(sample.label for sample in (*train, *validation) if sample.label not in taken)
    if unknown:
        counted = ", ".join(f"{label} ({count})" for label, count in unknown.items())
        raise InputError(
            f"there are samples with labels outside of {', '.join(taken)}: {counted}; leave them out "
            "of the data, or name them in --labels"
        )
    missing = [label for label in wanted if not counts[label]]
    if missing:
        raise InputError(
            f"there is no training sample of {', '.join(missing)}: add data, or leave it out of --labels"
        )
    return taken


def digest(material: Material) -> str:
    """Return a hash of these samples in these parts."""
    rows = [
        row
        for part in (material.train, material.validation)
        for row in (
            *([s.name, s.label, s.subject, sorted(s.votes.items())] for s in part),
            ["", "", None, []],  # the end of the part
        )
    ]
    return hashlib.sha256(json.dumps([material.labels, rows]).encode()).hexdigest()


def check_no_shared_files(train: Sequence[Sample], validation: Sequence[Sample]) -> None:
    """Raise InputError if a file is in training and validation, even under different names."""
    training = {_pixels(sample): sample.name for sample in train}
    for sample in validation:
        pixels = _pixels(sample)
        if pixels is not None and pixels in training:
            raise InputError(
                f"{sample.name} is the same file as {training[pixels]} of the training set: "
                "leave it out of one of them"
            )


def _pixels(sample: Sample) -> tuple[object, ...] | None:
    """Return a key that is equal for samples of the same pixels, animated or not; None if drawn."""
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
    """Return the samples of several datasets, with unique names and subjects, and remarks.

    `roots` maps folders to the names they have so far: a folder that is read in two ways has the same people.
    """
    roots = {} if roots is None else roots
    samples: list[Sample] = []
    remarks: list[str] = []
    taken: set[str] = set()
    for spec in specs:
        asked, dataset = datasets.parse(spec), datasets.read(spec)
        path = Path(asked.path)
        folder = os.path.realpath(path.parent if path.is_file() else path) if path.exists() else asked.path
        if folder not in roots:
            last = Path(folder).name or "data"
            same = sum(name == last or name.startswith(f"{last}#") for name in roots.values())
            roots[folder] = f"{last}#{same + 1}" if same else last
        own = (
            f"{asked.name}:{roots[folder]}/{path.name}" if path.is_file() else f"{asked.name}:{roots[folder]}"
        )
        for sample in dataset.samples:
            name = f"{own}/{sample.name}"
            if name in taken:
                raise InputError(f"{sample.name} of {spec} occurs twice: give each part of a dataset once")
            taken.add(name)
            person = sample.subject
            # Drawn people are the same at every difficulty.
            if person is not None and not isinstance(sample.pixels, Drawn):
                person = f"{roots[folder]}/{person}"
            samples.append(replace(sample, name=name, subject=person, origin=own))
        remarks += [f"{spec}: {remark}" for remark in dataset.remarks]
    return tuple(samples), tuple(remarks)
