"""Protocols of the field, by name: how to divide samples into training and test."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fervid.datasets import naming, splitting
from fervid.datasets.splitting import WAYS, Split
from fervid.errors import InputError, UsageError
from fervid.types.samples import Sample

SET_BY_SET = "leave-one-set-out"
SPELLINGS = ("kfold:N", *(f"kfold:N:{way}" for way in WAYS), "loso", "official", SET_BY_SET)
USUAL = 10  # folds by default


@dataclass(frozen=True, eq=False)
class Plan:
    """The parts of a protocol, each trained and tested in turn, and remarks."""

    protocol: str
    parts: tuple[Split, ...]
    remarks: tuple[str, ...] = ()

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Every sample of any part, once."""
        used = (sample for part in self.parts for sample in (*part.train, *part.validation, *part.test))
        return tuple({sample.name: sample for sample in used}.values())


def plan(samples: Sequence[Sample], protocol: str) -> Plan:
    """Divide samples by a protocol."""
    name, *rest = protocol.split(":")
    if name == "kfold" and len(rest) <= 2:
        count, way = (*rest, "", "")[:2]
        if re.fullmatch("[0-9]{0,9}", count) and (way or WAYS[0]) in WAYS:
            return Plan(protocol, splitting.folds(samples, int(count or USUAL), way or WAYS[0]))
    if protocol == "loso":
        return Plan(protocol, splitting.leave_one_subject_out(samples))
    if protocol == "official":
        return Plan(protocol, (splitting.official(samples),))
    if protocol == SET_BY_SET:
        return leave_one_set_out(samples)
    raise UsageError(f"--protocol must be one of {', '.join(SPELLINGS)}, not {protocol!r}")


def leave_one_set_out(samples: Sequence[Sample]) -> Plan:
    """Make a part for each dataset, which is its test; keep only the labels that all datasets have."""
    sets = {sample.origin: Counter[str]() for sample in samples}
    for sample in samples:
        sets[sample.origin][sample.label] += 1
    if len(sets) < 2:
        have = next(iter(sets), "none") or "one without a name"
        raise InputError(f"leave-one-set-out needs two sets or more, not only {have}: add more with --data")
    common = naming.ordered(label for label in naming.ORDER if all(counts[label] for counts in sets.values()))
    if len(common) < 2:
        have = "; ".join(f"{name} has {', '.join(naming.ordered(counts))}" for name, counts in sets.items())
        raise InputError(f"the sets have fewer than two labels in common: {have}")
    remarks = [f"only the labels that all {len(sets)} sets have are used: {', '.join(common)}"]
    for origin, counts in sets.items():
        others = ", ".join(
            f"{label} ({counts[label]:,})" for label in naming.ordered(set(counts) - set(common))
        )
        if others:
            remarks.append(f"left out of {origin}: {others}")
    kept = [sample for sample in samples if sample.label in common]
    parts = tuple(
        Split(
            f"on {origin}",
            train=tuple(sample for sample in kept if sample.origin != origin),
            test=tuple(sample for sample in kept if sample.origin == origin),
        )
        for origin in sets
    )
    return Plan(SET_BY_SET, parts, tuple(remarks))
