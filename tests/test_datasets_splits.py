"""Test how datasets are split: folds, held-out people, and their own parts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from fervid.datasets import splitting
from fervid.errors import InputError, UsageError
from fervid.types.samples import OnDisk, Sample


def people(*counts: str) -> list[Sample]:
    """Return a sample per letter (`a` anger, `f` fear, `n` neutral) and a person per word."""
    labels = {"a": "anger", "f": "fear", "n": "neutral"}
    return [
        Sample(f"{at:02}/{n}", labels[letter], pixels=OnDisk("x"), subject=f"p{at:02}")
        for at, word in enumerate(counts)
        for n, letter in enumerate(word)
    ]


def test_folds_deal_people_out() -> None:
    samples = people(*["afn"] * 7)
    splits = splitting.folds(samples[::-1], 3)
    tested = [sorted({sample.subject for sample in split.test}) for split in splits]
    assert tested == [["p00", "p03", "p06"], ["p01", "p04"], ["p02", "p05"]]
    for split in splits:
        assert len(split.train) + len(split.test) == len(samples)
        splitting.check_disjoint(split.train, split.test)


def test_unknown_people_count_as_different() -> None:
    samples = [Sample(f"s{n}", "fear", pixels=OnDisk("x")) for n in range(4)]
    samples.append(Sample("x", "fear", pixels=OnDisk("x"), subject="s0"))
    assert [len(split.test) for split in splitting.folds(samples, 5)] == [1] * 5


def test_one_person_is_left_out() -> None:
    splits = splitting.leave_one_subject_out(people("a", "af", "n"))
    sizes = {split.name: len(split.test) for split in splits}
    assert sizes == {"without p00": 1, "without p01": 2, "without p02": 1}


def test_the_dataset_s_own_parts() -> None:
    def of(*parts: str | None) -> list[Sample]:
        return [Sample(str(n), "fear", pixels=OnDisk("x"), split=part) for n, part in enumerate(parts)]

    split = splitting.official(of("Training", "PublicTest", "PrivateTest", "train"))
    parts = (split.train, split.validation, split.test)
    assert [[sample.name for sample in part] for part in parts] == [["0", "3"], ["1"], ["2"]]
    split = splitting.official(of("train", "dev"))
    assert [len(split.train), len(split.validation), len(split.test)] == [1, 0, 1]
    for first, second, words in (
        ("train", None, "has no part"),
        ("train", "fold7", "'fold7'"),
        ("train", "train", "no part to test"),
        ("val", "test", "no part to train"),
    ):
        with pytest.raises(InputError, match=words):
            splitting.official(of(first, second))


@given(
    words=some.lists(some.text("afn", min_size=1, max_size=12), min_size=10, max_size=60),
    share=some.floats(0.1, 0.4),
    seed=some.integers(0, 9),
)
def test_holding_out_keeps_people_and_labels(words: list[str], share: float, seed: int) -> None:
    samples = people("afn", "afn", *words)
    train, held = splitting.hold_out(samples, share, seed)
    splitting.check_disjoint(train, held)
    assert len(train) + len(held) == len(samples)
    assert held
    assert {sample.label for sample in train} == {sample.label for sample in samples}
    again = splitting.hold_out(samples, share, seed)
    assert [s.name for s in again[1]] == [s.name for s in held]


def test_holding_out_is_stratified() -> None:
    rng = np.random.default_rng(0)
    samples = people(*("".join(rng.choice(list("aaafn"), 8)) for _ in range(100)))
    whole = Counter(sample.label for sample in samples)
    for seed in range(5):
        held = Counter(sample.label for sample in splitting.hold_out(samples, 0.2, seed)[1])
        for label, count in whole.items():
            assert held[label] / count == pytest.approx(0.2, abs=0.03)
    first, second = (splitting.hold_out(samples, 0.2, seed)[1] for seed in (0, 1))
    assert {s.subject for s in first} != {s.subject for s in second}


def test_impossible_splits() -> None:
    samples, unknown = people("af", "af"), [Sample("x", "fear", pixels=OnDisk("x"))]
    for wrong, words in (
        (lambda: splitting.folds(samples, 3), "that many people, and there are 2"),
        (lambda: splitting.leave_one_subject_out(people("af")), "two people or more are needed"),
        (lambda: splitting.leave_one_subject_out(unknown), r"needs a subject: none for 1 \(x\)"),
        (lambda: splitting.hold_out(people("a", "f"), 0.5, 0), "last samples of a label"),
        (lambda: splitting.check_disjoint(samples, samples[:1]), r"same people: 1 \(p00\)"),
        (lambda: splitting.check_disjoint(unknown * 2, unknown), "x"),
    ):
        with pytest.raises(InputError, match=words):
            wrong()  # type: ignore[no-untyped-call]
    for usage in (lambda: splitting.folds(samples, 1), lambda: splitting.hold_out(samples, 1.0, 0)):
        with pytest.raises(UsageError, match="not valid"):
            usage()  # type: ignore[no-untyped-call]
