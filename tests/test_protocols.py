"""Protocols: the people in each test part, the validation sets, and the figures."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Call
from folders import write

from fervid.datasets import protocols, splitting
from fervid.datasets.protocols import plan
from fervid.errors import InputError, UsageError
from fervid.train import material
from fervid.types.samples import OnDisk, Sample


def people(names: Sequence[str], labels: Sequence[str] = ("anger", "fear"), origin: str = "") -> list[Sample]:
    """Return a sample of each label for each person."""
    return [
        Sample(path, label, pixels=OnDisk(path), subject=name, origin=origin)
        for name in names
        for label in labels
        for path in [f"{origin}/{name}/{label}"]
    ]


def whom(samples: Sequence[Sample], protocol: str) -> list[list[str]]:
    """Return the people who are tested in each part."""
    result = []
    for part in plan(samples, protocol).parts:
        subjects = (sample.subject or sample.name for sample in part.test)
        result.append(list(dict.fromkeys(subjects)))
    return result


CKPLUS = [f"S{number:03}" for number in range(5, 123)]  # 118 people, as in CK+


@pytest.mark.parametrize("spelling", ["kfold:10", "kfold:10:dealt", "kfold", "kfold::dealt"])
def test_people_are_dealt_into_ten_folds(spelling: str) -> None:
    parts = whom(people(CKPLUS[::-1]), spelling)
    assert [sorted(part) for part in parts] == [CKPLUS[at::10] for at in range(10)]


def test_people_are_divided_into_ascending_blocks() -> None:
    parts = [sorted(part) for part in whom(people(CKPLUS[::-1]), "kfold:10:blocks")]
    assert [person for part in parts for person in part] == CKPLUS
    assert sorted(len(part) for part in parts) == [11, 11, *[12] * 8]
    oulu = [f"P{number:03}" for number in range(1, 81)]
    assert whom(people(oulu), "kfold:10:blocks")[1] == oulu[8:16]


def test_people_are_in_natural_order() -> None:
    assert whom(people(["10", "2", "1", "9"]), "kfold:2:blocks") == [["2", "1"], ["10", "9"]]
    assert whom(people(["10", "2", "1"]), "loso") == [["1"], ["2"], ["10"]]


def test_the_parts_of_afew() -> None:
    clips = [
        Sample(f"{part}/{label}/{at}", label, pixels=OnDisk(f"{part}{label}{at}"), split=part)
        for part, count in (("train", 6), ("val", 2))
        for label in ("anger", "fear")
        for at in range(count)
    ]
    (part,) = plan(clips, "official").parts
    assert [len(part.train), len(part.validation), len(part.test)] == [12, 0, 4]
    arranged = material.arrange(part.train, part.validation, (), 0.3, 0)
    assert {sample.split for sample in (*arranged.train, *arranged.validation)} == {"train"}
    assert arranged.validation


@pytest.mark.parametrize(
    "protocol", ["kfold:3", "kfold:3:blocks", "loso", "leave-one-set-out", "kfold:9:blocks"]
)
def test_training_validation_and_test_share_no_person(protocol: str) -> None:
    sets = [people([f"{origin}{at}" for at in range(4)], origin=origin) for origin in ("x", "y", "z")]
    samples = [sample for each in sets for sample in each]
    result = plan(samples, protocol).parts
    assert sorted(sample.name for part in result for sample in part.test) == sorted(s.name for s in samples)
    for part in result:
        arranged = material.arrange(part.train, part.validation, (), 0.3, 0)
        parts = (arranged.train, arranged.validation, part.test)
        faces = [set(map(splitting.person, samples)) for samples in parts]
        assert all(faces)
        assert sum(map(len, faces)) == len(set.union(*faces)) == 12


def test_each_set_is_left_out_with_the_labels_that_all_have() -> None:
    ck = people(["S1", "S2"], ("anger", "contempt", "fear", "surprise"), "ckplus:CK+")
    oulu = people(["P1"], ("anger", "fear", "surprise"), "oulu:Oulu")
    afew = people(["A1", "A2", "A3"], ("anger", "fear", "neutral"), "afew:AFEW")
    result = plan([*ck, *oulu, *afew], "leave-one-set-out")
    assert [part.name for part in result.parts] == ["on ckplus:CK+", "on oulu:Oulu", "on afew:AFEW"]
    assert [(len(part.train), len(part.test)) for part in result.parts] == [(8, 4), (10, 2), (6, 6)]
    everybody = ["A1", "A2", "A3", "P1", "S1", "S2"]
    assert sorted(sample.subject or "" for sample in result.samples) == sorted(everybody * 2)
    for part in result.parts:
        assert {sample.label for sample in (*part.train, *part.test)} == {"anger", "fear"}
        assert {f"on {sample.origin}" for sample in part.test} == {part.name}
    assert result.remarks == (
        "only the labels that all 3 sets have are used: anger, fear",
        "left out of ckplus:CK+: surprise (2), contempt (2)",
        "left out of oulu:Oulu: surprise (1)",
        "left out of afew:AFEW: neutral (3)",
    )


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("kfold:ten", "kfold:N, kfold:N:dealt, kfold:N:blocks, loso, official, leave-one-set-out"),
        ("kfold:10:shuffled", "--protocol must be one of"),
        ("kfold:10:blocks:2", "--protocol must be one of"),
        ("kfold:-3", "--protocol must be one of"),
        ("kfold:1:blocks", "1 folds are not valid"),
        ("loso:3", "--protocol must be one of"),
        ("", "--protocol must be one of"),
    ],
)
def test_unknown_protocols(protocol: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan(people(["a", "b"]), protocol)


def test_sets_that_cannot_be_left_out() -> None:
    one, two = people(["a"], origin="x"), people(["b"], ("anger", "sadness"), "y")
    with pytest.raises(InputError, match=r"needs two sets or more, not only x: add more with --data"):
        plan(one, "leave-one-set-out")
    with pytest.raises(InputError, match=r"not only none: add"):
        plan([], "leave-one-set-out")
    with pytest.raises(InputError, match=r"x has anger, fear; y has anger, sadness"):
        plan([*one, *two], "leave-one-set-out")


def test_every_spelling_is_accepted() -> None:
    samples = [replace(sample, split="train" if sample.origin == "x" else "test") for sample in both()]
    for spelling in protocols.SPELLINGS:
        assert plan(samples, spelling.replace("N", "2")).parts


def both() -> list[Sample]:
    return [*people(["a", "b"], origin="x"), *people(["c", "d"], origin="y")]


def test_samples_have_the_origin_of_their_data(tmp_path: Path) -> None:
    write(tmp_path, "one/clips/train/happy/1.mp4", "one/clips/test/sad/2.mp4", "two/clips/happy/1.mp4")
    specs = [f"folder:{tmp_path}/one/clips?split={part}" for part in ("train", "test")]
    samples, _ = material.read([*specs, f"folder:{tmp_path}/two/clips"])
    # Two parts of one dataset have one origin.
    assert [sample.origin for sample in samples] == ["folder:clips", "folder:clips", "folder:clips#2"]


EVAL = ("eval", "--protocol", "leave-one-set-out", "--streams", "tiny_displacement", "-j", "1")


def test_each_set_is_tested(call: Call) -> None:
    data = ["-d", "synth:posed?people=3&per_class=3&classes=6&faces=no"]
    data += ["-d", "synth:medium?people=3&per_class=3&classes=8&faces=no&seed=1"]
    options = ["--epochs", "1", "--held-out", "0.4", "--runs", "runs"]
    done = call(*EVAL, *data, *options, "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    tested = {part["name"]: part["n"] for part in figures["parts"]}
    assert tested == {"on synth:posed": 18, "on synth:medium": 18}
    assert figures["n"] == 36 and "neutral" not in figures["labels"] and figures["folds"]["n"] == 2
    means = [part["accuracy"] for part in figures["parts"]]
    assert figures["folds"]["accuracy"]["mean"] == pytest.approx(sum(means) / 2)
    assert "left out of synth:medium: neutral (3), contempt (3)" in done.stderr
    assert sorted(os.listdir("runs")) == ["on_synth_medium", "on_synth_posed"]
    out = call(*EVAL, *data, *options).stdout
    assert "mean and deviation over 2 folds: accuracy 0." in out and ", mean recall 0." in out
    assert f"  on synth:posed: 18 samples, accuracy {means[0]:.3f}, mean recall" in out


def test_sets_that_share_faces_are_an_error(call: Call, tmp_path: Path) -> None:
    done = call(*EVAL, "-d", "synth:posed?people=2", "-d", "synth:weak?people=2")
    assert done.returncode == 1 and "the same people: 2 (" in done.stderr
    names = {f"clips/{label}/{at}.mp4": label for label in ("happy", "sad") for at in range(3)}
    rows = [f"{path},{label}" for path, label in names.items()]
    write(write(tmp_path, *names), "list.csv", text="\n".join(["path,label", *rows]))
    done = call(*EVAL, "-d", "folder:clips", "-d", "csv:list.csv")
    assert done.returncode == 1 and "is the same file as" in done.stderr
