"""Packs of pictures: people, numbers of pictures, and animation; and neutral faces that act emotions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fervid import datasets
from fervid.datasets import packs
from fervid.errors import InputError, UsageError
from fervid.labels import EMOTIONS
from fervid.train.material import gather
from fervid.types.samples import Sample

NEUTRAL, HAPPINESS, CONTEMPT = 7, 4, 1
PEOPLE = 30


def write(folder: Path, people: int = PEOPLE, codes: Sequence[int] = (NEUTRAL, HAPPINESS, HAPPINESS)) -> str:
    """Write a pack of random portraits of different people, each with every code."""
    path = folder / "p.npz"
    person = np.repeat([f"Anna_{number:02}" for number in range(people)], len(codes))
    images = np.random.default_rng(0).integers(0, 256, (len(person), 8, 8)).astype(np.uint8)
    np.savez(path, images=images, person=person, label=np.tile(codes, people))
    return str(path)


def read(spec: str) -> tuple[Sample, ...]:
    return datasets.read(spec).samples


def motions(samples: Sequence[Sample]) -> list[str]:
    return [sample.pixels.motion for sample in samples]


# --- parts of people


@pytest.mark.parametrize("layout", ["portraits", "acted"])
def test_every_person_is_in_one_part(tmp_path: Path, layout: str) -> None:
    spec = f"{layout}:{write(tmp_path)}"
    parts = {part: read(f"{spec}?part={part}") for part in packs.PARTS}
    people = {part: {sample.subject for sample in samples} for part, samples in parts.items()}
    assert all(people.values())
    assert sum(map(len, people.values())) == PEOPLE == len(set.union(*people.values()))
    assert len(people["training"]) > PEOPLE / 2
    assert all(sample.split == part for part, samples in parts.items() for sample in samples)
    if layout == "portraits":  # each picture is in one part
        names = [sample.name for samples in parts.values() for sample in samples]
        assert sorted(names) == sorted(sample.name for sample in read(spec))


def test_the_part_of_a_person_does_not_depend_on_the_pack(tmp_path: Path) -> None:
    few = {sample.subject: sample.split for sample in read(f"portraits:{write(tmp_path, people=7)}")}
    many = {sample.subject: sample.split for sample in read(f"portraits:{write(tmp_path)}")}
    assert len(few) == 7 and few.items() <= many.items()
    shares = Counter(packs.part_of(f"somebody {number}") for number in range(2000))
    assert [shares[part] / 2000 for part in packs.PARTS] == pytest.approx([0.8, 0.1, 0.1], abs=0.03)


def test_people_of_stills_and_of_acts_are_the_same(tmp_path: Path) -> None:
    path = write(tmp_path)
    stills, acts = f"portraits:{path}", f"acted:{path}?per_class={PEOPLE}"
    with pytest.raises(InputError, match="have the same people"):
        gather((stills,), (acts,), (), 0.5, 0)
    apart = gather((f"{stills}?part=training", f"{acts}&part=training"), (f"{stills}?part=test",), (), 0.5, 0)
    assert {sample.split for sample in apart.train} == {"training"}


# --- how many


@pytest.mark.parametrize("most", [1, 2, 7, 29, 30, 100])
def test_most_spreads_pictures_over_the_pack(tmp_path: Path, most: int) -> None:
    path = write(tmp_path, codes=(NEUTRAL, HAPPINESS))
    samples = read(f"portraits:{path}?most={most}")
    for label in ("neutral", "happiness"):
        rows = [int(sample.name.split("/")[1]) // 2 for sample in samples if sample.label == label]
        assert len(rows) == min(most, PEOPLE)
        if len(rows) > 1:
            steps = np.diff(rows)
            assert rows[0] == 0 and rows[-1] == PEOPLE - 1
            assert steps.max() - steps.min() <= 1


def test_most_keeps_rare_classes(tmp_path: Path) -> None:
    path = write(tmp_path, people=6, codes=(NEUTRAL, HAPPINESS, HAPPINESS))
    for options, counts in (("", (6, 12)), ("?most=0", (6, 12)), ("?most=8", (6, 8)), ("?most=3", (3, 3))):
        labels = Counter(sample.label for sample in read(f"portraits:{path}{options}"))
        assert (labels["neutral"], labels["happiness"]) == counts
    samples = read(f"portraits:{path}?part=training&most=2")
    assert Counter(sample.label for sample in samples) == {"neutral": 2, "happiness": 2}


# --- stills and their animation


def ferplus(folder: Path) -> str:
    """Write a pack of FER2013 with a happy and a neutral picture of each part."""
    images, votes = np.zeros((6, 48, 48), np.uint8), np.zeros((6, 10), np.uint8)
    codes, usage, duplicates = np.array([3, 6] * 3), np.repeat([0, 1, 2], 2), np.zeros(6, bool)
    arrays = {"images": images, "fer2013": codes, "votes": votes, "usage": usage}
    np.savez(folder / "f.npz", **arrays, duplicates_validation=duplicates)
    return str(folder / "f.npz")


@pytest.mark.parametrize("layout", ["portraits", "ferplus"])
def test_stills_and_their_motion_can_be_read_together(tmp_path: Path, layout: str) -> None:
    spec = f"{layout}:{write(tmp_path, people=4) if layout == 'portraits' else ferplus(tmp_path)}"
    stills, moving = read(spec), read(f"{spec}?motion=yes")
    assert not any(sample.pixels.motion for sample in stills)
    for still, moved in zip(stills, moving, strict=True):
        assert (moved.label, moved.subject, moved.split) == (still.label, still.subject, still.split)
        assert moved.name == f"moving/{still.name}"
        assert np.array_equal(still.pixels.luma, moved.pixels.luma)
        kind = moved.pixels.motion.split("/")
        assert kind[0] == ("act" if still.label == "neutral" else "onset")
        assert kind[-1] == "neutral" or kind[-1].isdigit()
    assert len(set(motions(moving))) == len(moving)  # all motions differ
    assert motions(read(f"{spec}?motion=yes")) == motions(moving)
    both = gather((spec, f"{spec}?motion=yes"), (), (), 0.4, 0)
    assert len({sample.name for sample in (*both.train, *both.validation)}) == 2 * len(stills)
    with pytest.raises(InputError, match="occurs twice"):
        gather((spec, spec), (), (), 0.4, 0)
    with pytest.raises(UsageError, match="motion=perhaps"):
        read(f"{spec}?motion=perhaps")


def test_most_also_limits_animated_pictures(tmp_path: Path) -> None:
    samples = read(f"ferplus:{ferplus(tmp_path)}?motion=yes&most=2&votes=no")
    names = [sample.name.removeprefix("moving/") for sample in samples]
    assert names == ["Training/00000", "Training/00001", "PrivateTest/00004", "PrivateTest/00005"]


# --- acts


def test_the_same_faces_act_every_label(tmp_path: Path) -> None:
    dataset = datasets.read(f"acted:{write(tmp_path, people=9)}?per_class=20&difficulty=weak")
    assert dataset.labels == EMOTIONS and len(dataset.samples) == 20 * len(EMOTIONS)
    faces = [[face.subject for face in dataset.samples if face.label == label] for label in EMOTIONS]
    assert all(people == faces[0] for people in faces)
    turns = Counter(faces[0])
    assert len(turns) == 9 and max(turns.values()) - min(turns.values()) <= 1
    assert len(set(motions(dataset.samples))) == len(dataset.samples)  # each take differs
    for sample in dataset.samples:
        act, difficulty, seed, label = sample.pixels.motion.split("/")
        assert (act, difficulty, label) == ("act", "weak", sample.label) and seed.isdigit()


def test_few_takes_are_spread_over_all_faces(tmp_path: Path) -> None:
    samples = read(f"acted:{write(tmp_path)}?per_class=3&classes=6")
    assert [sample.subject for sample in samples[:3]] == ["Anna_00", "Anna_10", "Anna_20"]
    assert "neutral" not in {sample.label for sample in samples}


def test_only_neutral_portraits_are_animated(tmp_path: Path) -> None:
    path = write(tmp_path, people=5)
    rows = {int(sample.name.rpartition("/")[2]) for sample in read(f"acted:{path}?per_class=5")}
    assert rows == {0, 3, 6, 9, 12}  # each person's first picture
    assert {sample.label for sample in read(f"acted:{path}?classes=8")} == {*EMOTIONS, "contempt"}
    happy = write(tmp_path, people=5, codes=(HAPPINESS, CONTEMPT))
    with pytest.raises(InputError, match=r"p\.npz has no neutral portrait of the part all"):
        read(f"acted:{happy}")
    someone = packs.part_of("Anna_00")
    other = next(part for part in packs.PARTS if part != someone)
    with pytest.raises(InputError, match=f"no neutral portrait of the part {other}"):
        read(f"acted:{write(tmp_path, people=1)}?part={other}")


def test_one_label_alone_gives_the_same_samples(tmp_path: Path) -> None:
    spec = f"acted:{write(tmp_path)}?per_class=4"
    alone = read(f"{spec}&only=fear")
    among = [sample for sample in read(spec) if sample.label == "fear"]
    assert motions(alone) == motions(among) and len(alone) == 4
    with pytest.raises(UsageError, match="only=contempt is none of the 7 classes"):
        read(f"{spec}&only=contempt")


def test_halves_of_a_part_share_no_person(tmp_path: Path) -> None:
    spec = f"acted:{write(tmp_path, people=40)}?per_class=40&only=fear"
    for part in ("all", "training"):
        whole, *halves = (
            {sample.subject for sample in read(f"{spec}&part={part}&half={half}")}
            for half in ("all", "first", "second")
        )
        assert all(halves) and halves[0] | halves[1] == whole and not halves[0] & halves[1]


def test_another_seed_animates_the_same_faces_differently(tmp_path: Path) -> None:
    spec = f"acted:{write(tmp_path)}?per_class=4"
    first, again, other = read(spec), read(spec), read(f"{spec}&seed=1")
    assert motions(first) == motions(again)
    assert not {*motions(first)} & {*motions(other)}
    assert [sample.subject for sample in first] == [sample.subject for sample in other]
    every = [f"{spec}&difficulty={difficulty}" for difficulty in ("posed", "medium", "spontaneous", "weak")]
    together = gather((*every, f"{spec}&seed=1"), (), (), 0.2, 0)
    assert len((*together.train, *together.validation)) == 5 * len(first)
    assert not {s.subject for s in together.train} & {s.subject for s in together.validation}


def test_a_face_without_a_name_stays_in_one_part(tmp_path: Path) -> None:
    """It acts every label, and could otherwise be in training and in validation."""
    images, people = np.zeros((6, 8, 8), np.uint8), np.array([""] * 6)
    np.savez(tmp_path / "p.npz", images=images, person=people, label=np.full(6, NEUTRAL))
    split = gather((f"acted:{tmp_path / 'p.npz'}?per_class=6",), (), (), 0.5, 0)
    training = {sample.name.rpartition("/")[2] for sample in split.train}
    validation = {sample.name.rpartition("/")[2] for sample in split.validation}
    assert training and validation and not training & validation
