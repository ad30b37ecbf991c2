"""The protocols of the field, by the words that ask for them: which samples train, and which are tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fervid.datasets import naming, splitting
from fervid.datasets.splitting import WAYS, Split
from fervid.errors import InputError, UsageError
from fervid.samples import Sample

SET_BY_SET = "leave-one-set-out"
SPELLINGS = ("kfold:N", *(f"kfold:N:{way}" for way in WAYS), "loso", "official", SET_BY_SET)
USUAL = 10  # folds, where no number is given


@dataclass(frozen=True, eq=False)
class Plan:
    """What to train and test, one part after the other, and what to know of it."""

    protocol: str
    parts: tuple[Split, ...]
    remarks: tuple[str, ...] = ()

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Every sample that trains, judges or is tested in any part, once."""
        everybody = (sample for part in self.parts for sample in (*part.train, *part.validation, *part.test))
        return tuple({sample.name: sample for sample in everybody}.values())


def plan(samples: Sequence[Sample], protocol: str) -> Plan:
    """Share samples out as a protocol wants it."""
    name, *rest = protocol.split(":")
    if name == "kfold" and len(rest) <= 2:
        count, way = (*rest, "", "")[:2]
        if (count or "1").isdecimal() and (way or WAYS[0]) in WAYS:
            return Plan(protocol, splitting.folds(samples, int(count or USUAL), way or WAYS[0]))
    if protocol == "loso":
        return Plan(protocol, splitting.leave_one_subject_out(samples))
    if protocol == "official":
        return Plan(protocol, (splitting.official(samples),))
    if protocol == SET_BY_SET:
        return leave_one_set_out(samples)
    raise UsageError(f"--protocol is one of {', '.join(SPELLINGS)}, not {protocol!r}")


def leave_one_set_out(samples: Sequence[Sample]) -> Plan:
    """A part for each dataset, which alone is tested; only labels that all datasets have are kept."""
    sets = {sample.origin: Counter[str]() for sample in samples}
    for sample in samples:
        sets[sample.origin][sample.label] += 1
    if len(sets) < 2:
        there = next(iter(sets), "none") or "one without a name"
        raise InputError(f"to leave one set out, two are needed, and there is {there}: name more with --data")
    common = naming.ordered(label for label in naming.ORDER if all(counts[label] for counts in sets.values()))
    if len(common) < 2:
        each = "; ".join(
            f"{origin} has {', '.join(naming.ordered(counts))}" for origin, counts in sets.items()
        )
        raise InputError(f"the sets have fewer than two labels in common: {each}")
    remarks = [f"labels that all {len(sets)} sets have, and that count: {', '.join(common)}"]
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
