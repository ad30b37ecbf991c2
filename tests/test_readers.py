"""Readers of MMI, Oulu-CASIA, SAVEE, RAF-DB and AffectNet, on tiny copies with realistic errors."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from folders import POINTER, fails, remarked, seen, write

from fervid import datasets
from fervid.datasets import naming, splitting
from fervid.labels import EMOTIONS
from fervid.types.samples import Sample


def only(spec: str) -> Sample:
    (sample,) = datasets.read(spec).samples
    return sample


# --- MMI

SESSION = '<?xml version="1.0"?>\n<session sessionId="{n}" view="{view}"><track file="a.avi"/></session>'
LABEL = '<?xml version="1.0"?>\n<a><Metatag Name="AU" Value="3"/><Metatag Name="Emotion" Value="{code}"/></a>'


def session(
    root: Path, number: int, name: str, view: int | None = 0, label: str = LABEL, code: object = 4
) -> Path:
    """Write a session, and return its folder."""
    folder = root / f"Sessions/{number}"
    text = SESSION.format(n=number, view=view) if view is not None else "<session/>"
    write(folder, "session.xml", text=text)
    write(folder, f"{name}.avi", f"{name}-aucs.xml", ".DS_Store")
    return write(folder, f"{name}.xml", text=label.format(code=code))


def mmi(root: Path) -> Path:
    session(root, 1767, "S028-001", code=1)
    session(root, 224, "S002-106", 2, code=6)
    session(root, 36, "S021-010", 1, code=2)
    session(root, 300, "S030-004", code=9)  # asleep
    write(root / "Sessions/12", "session.xml", "S001-012.xml", "S001-012.avi", text="<session view='0'/>")
    return root


@pytest.mark.parametrize("named", ["", "Sessions", "..", "Sessions/1767"])
def test_mmi(tmp_path: Path, named: str) -> None:
    dataset = datasets.read(f"mmi:{mmi(tmp_path / 'MMI') / named}")
    whole = {"224/S002-106": "surprise", "1767/S028-001": "anger"}
    assert seen(dataset) == ({"1767/S028-001": "anger"} if named.endswith("1767") else whole)
    assert dataset.labels == naming.BASIC
    if not named.endswith("1767"):
        subjects = {sample.name: sample.subject for sample in dataset.samples}
        assert subjects == {"224/S002-106": "S002", "1767/S028-001": "S028"}
        assert remarked(dataset, "view profile, left out ... 1 (36/S021-010)", "code 9 ... 1 (300)")
        assert remarked(dataset, "without an emotion ... 1 (12)", "2 frontal sequences ... 205")


def test_mmi_views_and_the_middle(tmp_path: Path) -> None:
    mmi(tmp_path)
    assert list(seen(datasets.read(f"mmi:{tmp_path}?view=front"))) == ["1767/S028-001"]
    everything = datasets.read(f"mmi:{tmp_path}?view=all&frames=middle")
    assert seen(everything)["36/S021-010"] == "disgust"
    assert {sample.pixels.share for sample in everything.samples} == {(Fraction(1, 3), Fraction(2, 3))}
    assert not remarked(everything, "205")


@pytest.mark.parametrize(
    "label",
    [
        "<METATAG NAME='EMOTION' VALUE='4'/>",
        '<Metatag Value="4" Name="Emotion"/>',
        '<Metatag\n  Name = "Emotion"\n  Value = " 4 " />',
        "<Emotion>Happiness</Emotion>",
        '<Emotion Value="happy"/>',
        '<Metatag Name="Emotion" Value="4"><unclosed & wrong',
    ],
)
def test_an_emotion_however_it_is_written(tmp_path: Path, label: str) -> None:
    folder = session(tmp_path, 5, "s040-003", label=label)
    sample = only(f"mmi:{tmp_path}")
    assert (sample.label, sample.subject) == ("happiness", "S040")
    (folder / "s040-003.xml").write_text(label, encoding="utf-16")
    assert only(f"mmi:{tmp_path}").label == "happiness"


def test_mmi_with_oddities(tmp_path: Path) -> None:
    mmi(tmp_path)
    session(tmp_path, 400, "S031-001", None, code=3)
    session(tmp_path, 401, "take7", code=5)
    session(tmp_path, 402, "S031-003", code="cross")
    session(tmp_path, 403, "S031-004", code=0)
    (session(tmp_path, 404, "S031-005") / "S031-005.avi").unlink()
    write(session(tmp_path, 405, "S031-006"), "S031-006b.avi")
    write(session(tmp_path, 406, "S031-007"), "S031-007.avi", text="")
    write(tmp_path / "Sessions", "readme.txt", "no session/note.txt")
    dataset = datasets.read(f"mmi:{tmp_path}")
    names = ["224/S002-106", "400/S031-001", "401/take7", "405/S031-006", "1767/S028-001"]
    assert list(seen(dataset)) == names
    assert remarked(dataset, "without a view ... 400/S031-001", "without a person ... 401/take7")
    assert remarked(dataset, "cannot be read ... 2 (402 (cross), 403 (0))", "without a video ... 1 (404)")
    assert remarked(dataset, "beside the first ... S031-006b.avi", "left out, empty: 1 (406/S031-007)")


# --- Oulu-CASIA


def oulu(root: Path, *above: str, count: int = 5) -> Path:
    for folder in above:
        for sequence in FOLDERS:
            write(root / folder / sequence, *(f"{frame:03}.jpeg" for frame in range(count)))
        write(root, f"{folder}/.DS_Store", f"{folder}/P001/Thumbs.db")
    return root


FOLDERS = {"P001/Anger": "anger", "P001/Surprise": "surprise", "P012/Happiness": "happiness"}
SEQUENCES = {f"VL/Strong/{folder}": emotion for folder, emotion in FOLDERS.items()}


@pytest.mark.parametrize(
    ("above", "named"),
    [
        ("VL/Strong", ""),
        ("VL/Strong", "VL"),
        ("VL/Strong", "VL/Strong"),
        ("Oulu_CASIA_NIR_VIS/VL/Strong", ""),
        ("Oulu_CASIA_NIR_VIS/OriginalImg/VL/Strong", ""),
        ("originalimg/vl/STRONG", "originalimg"),
        ("PreProcess Img/VL_Acropped/Strong", ""),
        ("B_OriginalImg/OriginalImg/VL/VL/Strong", ""),
    ],
)
def test_oulu(tmp_path: Path, above: str, named: str) -> None:
    dataset = datasets.read(f"oulu:{oulu(tmp_path, above) / named}")
    assert seen(dataset) == SEQUENCES
    assert dataset.labels == naming.BASIC
    assert {sample.subject for sample in dataset.samples} == {"P001", "P012"}
    assert {sample.pixels.rate for sample in dataset.samples} == {25}
    assert remarked(dataset, "3 sequences; the whole set has 480")
    assert remarked(dataset, "whole pictures are missing") == above.startswith("PreProcess")


def test_oulu_cameras_and_lights(tmp_path: Path) -> None:
    oulu(tmp_path, "VL/Strong", "VL/Dark", "NI/Weak", "PreProcess Img/VL_Acropped/Strong")
    dataset = datasets.read(f"oulu:{tmp_path}")
    assert seen(dataset) == SEQUENCES
    assert "PreProcess" not in dataset.samples[0].pixels.path
    assert remarked(dataset, "cropped faces, left out ... 2 (VL/Strong/P001, VL/Strong/P012)")
    counts = {"camera=all&light=all": 9, "camera=ni&light=weak": 3, "light=all": 6, "light=dark": 3}
    for query, count in counts.items():
        assert len(datasets.read(f"oulu:{tmp_path}?{query}").samples) == count
    assert remarked(datasets.read(f"oulu:{tmp_path}?camera=all&light=all"), "2,880")
    fails(f"oulu:{tmp_path}?camera=NI", r"no sample .*there are: camera=NI&light=Weak, camera=VL&light=Dark")


def test_oulu_classes_and_frames(tmp_path: Path) -> None:
    oulu(tmp_path, "VL/Strong")
    seven = datasets.read(f"oulu:{tmp_path}?classes=7")
    assert seven.labels == EMOTIONS
    first = next(sample for sample in seven.samples if sample.name.endswith("P012/Happiness/first"))
    assert (first.label, first.pixels.frames) == ("neutral", (0, 1))
    peak = seen(datasets.read(f"oulu:{tmp_path}?frames=peak&classes=7"))
    assert Counter(peak.values()) == {"anger": 3, "surprise": 3, "happiness": 3, "neutral": 3}
    assert peak["VL/Strong/P001/Anger/004.jpeg"] == "anger"


def test_oulu_with_oddities(tmp_path: Path) -> None:
    oulu(tmp_path, "a/VL/Strong", "b/VL/Strong")
    strong = write(tmp_path / "a/VL/Strong", "P002/Bored/0.jpeg", "P002/Neutral/0.jpeg", "P003/Fear/")
    write(strong, "P004/fear/000.jpeg", text="")
    dataset = datasets.read(f"oulu:{tmp_path}")
    assert seen(dataset) == SEQUENCES
    assert remarked(dataset, "found twice, read once: 3 (VL/Strong/P001/Anger")
    assert remarked(dataset, "none of the six ... 2 (VL/Strong/P002/Bored, VL/Strong/P002/Neutral)")
    assert remarked(dataset, "without pictures ... VL/Strong/P003/Fear")
    assert remarked(dataset, "left out, empty: 1 (VL/Strong/P004/Fear)")
    for folder, missing in (("c/Strong", "camera"), ("c/VL", "light")):
        fails(f"oulu:{oulu(tmp_path / missing, folder)}", f"names the {missing}.*expected")


# --- SAVEE


@pytest.mark.parametrize(
    "pattern",
    [
        "AudioVisualClip/{actor}/{name}.avi",
        "AudioVisualClip/AudioVisualClip/{actor}/{name}.AVI",
        "{actor}_{name}.mp4",
    ],
)
def test_savee(tmp_path: Path, pattern: str) -> None:
    names = ["a1", "d15", "f02", "h3", "n30", "sa7", "su8", "x1"]
    write(tmp_path, *(pattern.format(actor="DC", name=name) for name in names))
    write(tmp_path, pattern.format(actor="kl", name="SA01"), ".DS_Store", "AudioData/DC/a01.wav", "info.txt")
    dataset = datasets.read(f"savee:{tmp_path}")
    assert seen(dataset) == {
        "DC/a01": "anger",
        "DC/d15": "disgust",
        "DC/f02": "fear",
        "DC/h03": "happiness",
        "DC/n30": "neutral",
        "DC/sa07": "sadness",
        "DC/su08": "surprise",
        "KL/sa01": "sadness",
    }
    assert dataset.labels == EMOTIONS
    assert {sample.subject for sample in dataset.samples} == {"DC", "KL"}
    assert remarked(dataset, "sound files ... a01.wav", "not videos ... x1", "480", "markers")
    assert len(splitting.leave_one_subject_out(dataset.samples)) == 2


def test_savee_with_oddities(tmp_path: Path) -> None:
    write(tmp_path, "DC/a1.avi", "DC/a01.avi", "clips/h1.avi", "DC/su9.avi")
    write(tmp_path, "JE/n1.avi", text=POINTER)
    dataset = datasets.read(f"savee:{tmp_path}")
    assert list(seen(dataset)) == ["DC/a01", "DC/su09"]
    assert remarked(dataset, "found twice ... DC/a01", "none of the actors ... h1.avi")
    assert remarked(dataset, "Git LFS pointer ... JE/n01")


# --- RAF-DB


def rafdb(root: Path, labels: str = "EmoLabel/list_patition_label.txt") -> Path:
    rows = [f"train_{at:05}.jpg {code}" for at, code in enumerate((1, 2, 3, 4, 5, 6, 7), 1)]
    write(root, labels, text="\n".join([*rows, "test_0001.jpg 4", ""]))
    for name in ("test_0001", *(f"train_{at:05}" for at in range(1, 8))):
        write(root, f"Image/aligned/{name}_aligned.jpg", f"Image/original/{name}.jpg")
    return write(root, "Image/aligned/.DS_Store", "Annotation/manual/train_00001_manu_attri.txt")


@pytest.mark.parametrize("named", ["basic", "", "basic/EmoLabel", "basic/Image"])
def test_rafdb(tmp_path: Path, named: str) -> None:
    rafdb(tmp_path / "basic")
    write(tmp_path, "compound/EmoLabel/list_patition_label.txt", text="train_0001.jpg 11\n")
    dataset = datasets.read(f"rafdb:{tmp_path / named}")
    labels = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    expected = {f"train_{at:05}.jpg": label for at, label in enumerate(labels, 1)}
    assert seen(dataset) == expected | {"test_0001.jpg": "happiness"}
    assert dataset.labels == EMOTIONS
    assert dataset.samples[0].pixels.path.endswith("basic/Image/aligned/train_00001_aligned.jpg")
    parts = splitting.official(dataset.samples)
    assert [len(parts.train), len(parts.validation), len(parts.test)] == [7, 0, 1]
    assert remarked(dataset, "train lists 7 ... 12,271", "test lists 1 ... 3,068", "not identify people")


def test_rafdb_parts_and_pictures(tmp_path: Path) -> None:
    rafdb(tmp_path, "list_partition_label.txt")
    sample = only(f"rafdb:{tmp_path}?split=test&images=original")
    assert sample.pixels.path.endswith("Image/original/test_0001.jpg")


def test_rafdb_with_oddities(tmp_path: Path) -> None:
    rafdb(tmp_path)
    table, images = tmp_path / "EmoLabel/list_patition_label.txt", tmp_path / "Image/aligned"
    known = "train_00001.jpg 1\r\ntrain_00009.jpg 5\nvalid_1.jpg 3\n"
    unknown = "train_00010.jpg\ntrain_00011.jpg 0\nx y z\n"
    table.write_text(f"\ufeff{table.read_text()}{known}{unknown}", encoding="utf-8")
    (images / "train_00002_aligned.jpg").rename(images / "TRAIN_00002_aligned.JPG")
    dataset = datasets.read(f"rafdb:{tmp_path}")
    assert len(dataset.samples) == 8
    assert remarked(dataset, "listed twice ... train_00001.jpg", "left out, missing: 1 (train_00009.jpg)")
    assert remarked(dataset, "neither train nor test ... line 11")
    assert remarked(dataset, "without a name and a code ... 3 (line 12, line 13, line 14)")


def test_rafdb_of_compound_emotions(tmp_path: Path) -> None:
    write(tmp_path, "compound/EmoLabel/list_patition_label.txt", text="train_0001.jpg 1\ntrain_0002.jpg 11\n")
    write(tmp_path, "compound/Image/aligned/train_0001_aligned.jpg")
    for named in ("", "compound"):
        fails(f"rafdb:{tmp_path / named}", r"compound emotions.*give the folder basic")
    write(tmp_path / "half", "EmoLabel/list_patition_label.txt", text="train_00001.jpg 1\n")
    fails(f"rafdb:{tmp_path / 'half'}", r"no pictures of RAF-DB.*separate archive")
    write(tmp_path / "half", "EmoLabel/list_patition_label.txt", text=POINTER)
    fails(f"rafdb:{tmp_path / 'half'}", "Git LFS pointer")


# --- AffectNet

BOX = "face_x,face_y,face_width,face_height"
HEAD = f"subDirectory_filePath,{BOX},facial_landmarks,expression,valence,arousal\n"
POINTS = ";".join(f"{at}.5" for at in range(136))


def row(name: str, code: object, box: str = "10,20,30,40") -> str:
    return f"{name},{box},{POINTS},{code},0.1,-0.2\n"


def affectnet(root: Path, head: str = HEAD, lists: str = "Manually_Annotated_file_lists/") -> Path:
    training = [row(f"689/{code}.jpg", code) for code in range(11)]
    write(root, f"{lists}training.csv", text=head + "".join(training))
    write(root, f"{lists}validation.csv", text=head + row("12/a.JPG", 3) + row("12/b.png", 7))
    images = root / "Manually_Annotated/Manually_Annotated_Images"
    write(images, *(f"689/{code}.jpg" for code in range(11)), "12/a.JPG", "12/b.png")
    return root


CODES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
AFFECT = {f"train/689/{code}.jpg": label for code, label in enumerate(CODES)} | {"val/12/a.JPG": "surprise"}


@pytest.mark.parametrize(
    ("head", "lists"),
    [(HEAD, "Manually_Annotated_file_lists/"), (HEAD.upper(), ""), ("", "manually_annotated_file_lists/")],
)
def test_affectnet(tmp_path: Path, head: str, lists: str) -> None:
    dataset = datasets.read(f"affectnet:{affectnet(tmp_path, head, lists)}")
    assert seen(dataset) == AFFECT
    assert dataset.labels == EMOTIONS
    assert {sample.pixels.box for sample in dataset.samples} == {(10, 20, 30, 40)}
    assert remarked(dataset, "no expression ... train/689/8.jpg", "uncertain ... train/689/9.jpg")
    assert remarked(dataset, "contempt ... not among the 7 ... 2 (train/689/7.jpg, val/12/b.png)")
    assert remarked(dataset, "no face ... train/689/10.jpg", "not identify people")
    assert {sample.affect for sample in dataset.samples} == {(0.1, -0.2)}
    eight = datasets.read(f"affectnet:{tmp_path}?classes=8&split=val")
    assert seen(eight) == {"val/12/a.JPG": "surprise", "val/12/b.png": "contempt"}
    parts = splitting.official(dataset.samples)
    assert [len(parts.train), len(parts.test)] == [7, 1]


def test_affectnet_with_odd_rows(tmp_path: Path) -> None:
    affectnet(tmp_path)
    table = tmp_path / "Manually_Annotated_file_lists/training.csv"
    odd = [row("689\\1.jpg", 1), row("689/x.jpg", 1), "a,b\n", "\n"]
    odd += [row("689/y.jpg", "1.0", "NULL,NULL,NULL,NULL"), row("689/8.jpg", "cross")]
    odd += [row("689/9.jpg", 11), row("689/9.jpg", "inf"), row("689/10.jpg", 10, "0,0,0,0")]
    table.write_text(table.read_text() + "".join(odd))
    write(tmp_path, "Manually_Annotated/Manually_Annotated_Images/689/y.jpg")
    dataset = datasets.read(f"affectnet:{tmp_path}?classes=8&split=train")
    assert remarked(dataset, "found twice ... train/689/1.jpg", "left out, missing: 1 (train/689/x.jpg)")
    assert remarked(dataset, "too few or too many columns ... 1 (row 14 of training.csv)")
    assert remarked(dataset, "not a code from 0 to 10 ... : 3 (", "without a box ... : 1 (train/689/y.jpg)")
    assert Counter(seen(dataset).values())["happiness"] == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "its first line is a, b"),
        ("subDirectory_filePath,face_x\nx,1\n", "no column 'expression'"),
        ("", "empty"),
        (POINTER, "Git LFS pointer"),
        ("subDirectory_filePath,expression\n" + "x" * 200_000 + ",1\n", "not a table of AffectNet"),
    ],
)
def test_affectnet_with_a_wrong_table(tmp_path: Path, text: str, words: str) -> None:
    write(affectnet(tmp_path), "Manually_Annotated_file_lists/training.csv", text=text)
    fails(f"affectnet:{tmp_path}", words)


def test_affectnet_without_pictures(tmp_path: Path) -> None:
    write(tmp_path, "Manually_Annotated_file_lists/training.csv", text=HEAD + row("a/b.jpg", 1))
    fails(f"affectnet:{tmp_path}", "tables and no pictures")


def annotated(root: Path, codes: dict[str, object]) -> Path:
    for name, code in codes.items():
        write(root, f"images/{name}.jpg", "annotations/")
        np.save(root / f"annotations/{name}_exp.npy", np.array(code))
        np.save(root / f"annotations/{name}_val.npy", np.array("0.5"))
    return root


@pytest.mark.parametrize("above", ["", "train_set/", "AffectNet/data/"])
def test_affectnet_in_its_newer_layout(tmp_path: Path, above: str) -> None:
    codes: dict[str, object] = {"0": "1", "5": 6, "10": [2], "11": "8", "12": 7.0, "13": b"4"}
    train = annotated(tmp_path / f"{above}train_set", codes)
    np.save(train / "annotations/0_aro.npy", np.array("-0.25"))
    np.save(train / "annotations/5_aro.npy", np.array("-2"))
    annotated(tmp_path / f"{above}val_set", {"0": "0"})
    write(train, "images/14.jpg", "images/15.jpg", "images/.DS_Store", "images/readme.txt")
    write(train, "annotations/15_exp.npy")
    dataset = datasets.read(f"affectnet:{tmp_path}")
    assert seen(dataset) == {
        "train/0.jpg": "happiness",
        "train/5.jpg": "anger",
        "train/10.jpg": "sadness",
        "train/13.jpg": "fear",
        "val/0.jpg": "neutral",
    }
    assert {sample.pixels.box for sample in dataset.samples} == {None}
    assert [sample.affect for sample in dataset.samples[:2]] == [(0.5, -0.25), None]
    assert remarked(dataset, "without valence and arousal: 4 (train/5.jpg")
    assert remarked(
        dataset,
        "no expression ... train/11.jpg",
        "contempt ... train/12.jpg",
        "without a label ... train/14.jpg",
        "cannot be read ... train/15.jpg",
    )
    assert len(seen(datasets.read(f"affectnet:{train}"))) == 4
    assert list(seen(datasets.read(f"affectnet:{tmp_path}?split=val"))) == ["val/0.jpg"]


def test_affectnet_of_no_part(tmp_path: Path) -> None:
    annotated(tmp_path / "faces", {"0": 1})
    fails(f"affectnet:{tmp_path}", r"neither train_set nor val_set.*expected")
