"""Readers of KDEF, JAFFE, RaFD, ExpW and SFEW, on tiny copies with realistic errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from folders import fails, remarked, seen, write

from fervid import datasets
from fervid.datasets import coded, splitting
from fervid.labels import EMOTIONS


def test_kdef(tmp_path: Path) -> None:
    codes = ("AF", "AN", "DI", "HA", "NE", "SA", "SU")
    write(tmp_path, *(f"KDEF/BM02/BM02{code}S.JPG" for code in codes), "KDEF/AF01/AF01ANS.JPG")
    write(
        tmp_path, "KDEF/AF01/AF01ANHL.JPG", "KDEF/AF01/AF01ANFR.JPG", "KDEF/AF31/AF31V.JPG", "KDEF/read.txt"
    )
    dataset = datasets.read(f"kdef:{tmp_path}")
    labels = ("fear", "anger", "disgust", "happiness", "neutral", "sadness", "surprise")
    expected = {f"BM02{code}S": label for code, label in zip(codes, labels, strict=True)}
    assert seen(dataset) == expected | {"AF01ANS": "anger"}
    assert dataset.labels == EMOTIONS
    assert {sample.subject for sample in dataset.samples} == {"M02", "F01"}
    assert remarked(dataset, "another angle (angle=front), left out: 2", "not pictures of KDEF ... AF31V.JPG")
    assert remarked(dataset, "10 pictures; the whole set has 4,900")
    assert len(datasets.read(f"kdef:{tmp_path}?angle=half").samples) == 9
    assert len(datasets.read(f"kdef:{tmp_path}?angle=all").samples) == 10


def test_both_sessions_of_kdef_show_the_same_people(tmp_path: Path) -> None:
    write(tmp_path, "AF01HAS.JPG", "BF01HAS.JPG", "copy/af01has.jpg")
    dataset = datasets.read(f"kdef:{tmp_path}")
    assert [sample.subject for sample in dataset.samples] == ["F01", "F01"]
    assert remarked(dataset, "found twice, read once: 1 (AF01HAS)")


def test_jaffe(tmp_path: Path) -> None:
    write(tmp_path, "jaffedbase/KA.AN1.39.tiff", "jaffedbase/KM.SU3.16.tiff", "jaffedbase/KM.FE2.11.tiff")
    write(tmp_path, "jaffedbase/README", "jaffedbase/KA.XX1.1.tiff")
    dataset = datasets.read(f"jaffe:{tmp_path}")
    assert seen(dataset) == {"KA.AN1.39": "anger", "KM.FE2.11": "fear", "KM.SU3.16": "surprise"}
    assert {sample.subject for sample in dataset.samples} == {"KA", "KM"}
    assert remarked(dataset, "not pictures of JAFFE, left out: 2", "3 pictures; the whole set has 213")


def rafd(root: Path) -> Path:
    start = "Caucasian_female_"
    names = (f"Rafd090_01_{start}angry_frontal", f"Rafd090_01_{start}contemptuous_left")
    others = (f"Rafd045_02_{start}happy_right", f"Rafd180_02_{start}sad_frontal")
    return write(root, *(f"{name}.jpg" for name in (*names, *others)), "notes.txt")


def test_rafd(tmp_path: Path) -> None:
    dataset = datasets.read(f"rafd:{rafd(tmp_path)}")
    assert seen(dataset) == {"01/angry_090_frontal": "anger"}
    assert remarked(
        dataset, "another angle ... : 2", "contempt, which is not among the 7 classes, left out: 1"
    )
    eight = datasets.read(f"rafd:{tmp_path}?classes=8&angle=half")
    assert sorted(seen(eight).values()) == ["anger", "contempt", "happiness"]
    assert {sample.subject for sample in eight.samples} == {"01", "02"}
    assert len(datasets.read(f"rafd:{tmp_path}?angle=all&gaze=frontal").samples) == 2


@pytest.mark.parametrize("name", ["kdef", "jaffe", "rafd"])
def test_a_folder_of_other_pictures_is_an_error(tmp_path: Path, name: str) -> None:
    fails(f"{name}:{write(tmp_path, 'a.jpg')}", r"is not \w+: expected .*found a.jpg")


LINES = """\
angry_actor_104.jpg 0 28 113 226 141 22.9381 0
angry_actor_104.jpg 1 10 20 40 60 3.5 3
b.jpg 0 0 0 10 10 50 6
b.jpg 0 0 0 10 10 50 6
c.jpg 0 5 5 5 9 50 2
d.jpg 0 1 1 9 9 50 7
e.jpg 0 1 1
"""


def test_expw(tmp_path: Path) -> None:
    write(tmp_path, "label/label.lst", text=LINES)
    write(tmp_path, "image/origin/angry_actor_104.jpg", "image/origin/b.jpg")
    dataset = datasets.read(f"expw:{tmp_path}")
    labels = {"angry_actor_104.jpg#0": "anger", "angry_actor_104.jpg#1": "happiness", "b.jpg#0": "neutral"}
    assert seen(dataset) == labels
    assert dataset.samples[0].pixels.box == (113, 28, 113, 113)
    assert remarked(dataset, "listed twice ... b.jpg#0", "box without pixels, left out: 1 (line 5)")
    assert remarked(dataset, "code from 0 to 6, left out: 2 (line 6, line 7)", "has 7 faces; ExpW has 91,793")
    assert len(datasets.read(f"expw:{tmp_path}?confidence=10").samples) == 2


def test_expw_without_its_parts(tmp_path: Path) -> None:
    fails(f"expw:{write(tmp_path, 'image/origin/a.jpg')}", r"is not ExpW.*label.lst")
    fails(f"expw:{write(tmp_path / 'other', 'label.lst', text=LINES)}", "no pictures of ExpW")


def test_sfew(tmp_path: Path) -> None:
    frame = "Airheads_000519240_00000005.png"
    write(tmp_path, f"Train/Train/Angry/{frame}", "Val/Happy/21_000312960_00000019.png")
    write(tmp_path, "Train/Train/Angry/notes.txt", f"Train_Aligned_Faces/Angry/{frame}")
    write(tmp_path, "Test/Happy/x_1_2.png")
    dataset = datasets.read(f"sfew:{tmp_path}")
    assert seen(dataset) == {
        "train/Angry/Airheads_000519240_00000005.png": "anger",
        "val/Happy/21_000312960_00000019.png": "happiness",
    }
    assert [sample.subject for sample in dataset.samples] == ["Airheads", "21"]
    assert remarked(
        dataset, "found twice", "test parts, left out", "not pictures, left out: 1", "identifies films"
    )
    parts = splitting.official(dataset.samples)
    assert [len(parts.train), len(parts.test)] == [1, 1]
    fails(f"sfew:{write(tmp_path / 'x', 'Angry/a.png')}", "in neither the training nor the validation part")
    fails(f"sfew:{write(tmp_path / 'y', 'a.png')}", "is not SFEW")


def test_depth_of_the_walk(tmp_path: Path) -> None:
    deep = "/".join("abcdefgh"[: coded.DEPTH])
    write(tmp_path, f"{deep}/KA.AN1.39.tiff")
    assert len(datasets.read(f"jaffe:{tmp_path}").samples) == 1
