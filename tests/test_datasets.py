"""Readers of datasets, each on a tiny copy of the real layout with its debris and errors."""

from __future__ import annotations

import json
import os
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, Call, Fervid
from folders import POINTER, fails, remarked, seen, write
from hypothesis import given
from hypothesis import strategies as some

from fervid import datasets
from fervid.datasets import Dataset, Option, Spec, disk, fer2013, naming, splitting, tagging
from fervid.errors import InputError, UsageError
from fervid.labels import EMOTIONS, LABELS, VALENCE_AROUSAL
from fervid.types.samples import OnDisk, Sample
from fervid.video import source

# --- specs and the registry


def test_every_layout_is_listed_with_a_description() -> None:
    assert datasets.names() == tuple(dict.fromkeys(datasets.names()))
    assert {"afew", "ckplus", "ravdess", "cremad", "fer2013", "folder", "csv"} <= set(datasets.names())
    for layout in datasets.layouts():
        assert layout.description
        assert "\n" not in layout.description
        for name, option in layout.options.items():
            assert option.meaning
            if option.default:
                assert option.check(name, option.default) == option.default


def test_two_layouts_of_one_name_are_an_error() -> None:
    with pytest.raises(ValueError, match="two layouts"):
        datasets.layout("folder", "again")(lambda path, options: Dataset((), ()))


words = some.text(string.ascii_letters + string.digits + "äß漢 ./\\:-_%+", min_size=1)


@given(path=words, usage=some.sampled_from(("Training", "PublicTest", "all")), votes=words)
def test_a_spec_as_text_is_parsed_back(path: str, usage: str, votes: str) -> None:
    for options in ({}, {"usage": usage}, {"usage": usage, "votes": votes}):
        spec = Spec("fer2013", path, options)
        assert datasets.parse(str(spec)) == spec


@given(path=some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_is_parsed_or_an_error(path: str) -> None:
    try:
        spec = datasets.parse(f"folder:{path}")
    except UsageError:
        assert "?" in path or not path
    else:
        assert path.startswith(spec.path)


@pytest.mark.parametrize(
    ("spec", "path", "options"),
    [
        ("fer2013:fer2013.csv?usage=PublicTest", "fer2013.csv", {"usage": "PublicTest"}),
        ("FER2013:fer2013.csv?usage=publictest", "fer2013.csv", {"usage": "PublicTest"}),
        ("fer2013:C:\\sets\\fer2013.csv?usage=all", "C:\\sets\\fer2013.csv", {"usage": "all"}),
        ("fer2013:C:/sets", "C:/sets", {}),
        ("fer2013:a.csv?", "a.csv", {}),
        ("synth:posed?people=007&seed=0", "posed", {"people": "7", "seed": "0"}),
        ("fer2013:a.csv?votes=b?c=d.csv", "a.csv", {"votes": "b?c=d.csv"}),
    ],
)
def test_specs(spec: str, path: str, options: dict[str, str]) -> None:
    asked = datasets.parse(spec)
    assert (asked.path, dict(asked.options)) == (path, options)


@pytest.mark.parametrize(
    "name", ["what?.csv", "a?usage=all", "who?&why.csv", "a:b.csv", "ä漢.csv", "a?b?usage=all"]
)
def test_a_path_that_exists_is_the_path(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    path = str(tmp_path / name)
    assert datasets.parse(f"fer2013:{path}").path == path
    asked = datasets.parse(f"fer2013:{path}?usage=Training")
    assert (asked.path, asked.options) == (path, {"usage": "Training"})


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path, "clips/happy/a.mp4")
    assert seen(datasets.read("folder:~/clips")) == {"happy/a.mp4": "happiness"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("clips/", ["NAME:PATH", "folder:clips/", "ravdess"]),
        ("imagenet:x", ["unknown dataset layout 'imagenet'", "folder", "afew"]),
        ("folder:", ["names no path"]),
        ("folder:?split=train", ["names no path"]),
        ("folder:x?usage=all", ["no option 'usage'", "split, rate"]),
        ("ckplus:x?classes=9", ["classes=9", "6, 7, 8"]),
        ("ckplus:x?classes", ["needs a value"]),
        ("ckplus:x?classes=6&classes=7", ["given twice"]),
        ("ckplus:x?classes=6&", ["no option ''"]),
        ("folder:x?split=", ["split= has no value"]),
        ("folder:x?rate=0", ["rate=0", "above 0"]),
        ("folder:x?rate=fast", ["rate=fast", "number"]),
        ("folder:x?rate=1e99999999", ["rate=1e99999999", "number"]),
        ("synth:posed?people=0", ["people=0", "1 or more"]),
        ("synth:posed?people=many", ["people=many"]),
        ("synth:posed?people=²", ["people=²"]),
        ("synth:hard", ["synth:hard", "posed, medium, spontaneous, weak"]),
        ("fer2013:x?labels=majority", ["labels=majority", "votes="]),
        ("fer2013:x?classes=8", ["classes=8", "votes="]),
    ],
)
def test_invalid_specs_are_errors(tmp_path: Path, spec: str, words: Sequence[str]) -> None:
    (tmp_path / "x").mkdir()
    spec = spec.replace(":x", f":{tmp_path}/x")
    fails(spec, words=words, error=UsageError)


@pytest.mark.parametrize("name", [name for name in datasets.names() if name != "synth"])
def test_every_layout_reports_what_it_expected(tmp_path: Path, name: str) -> None:
    """Try a missing path, an empty folder, a folder of something else, an archive and a pointer."""
    for path in ("nothing", "empty/", "strange/odd.txt", "file.zip", "pointer.csv"):
        write(tmp_path, path, text=POINTER if path.startswith("pointer") else "x")
        (tmp_path / "nothing").unlink(missing_ok=True)
        with pytest.raises(InputError, match="expected") as caught:
            datasets.read(f"{name}:{tmp_path / path.split('/')[0]}")
        assert path.split("/")[0] in str(caught.value)


def test_options_check_their_values() -> None:
    assert Option("a", "", choices=("a", "B")).check("x", "b") == "B"
    assert Option("1", "", least=1).check("x", "010") == "10"
    for default, least, value in (("1", 2, "1"), ("1", 0, "-1"), ("", None, "")):
        with pytest.raises(UsageError):
            Option(default, "", least=least).check("x", value)


def test_an_inconsistent_dataset_is_an_error() -> None:
    sample = Sample("a", "fear", pixels=OnDisk("a.mp4"))
    with pytest.raises(ValueError, match="same name"):
        Dataset(("fear",), (sample, sample))
    with pytest.raises(ValueError, match="usual order"):
        Dataset(("fear", "anger"), ())
    with pytest.raises(ValueError, match="labels that the dataset does not have"):
        Dataset(("anger",), (sample,))
    with pytest.raises(ValueError, match="labels that the dataset does not have"):
        Dataset(("anger",), (Sample("a", "anger", pixels=OnDisk("a"), votes={"anger": 0.5, "fear": 0.5}),))
    with pytest.raises(ValueError, match="calm"):
        naming.ordered(["calm"])


def test_words_for_emotions() -> None:
    assert set(naming.ORDER) == set(VALENCE_AROUSAL) == set(LABELS.values())
    words = {"Happy": "happiness", " JOY ": "happiness", "Afraid": "fear", "calm": None, "": None}
    assert {word: naming.label_of(word) for word in words} == words


# --- the disk


def test_pictures_are_listed_in_the_order_of_the_video_reader(tmp_path: Path) -> None:
    names = ["01.png", "1a.JPG", "1b.jpg", "2.PNG", "10.png"]
    write(tmp_path, *reversed(names), ".hidden.png", "Thumbs.db", "notes.txt", "b/")
    assert disk.pictures(tmp_path) == source.stills(tmp_path)
    assert [path.name for path in disk.pictures(tmp_path)] == names


def test_debris_is_not_listed(tmp_path: Path) -> None:
    write(tmp_path, "__MACOSX/a.png", "@eaDir/", ".git/", ".DS_Store", "desktop.ini", "b/", "c.txt")
    assert disk.contents(tmp_path) == ([tmp_path / "b"], [tmp_path / "c.txt"])


def test_why_a_file_cannot_be_decoded(tmp_path: Path) -> None:
    write(tmp_path, "good.avi", "texts/a.txt", "clip/1.png", "clip/2.png", "none/")
    write(tmp_path, "pointer.avi", "half/2.png", text=POINTER)
    write(tmp_path, "half/1.png")
    write(tmp_path, "empty.avi", text="")
    write(tmp_path, "long.avi", text=POINTER + "x" * 2000)  # longer than any pointer
    reason = disk.undecodable_reason
    dataset = {name: reason(tmp_path / name) for name in ("good.avi", "clip", "long.avi")}
    assert set(dataset.values()) == {None}
    assert reason(tmp_path / "empty.avi") == "empty"
    assert reason(tmp_path / "gone.avi") == reason(tmp_path / "good.avi" / "x") == "missing"
    assert reason(tmp_path / "texts") == reason(tmp_path / "none") == "without pictures"
    for name in ("pointer.avi", "half"):
        assert "git lfs pull" in (reason(tmp_path / name) or "")


def test_unusable_samples_are_left_out_with_a_remark(tmp_path: Path) -> None:
    write(tmp_path, *(f"happy/{n}.mp4" for n in range(5)), text=POINTER)
    fails(f"folder:{tmp_path}", r"none of the 5 samples .*git lfs pull")
    write(tmp_path, "happy/whole.mp4")
    write(tmp_path, "happy/empty.mp4", text="")
    (tmp_path / "happy" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    dataset = datasets.read(f"folder:{tmp_path}")
    assert seen(dataset) == {"happy/whole.mp4": "happiness"}
    assert remarked(dataset, "left out, a Git LFS pointer ... 5 (happy/0.mp4, happy/1.mp4, happy/2.mp4, ...)")
    assert remarked(dataset, "left out, empty: 1 (happy/empty.mp4)", "left out, missing: 1 (happy/gone.mp4)")


# --- folder


def test_a_folder_per_class(tmp_path: Path) -> None:
    write(tmp_path, "Happy/a.MP4", "Happy/notes.txt", "JOY/still.png", "sad/clip/1.png", "sad/clip/2.png")
    write(tmp_path, "sad/bare/readme.md", "Contempt/", "readme.txt")
    write(tmp_path, "__MACOSX/Happy/a.MP4", "Happy/.DS_Store")
    dataset = datasets.read(f"folder:{tmp_path}?rate=30000/1001")
    assert seen(dataset) == {"Happy/a.MP4": "happiness", "JOY/still.png": "happiness", "sad/clip": "sadness"}
    assert dataset.labels == ("happiness", "sadness", "contempt")
    assert remarked(dataset, "neither videos nor pictures ... Happy/notes.txt")
    assert remarked(dataset, "folders without pictures ... sad/bare", "classes without samples: 1 (Contempt)")
    assert remarked(dataset, "beside the class folders ... readme.txt", "not identify people")
    rates = {sample.name: sample.pixels.rate for sample in dataset.samples}
    assert rates == {"Happy/a.MP4": None, "JOY/still.png": None, "sad/clip": Fraction(30000, 1001)}


@pytest.mark.parametrize("above", ["", "archive/", "archive/images/"])
def test_parts_above_the_classes(tmp_path: Path, above: str) -> None:
    write(tmp_path / above, "train/happy/a.avi", "Validation/happy/a.avi", "train/sad/")
    splits = {sample.name: sample.split for sample in datasets.read(f"folder:{tmp_path}").samples}
    assert splits == {"train/happy/a.avi": "train", "Validation/happy/a.avi": "Validation"}
    assert list(seen(datasets.read(f"folder:{tmp_path}?split=validation"))) == ["Validation/happy/a.avi"]
    fails(f"folder:{tmp_path}?split=test", "no part 'test'; its parts are: Validation, train")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["happy/a.mp4", "bored/b.mp4"], ["bored", "not a class", "happy", "contempt"]),
        (["happy/a.mp4", "calm/b.mp4"], ["calm", "not a class"]),
        (["train/happy/a.mp4", "happy/b.mp4"], ["happy", "beside train"]),
        (["a.mp4", "b.mp4"], ["2 files and no folders", "expected"]),
        (["happy/", "sad/"], ["no sample", "classes without samples: 2"]),
    ],
)
def test_folders_that_are_not_classes(tmp_path: Path, names: list[str], words: list[str]) -> None:
    fails(f"folder:{write(tmp_path, *names)}", words=words)


# --- csv


def table(root: Path, text: str, name: str = "list.csv", encoding: str = "utf-8") -> str:
    (root / name).write_text(text, encoding)
    return f"csv:{root / name}"


def test_a_table_with_everything(tmp_path: Path) -> None:
    write(tmp_path, "a.mp4", "b/1.png", "c d.png")
    spec = table(
        tmp_path,
        "\ufeffPath, Label ,subject,split,start,end,Happy,sadness,note\n"
        "a.mp4,happy,anna,train,1.5,3,3,1,nice\n"
        "\n"
        "./a.mp4,Sad,anna,train,3,,0,0,\n"
        "b,FEAR,,test,,,,,\n"
        '"c d.png",neutral,bob,test,,,,2,\n',
    )
    dataset = datasets.read(spec)
    first, second, third, last = dataset.samples
    assert [first.name, second.name, third.name, last.name] == ["a.mp4@1.5-3", "a.mp4@3-", "b", "c d.png"]
    assert list(seen(dataset).values()) == ["happiness", "sadness", "fear", "neutral"]
    assert (first.pixels.start, first.pixels.end) == (Fraction(3, 2), 3)
    assert (first.subject, first.split) == ("anna", "train")
    assert dict(first.votes) == {"happiness": 0.75, "sadness": 0.25}
    assert (dict(second.votes), second.pixels.end) == ({}, None)
    assert (third.pixels.rate, third.subject) == (25, None)
    assert dict(last.votes) == {"sadness": 1.0}
    assert dataset.labels == ("fear", "happiness", "sadness", "neutral")
    assert remarked(dataset, "other columns, for fervid eval --by ... note")
    assert len(datasets.read(f"{spec}?split=TEST").samples) == 2


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_windows_paths(tmp_path: Path, delimiter: str) -> None:
    write(tmp_path, "set/clips/a.mp4")
    spec = table(tmp_path, f"path{delimiter}label\r\nclips\\a.mp4{delimiter}joy\r\n")
    dataset = datasets.read(f"{spec}?root={tmp_path / 'set'}")
    assert seen(dataset) == {"clips/a.mp4": "happiness"}
    assert Path(dataset.samples[0].pixels.path).exists()
    assert remarked(dataset, "no column `subject`")


def test_names_of_absolute_paths_are_the_same_on_every_machine(tmp_path: Path) -> None:
    write(tmp_path, "x/a.mp4", "x/y/b.mp4")
    spec = table(tmp_path, f"path,label\n{tmp_path}/x/a.mp4,sad\n{tmp_path}/x/y/b.mp4,sad\n")
    assert list(seen(datasets.read(spec))) == ["a.mp4", "y/b.mp4"]


def test_a_repeated_row_counts_once(tmp_path: Path) -> None:
    write(tmp_path, "a.mp4")
    dataset = datasets.read(table(tmp_path, "path,label\na.mp4,sad\n./a.mp4,sadness\n"))
    assert len(dataset.samples) == 1
    assert remarked(dataset, "repeated rows, left out: 1 (line 3)")


def test_missing_files_of_a_table_are_remarked(tmp_path: Path) -> None:
    write(tmp_path, "a.mp4")
    dataset = datasets.read(table(tmp_path, "path,label\na.mp4,sad\nb.mp4,sad\n"))
    assert remarked(dataset, "left out, missing: 1 (b.mp4)")
    fails(table(tmp_path, "path,label\nb.mp4,sad\n"), r"none of the 1 samples .* missing")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,label\na.mp4,sad\n", ["line 1", "no column 'path'", "file, label"]),
        ("path\na.mp4\n", ["no column 'label'"]),
        ("path,label,happy,joy\na.mp4,sad,1,1\n", ["two columns mean 'happiness'"]),
        ("path,label\na.mp4,bored\n", ["line 2", "'bored'", "happiness"]),
        ("path,label\n,sad\n", ["line 2", "path is empty"]),
        ("path,label\na.mp4\n", ["line 2", "1 cells, not 2"]),
        ("path,label,start\na.mp4,sad,soon\n", ["start is 'soon'"]),
        ("path,label,start\na.mp4,sad,1/0\n", ["start is '1/0'"]),
        ("path,label,start\na.mp4,sad,-1\n", ["before the start"]),
        ("path,label,start,end\na.mp4,sad,2,2\n", ["end (2 s) is not after start (2 s)"]),
        ("path,label,end\na.mp4,sad,0\n", ["not after start (0 s)"]),
        ("path,label,start\na.mp4,sad,1e9999999\n", ["start is '1e9999999'", "number"]),
        ("path,label,end\na.mp4,sad,1e-9999999\n", ["end is '1e-9999999'", "number"]),
        ("path,label,fear\na.mp4,sad,many\n", ["votes for fear", "'many'"]),
        ("path,label,fear\na.mp4,sad,1e99999999\n", ["votes for fear", "'1e99999999'"]),
        ("path,label,fear\na.mp4,sad,-2\n", ["votes for fear", "below 0"]),
        ("path,label\na.mp4,sad\na.mp4,happy\n", ["line 3", "a.mp4 is happiness here and sadness in line 2"]),
        ("path,label\n/r/a.mp4,sad\na.mp4,sad\n", ["another file in line 2"]),
        ('path,label\n"a.mp4,sad\n', ["not csv"]),
        ("path,label\n", ["no sample"]),
    ],
)
def test_wrong_tables(tmp_path: Path, text: str, words: list[str]) -> None:
    fails(table(write(tmp_path, "a.mp4"), text), words=["list.csv", *words])


def test_a_table_in_another_encoding(tmp_path: Path) -> None:
    fails(table(tmp_path, "path,label\nä.mp4,sad\n", encoding="utf-16"), "UTF-8")


# --- AFEW


@pytest.mark.parametrize(
    "train", ["Train_AFEW/", "Train_AFEW/Train_AFEW/", "Train/Train_AFEW/", "Train_AFEW/VIDEO/"]
)
def test_afew(tmp_path: Path, train: str) -> None:
    write(tmp_path / train, "Angry/000046280.avi", "Happy/010203040.AVI", "Happy/010203040.wav")
    write(tmp_path, "Val_AFEW/Neutral/000123.avi", "Test_AFEW/Angry/9.avi", "Test_AFEW/8.avi", ".DS_Store")
    write(tmp_path, "Train_AFEW/AlignedFaces_LBPTOP_Points/Faces/000046280/000.jpg")
    write(tmp_path, "__MACOSX/Val_AFEW/Sad/1.avi")
    dataset = datasets.read(f"afew:{tmp_path}")
    assert seen(dataset) == {
        "train/Angry/000046280.avi": "anger",
        "train/Happy/010203040.AVI": "happiness",
        "val/Neutral/000123.avi": "neutral",
    }
    assert dataset.labels == EMOTIONS
    assert {sample.subject for sample in dataset.samples} == {None}
    assert remarked(dataset, "AlignedFaces", "test ... withheld", "773", "383", "nor films")
    assert remarked(dataset, "not videos ... .wav")
    assert [s.name for s in datasets.read(f"afew:{tmp_path}?split=val").samples] == ["val/Neutral/000123.avi"]
    split = splitting.official(dataset.samples)
    assert [len(split.train), len(split.validation), len(split.test)] == [2, 0, 1]


def test_afew_from_one_part_and_from_above(tmp_path: Path) -> None:
    write(tmp_path, "AFEW/Train_AFEW/Angry/1.avi", "AFEW/Train_AFEW/Train_AFEW/Angry/1.avi")
    whole, part = datasets.read(f"afew:{tmp_path}"), datasets.read(f"afew:{tmp_path}/AFEW/Train_AFEW")
    assert seen(whole) == seen(part) == {"train/Angry/1.avi": "anger"}
    assert remarked(whole, "found twice, read once: 1")


def test_afew_of_no_part(tmp_path: Path) -> None:
    fails(
        f"afew:{write(tmp_path, 'Clips/Angry/1.avi')}",
        r"in neither the training nor the validation part.*Val_AFEW.*folder:",
    )
    fails(f"afew:{write(tmp_path / 'other', 'Test_AFEW/Angry/1.avi')}", r"is not AFEW.*Test_AFEW")


# --- CK+


def ckplus(root: Path, images: str = "cohn-kanade-images", emotion: str = "Emotion") -> Path:
    """Write four labelled sequences of three people, one without a label, and debris of archives."""
    for sequence, frames, code in (
        ("S005/001", (1, 2, 4, 5, 11), 3),  # frame numbers skip
        ("S010/002", (1, 2, 3, 4), 2),
        ("S010/004", (1, 2, 3), 5),
        ("S999/003", (1, 2, 3, 4), 7),
        ("S010/006", (1, 2), None),
    ):
        prefix = f"{sequence.replace('/', '_')}_"
        suffix = "PNG" if sequence == "S999/003" else "png"
        write(root / images / sequence, *(f"{prefix}{frame:08}.{suffix}" for frame in frames))
        write(root, f"{images}/{sequence}/.DS_Store", f"{emotion}/{sequence}/")
        if code is not None:
            label = f"{prefix}{frames[-1]:08}_emotion.txt"
            write(root / emotion / sequence, label, text=f"   {code}.0000000e+00\n")
    write(root, f"{images}/.DS_Store", f"{emotion}/.DS_Store", f"{emotion}/S010/.DS_Store")
    return root


CKPLUS = ["S005/001", "S010/002", "S010/004", "S999/003"]


def test_ckplus(tmp_path: Path) -> None:
    dataset = datasets.read(f"ckplus:{ckplus(tmp_path)}")
    assert list(seen(dataset)) == CKPLUS
    assert list(seen(dataset).values()) == ["disgust", "contempt", "happiness", "surprise"]
    assert dataset.labels == (*naming.BASIC, "contempt")
    assert {sample.subject for sample in dataset.samples} == {"S005", "S010", "S999"}
    assert {sample.pixels.rate for sample in dataset.samples} == {30}
    assert remarked(dataset, "sequences without a label ... 1 (S010/006)")
    assert remarked(dataset, "4 labelled sequences; the whole set has 327")


def test_ckplus_classes_and_frames(tmp_path: Path) -> None:
    ckplus(tmp_path)
    six = datasets.read(f"ckplus:{tmp_path}?classes=6")
    assert six.labels == naming.BASIC
    assert "S010/002" not in seen(six)
    assert remarked(six, "contempt ... not among the 6 classes")
    eight = datasets.read(f"ckplus:{tmp_path}?classes=8")
    assert eight.labels == naming.ORDER
    first = next(sample for sample in eight.samples if sample.name == "S005/001/first")
    assert (first.label, first.pixels.frames) == ("neutral", (0, 1))
    assert Counter(seen(eight).values())["neutral"] == 4
    peak = datasets.read(f"ckplus:{tmp_path}?frames=peak&classes=8")
    of_one = {name[-6:-4]: label for name, label in seen(peak).items() if name.startswith("S005/001")}
    assert of_one == {"04": "disgust", "05": "disgust", "11": "disgust", "01": "neutral"}
    # All three pictures of a short sequence are the apex: none is neutral.
    assert [label for name, label in seen(peak).items() if name.startswith("S010/004")] == ["happiness"] * 3


@pytest.mark.parametrize(
    ("images", "emotion", "named"),
    [
        ("cohn-kanade-images", "Emotion", "cohn-kanade-images"),
        ("cohn-kanade-images", "Emotion_labels/Emotion", ""),
        ("Cohn-Kanade-Images", "emotion", ""),
        ("extended-cohn-kanade-images/cohn-kanade-images", "Emotion_labels/Emotion", ""),
        ("extended-cohn-kanade-images/cohn-kanade-images", "Emotion", "extended-cohn-kanade-images"),
        ("extended/cohn-kanade-images", "Emotion", "extended/cohn-kanade-images"),
        ("CK+/cohn-kanade-images", "CK+/Emotion", ""),
        ("pictures", "Emotion", "pictures"),
        ("cohn-kanade-images", "Emotion", "Emotion"),
    ],
)
def test_ckplus_however_it_was_unpacked(tmp_path: Path, images: str, emotion: str, named: str) -> None:
    dataset = datasets.read(f"ckplus:{ckplus(tmp_path, images, emotion) / named}")
    assert list(seen(dataset)) == CKPLUS


def test_ckplus_with_oddities(tmp_path: Path) -> None:
    ckplus(tmp_path)
    write(tmp_path, "Emotion/S020/001/a_emotion.txt", text="nan")
    write(tmp_path, "Emotion/S020/002/a_emotion.txt", text="9.0")
    write(tmp_path, "Emotion/S020/003/a_emotion.txt", text="   1.0000000e+00")  # without pictures
    write(tmp_path, "Emotion/S020/004/a_emotion.txt", text="   0.0000000e+00")
    (tmp_path / "Emotion/S020/005").mkdir()
    (tmp_path / "Emotion/S020/005/a_emotion.txt").write_bytes(b"\xff\xfe1")
    write(tmp_path, "Emotion/other/001/")
    write(tmp_path, "cohn-kanade-images/S010/002/S010_002_00000002.png", text="")
    dataset = datasets.read(f"ckplus:{tmp_path}")
    assert "S010/002" not in seen(dataset)
    assert remarked(dataset, "left out, empty: 1 (S010/002)", "labels that cannot be read ... : 3 (S020/001")
    assert remarked(dataset, "without pictures ... S020/003", "neutral ... S020/004")
    assert remarked(dataset, "not of a person ... other")


def test_ckplus_halves(tmp_path: Path) -> None:
    write(tmp_path / "a", "cohn-kanade-images/S005/001/S005_001_00000001.png", "Emotion/")
    fails(f"ckplus:{tmp_path / 'a'}", r"no labels of CK\+.*Emotion_labels.zip")
    write(tmp_path / "b", "Emotion/S005/001/a.txt")
    for named in ("b", "b/Emotion"):
        fails(f"ckplus:{tmp_path / named}", "no pictures of CK\\+")


@pytest.mark.parametrize("above", ["", "CK+48/"])
def test_ckplus48(tmp_path: Path, above: str) -> None:
    write(tmp_path / above, *(f"anger/S010_004_000000{n}.png" for n in (17, 18, 19)))
    write(tmp_path / above, "happy/S026_006_00000013.png", "happy/copy.png")
    write(tmp_path / above, "contempt/S138_008_00000007.PNG", "extra/x.png")
    dataset = datasets.read(f"ckplus48:{tmp_path}")
    assert Counter(seen(dataset).values()) == {"anger": 3, "happiness": 1, "contempt": 1}
    assert {sample.subject for sample in dataset.samples} == {"S010", "S026", "S138"}
    assert "anger/S010_004_00000017.png" in seen(dataset)
    assert remarked(dataset, "981", "not pictures of CK+ ... copy.png", "not a class ... extra")
    six = datasets.read(f"ckplus48:{tmp_path}?classes=6")
    assert "contempt" not in six.labels
    assert remarked(six, "pictures of contempt")


# --- RAVDESS


@pytest.mark.parametrize(
    "above", ["Actor_01/", "Video_Speech_Actor_01/Actor_01/", "all/Video_Speech_Actor_01/Actor_01/"]
)
def test_ravdess(tmp_path: Path, above: str) -> None:
    codes = ["01-01-01-01-01-01-01", "02-01-03-01-01-01-01", "01-01-03-01-01-01-01", "02-01-05-02-01-01-01"]
    codes += ["01-01-02-01-01-01-01", "01-02-04-01-01-01-01", "01-01-09-01-01-01-01"]
    write(tmp_path, *(f"{above}{code}.mp4" for code in codes), f"{above}03-01-06-01-01-01-01.wav")
    write(tmp_path, f"{above.replace('01', '02')}01-01-08-01-02-02-02.MP4")
    dataset = datasets.read(f"ravdess:{tmp_path}")
    assert seen(dataset) == {
        "Actor_01/01-01-01-01-01-01": "neutral",
        "Actor_01/01-03-01-01-01-01": "happiness",
        "Actor_01/01-05-02-01-01-01": "anger",
        "Actor_02/01-08-01-02-02-02": "surprise",
    }
    assert {sample.subject for sample in dataset.samples} == {"Actor_01", "Actor_02"}
    happy = next(sample for sample in dataset.samples if sample.label == "happiness")
    assert Path(happy.pixels.path).name == "01-01-03-01-01-01-01.mp4"  # the one with sound, of two
    assert remarked(dataset, "same pictures ... : 1", "sound files ... .wav", "song ... : 1")
    assert remarked(dataset, "calm ... skip", "not videos ... -09-")
    everything = Counter(seen(datasets.read(f"ravdess:{tmp_path}?channel=all&calm=neutral")).values())
    assert everything == {"neutral": 2, "happiness": 1, "anger": 1, "sadness": 1, "surprise": 1}
    song = datasets.read(f"ravdess:{tmp_path}?channel=song")
    assert seen(song) == {"Actor_01/02-04-01-01-01-01": "sadness"}


# --- CREMA-D


def cremad(root: Path, text: str = "x") -> Path:
    names = ["1001_DFA_ANG_XX.flv", "1001_IEO_HAP_HI.FLV", "1040_ITH_SAD_X.flv", "1002_TIE_NEU_XX.flv"]
    write(root, *(f"VideoFlash/{name}" for name in names), text=text)
    write(root, "AudioWAV/1001_DFA_ANG_XX.wav", "VideoDemographics.csv", "VideoFlash/.DS_Store")
    return root


def votes_of_cremad(root: Path) -> Path:
    write(root, "processedResults/")
    (root / "processedResults/summaryTable.csv").write_text(
        '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'
        '"1","1001_DFA_ANG_XX","N","71.67","D","57","A","57.38"\n'
        '"2","1001_IEO_HAP_HI","H","60.14","A:F","30.67:51.00","H","63.5"\n'
        '"3","1040_ITH_SAD_XX","S","60.14","S","50","S","63.5"\n'
        '"4","1050_ITH_SAD_XX","S","60.14","S","50","S","63.5"\n'
    )
    (root / "processedResults/tabulatedVotes.csv").write_text(
        '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"\n'
        '"100001",9,0,0,0,1,0,"1001_DFA_ANG_XX",10,0.9,"A"\n'
        '"200001",2,6,0,0,0,0,"1001_DFA_ANG_XX",8,0.75,"D"\n'
        '"300001",9,0,0,0,1,0,"1001_DFA_ANG_XX",10,0.9,"A"\n'
        '"200003",0,0,0,0,1,3,"1040_ITH_SAD_XX",4,0.75,"S"\n'
    )
    return root


@pytest.mark.parametrize("named", ["", "VideoFlash", ".."])
def test_cremad_as_intended(tmp_path: Path, named: str) -> None:
    dataset = datasets.read(f"cremad:{cremad(tmp_path / 'CREMA-D') / named}")
    assert seen(dataset) == {
        "1001_DFA_ANG_XX.flv": "anger",
        "1001_IEO_HAP_HI.FLV": "happiness",
        "1002_TIE_NEU_XX.flv": "neutral",
        "1040_ITH_SAD_X.flv": "sadness",
    }
    assert dataset.labels == ("anger", "disgust", "fear", "happiness", "sadness", "neutral")
    assert {sample.subject for sample in dataset.samples} == {"1001", "1002", "1040"}
    assert remarked(dataset, "4 videos; the whole set has 7,442")


def test_cremad_as_seen(tmp_path: Path) -> None:
    dataset = datasets.read(f"cremad:{votes_of_cremad(cremad(tmp_path))}?labels=face")
    assert seen(dataset) == {"1001_DFA_ANG_XX.flv": "disgust", "1040_ITH_SAD_X.flv": "sadness"}
    assert [dict(sample.votes) for sample in dataset.samples] == [
        {"anger": 0.25, "disgust": 0.75},
        {"sadness": 0.75, "neutral": 0.25},
    ]
    assert remarked(dataset, "tied ... 1 (1001_IEO_HAP_HI.FLV)")
    assert remarked(dataset, "not in the table ... 1 (1002_TIE_NEU_XX.flv)")


def test_cremad_without_its_tables(tmp_path: Path) -> None:
    fails(f"cremad:{cremad(tmp_path)}?labels=face", r"summaryTable.csv is missing.*labels=face")
    votes_of_cremad(tmp_path)
    (tmp_path / "processedResults/tabulatedVotes.csv").unlink()
    dataset = datasets.read(f"cremad:{tmp_path}?labels=face")
    assert [dict(sample.votes) for sample in dataset.samples] == [{}, {}]
    assert remarked(dataset, "no processedResults/tabulatedVotes.csv")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("summaryTable.csv", '"","FileName","VoiceVote"\n', "no column 'facevote'"),
        ("summaryTable.csv", POINTER, "Git LFS pointer"),
        ("tabulatedVotes.csv", '"",A,D,F,H,N,S,fileName\nx,1,1,1,1,1,1,1001_DFA\n', "row without numbers"),
        ("tabulatedVotes.csv", "A,D\n1,2\n", "no column ''"),
    ],
)
def test_cremad_with_wrong_tables(tmp_path: Path, name: str, text: str, words: str) -> None:
    votes_of_cremad(cremad(tmp_path))
    (tmp_path / "processedResults" / name).write_text(text)
    fails(f"cremad:{tmp_path}?labels=face", words)


def test_cremad_cloned_without_lfs(tmp_path: Path) -> None:
    fails(f"cremad:{cremad(tmp_path, POINTER)}", r"none of the 4 samples .*git lfs pull")


# --- FER2013 and FER+

HEAD = "emotion,pixels,Usage\n"
TAGS = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
PARTS = ("Training", "Training", "Training", "PublicTest", "PrivateTest")
VOTES = (
    (4, 0, 0, 0, 6, 0, 0, 0, 0, 0),  # anger
    (0, 5, 0, 0, 0, 0, 0, 0, 5, 0),  # half is not a majority
    (0, 0, 0, 0, 1, 1, 0, 8, 0, 0),  # contempt
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 10),  # no face
    (7, 0, 0, 3, 0, 0, 0, 0, 0, 0),  # neutral
)


def picture(seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 256, (48, 48))
    values[0, :4] = (0, 9, 10, 255)
    return values


def pixels(seed: int) -> str:
    return " ".join(map(str, picture(seed).ravel()))


def fer(root: Path, *more: str, has_votes: bool = True) -> Path:
    rows = [f"{row},{pixels(row)},{part}\n" for row, part in enumerate(PARTS)]
    (root / "fer2013.csv").write_text(HEAD + "".join(rows) + "".join(more))
    if has_votes:
        tags = [f"{part},fer{n:07}.png,{','.join(map(str, VOTES[n]))}\n" for n, part in enumerate(PARTS)]
        (root / "fer2013new.csv").write_text(TAGS + "".join(tags))
    return root / "fer2013.csv"


def test_fer2013(tmp_path: Path) -> None:
    dataset = datasets.read(f"fer2013:{fer(tmp_path)}")
    assert seen(dataset) == {
        "Training/00000": "anger",
        "Training/00001": "disgust",
        "Training/00002": "fear",
        "PublicTest/00003": "happiness",
        "PrivateTest/00004": "sadness",
    }
    for row, sample in enumerate(dataset.samples):
        assert sample.pixels.luma.dtype == np.uint8
        assert (sample.pixels.luma == picture(row)).all()
        assert sample.split == PARTS[row]
        assert not sample.votes
    assert remarked(dataset, "5 rows; the whole set has 35,887")
    public = datasets.read(f"fer2013:{tmp_path}?usage=PublicTest")  # the path may be a folder
    assert list(seen(public)) == ["PublicTest/00003"]
    parts = splitting.official(dataset.samples)
    assert [len(parts.train), len(parts.validation), len(parts.test)] == [3, 1, 1]


def test_fer2013_in_the_other_order_of_columns(tmp_path: Path) -> None:
    rows = [f"{row}, {part},{pixels(row)}\r\n" for row, part in enumerate(PARTS)]
    text = "\ufeffemotion, Usage, pixels\r\n" + "".join(rows)
    (tmp_path / "icml_face_data.csv").write_text(text, encoding="utf-8", newline="")
    other = datasets.read(f"fer2013:{tmp_path}/icml_face_data.csv")
    fer(tmp_path, has_votes=False)
    usual = datasets.read(f"fer2013:{tmp_path}/fer2013.csv")
    assert seen(other) == seen(usual)
    for ours, theirs in zip(other.samples, usual.samples, strict=True):
        assert (ours.pixels.luma == theirs.pixels.luma).all()


def test_fer2013_with_odd_rows(tmp_path: Path) -> None:
    good, black = pixels(1), " ".join(["0"] * 2304)
    odd = [f"7,{good},Training\n", f"x,{good},Training\n", "0,1 2 3,Training\n", f"0,{good},Other\n"]
    odd += [f"0,{good[:-1]}x,Training\n", f"0,{'256' + good[1:]},Training\n", "\n", "0,1,2,3\n"]
    odd += [f"0,{good.replace(' ', '  ', 1)},Training\n", f'0,"{black}","Training"\n', "0,7 7"]
    dataset = datasets.read(f"fer2013:{fer(tmp_path, *odd)}")
    assert len(dataset.samples) == 6
    assert remarked(dataset, "not a code from 0 to 6 ... 2 (row 5, row 6)")
    assert remarked(dataset, "without 48x48 pixels ... : 4 (row 7, row 9, row 10, ...)")
    assert remarked(dataset, "unknown part ... row 8", "too few or too many columns ... 2 (row 11, row 14)")
    assert remarked(dataset, "black pictures ... Training/00013")


@given(values=some.lists(some.integers(0, 255), min_size=4, max_size=4), seed=some.integers(0, 99))
def test_numbers_are_read_as_they_are_written(values: list[int], seed: int) -> None:
    square = picture(seed)
    square[-1, -4:] = values
    read = fer2013._numbers(" ".join(map(str, square.ravel())).encode())
    assert read is not None and (read == square).all()


def test_votes(tmp_path: Path) -> None:
    spec = f"fer2013:{fer(tmp_path)}?votes=fer2013new.csv"
    soft = {sample.name: dict(sample.votes) for sample in datasets.read(spec).samples}
    assert soft == {
        "Training/00000": {"anger": 0.6, "neutral": 0.4},
        "Training/00001": {"happiness": 1.0},
        "Training/00002": {"anger": 0.5, "disgust": 0.5},
        "PublicTest/00003": {},
        "PrivateTest/00004": {"sadness": 0.3, "neutral": 0.7},
    }
    eight = datasets.read(f"{spec}&classes=8")
    assert eight.labels == naming.ORDER
    assert dict(eight.samples[2].votes) == {"anger": 0.1, "disgust": 0.1, "contempt": 0.8}
    agreed = datasets.read(f"{spec}&labels=majority")
    assert seen(agreed) == {"Training/00000": "anger", "PrivateTest/00004": "neutral"}
    assert remarked(agreed, "did not agree ... : 3 (")
    assert seen(datasets.read(f"{spec}&labels=majority&classes=8"))["Training/00002"] == "contempt"
    test = datasets.read(f"{spec}&labels=majority&usage=PrivateTest")  # rows are numbered in the whole table
    assert seen(test) == {"PrivateTest/00004": "neutral"}


def test_labels_agree_with_a_plain_count() -> None:
    rng = np.random.default_rng(5)
    votes = rng.multinomial(10, [0.1] * 10, 300) * (rng.random((300, 10)) < 0.4)
    for chosen in (EMOTIONS, naming.ORDER):
        for row, verdict in zip(votes, tagging.label([0] * 300, votes, chosen, True, True), strict=True):
            of = dict(zip(tagging.COLUMNS, row.tolist(), strict=True))
            agreed = [name for name in chosen if of[name] > row.sum() / 2]
            assert verdict is None if not agreed else verdict is not None and [verdict[0]] == agreed
            if verdict is not None:
                assert sum(verdict[1].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda text: text.replace("Training", "PublicTest", 1), "different parts"),
        (lambda text: text.rsplit("\n", 2)[0] + "\n", "row 4 .* different parts"),
        (lambda text: text + "PrivateTest,,0,0,0,0,0,0,0,0,0,0\n", "5 rows and FER\\+'s table 6"),
        (lambda text: text.replace("contempt", "scorn"), "no column 'contempt'"),
        (lambda text: text.replace(",6,", ",six,", 1), "row 0 .* cannot be read"),
        (lambda text: text + "PrivateTest,1\n", "row 5 .* cannot be read"),
        (lambda text: POINTER, "Git LFS pointer"),
        (lambda text: "", "empty"),
    ],
)
def test_votes_of_another_set(tmp_path: Path, break_it: Callable[[str], str], words: str) -> None:
    table, tags = fer(tmp_path), tmp_path / "fer2013new.csv"
    tags.write_text(break_it(tags.read_text()))
    fails(f"fer2013:{table}?votes={tags}", words)


def test_fer2013_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, "train/angry/1.jpg")
    fails(f"fer2013:{tmp_path}", r"fer2013.csv .* or icml_face_data.csv .* found train/; .*folder:")
    write(tmp_path, "other.csv", text="a,b\n1,2\n")
    fails(f"fer2013:{tmp_path}/other.csv", "its first line is a, b")
    fails(f"fer2013:{fer(tmp_path)}?votes=no.csv", r"no.csv is missing; expected FER\+")


# --- packs


def pack(root: Path, **changes: object) -> str:
    arrays: dict[str, object] = {
        "images": np.stack([picture(row) for row in range(5)]).astype(np.uint8),
        "fer2013": np.arange(5, dtype=np.uint8),
        "votes": np.array(VOTES, np.uint8),
        "usage": np.array([0, 0, 0, 1, 1], np.uint8),
        "duplicates_validation": np.array([False, True, False, False, False]),
    }
    arrays = {name: value for name, value in (arrays | changes).items() if value is not None}
    np.savez(root / "pack.npz", **arrays)  # type: ignore[arg-type]
    return f"ferplus:{root / 'pack.npz'}"


def test_ferplus(tmp_path: Path) -> None:
    spec = pack(tmp_path)
    dataset = datasets.read(spec)
    assert seen(dataset) == {
        "Training/00000": "anger",
        "Training/00002": "fear",
        "PublicTest/00003": "happiness",
        "PublicTest/00004": "sadness",
    }
    assert remarked(dataset, "near-duplicates ... 1 (Training/00001)")
    assert dict(dataset.samples[0].votes) == {"anger": 0.6, "neutral": 0.4}
    assert (dataset.samples[1].pixels.luma == picture(2)).all()
    assert len(datasets.read(f"{spec}?duplicates=keep").samples) == 5
    assert not any(sample.votes for sample in datasets.read(f"{spec}?votes=no").samples)
    assert list(seen(datasets.read(f"{spec}?usage=publictest"))) == ["PublicTest/00003", "PublicTest/00004"]
    agreed = seen(datasets.read(f"{spec}?labels=majority&classes=8&duplicates=keep"))
    assert agreed == {"Training/00000": "anger", "Training/00002": "contempt", "PublicTest/00004": "neutral"}
    fails(f"{spec}?usage=PrivateTest", "no sample")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": None, "webp": np.zeros(9, np.uint8), "offset": np.zeros(6, int)}, "picture 0 .* decoded"),
        ({"votes": None}, "no array 'votes'"),
        ({"votes": np.zeros((5, 8), np.uint8)}, "10 columns"),
        ({"usage": np.zeros(4, np.uint8)}, "'usage' .* 5 rows"),
        ({"usage": np.full(5, 3, np.uint8)}, "'usage' .* 0 to 2"),
        ({"fer2013": np.full(5, 9)}, "'fer2013' .* 0 to 6"),
        ({"fer2013": np.zeros(5)}, "'fer2013' .* kind i or u"),
        ({"images": np.zeros((5, 48, 48, 3), np.uint8)}, "3 axes"),
        ({"images": np.zeros((5, 48, 48), np.uint16)}, "not uint8"),
        ({"fer2013": np.array([None] * 5)}, "not a pack that can be read"),
    ],
)
def test_wrong_packs(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    fails(pack(tmp_path, **changes), words)


def test_a_pack_may_have_encoded_pictures(tmp_path: Path) -> None:
    plain = datasets.read(pack(tmp_path))
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101]
    coded = [cv2.imencode(".webp", picture(row).astype(np.uint8), lossless)[1] for row in range(5)]
    offset = np.cumsum([0, *map(len, coded)])
    dataset = datasets.read(pack(tmp_path, images=None, webp=np.concatenate(coded), offset=offset))
    for ours, theirs in zip(dataset.samples, plain.samples, strict=True):
        assert ours.name == theirs.name
        assert (ours.pixels.luma == theirs.pixels.luma).all()


def test_damaged_packs(tmp_path: Path) -> None:
    spec = pack(tmp_path)
    file = tmp_path / "pack.npz"
    whole = file.read_bytes()
    np.save(tmp_path / "one.npy", np.zeros(3))
    flipped = whole[:300] + bytes([whole[300] ^ 255]) + whole[301:]
    for damage in (whole[:500], flipped, b"PK\x03\x04", (tmp_path / "one.npy").read_bytes(), b"hello"):
        file.write_bytes(damage)
        fails(spec, r"pack\.npz")


def test_portraits(tmp_path: Path) -> None:
    images, person = np.zeros((4, 144, 144), np.uint8), np.array(["Ann_B", "Ann_B", "", "Émile"])
    np.savez(tmp_path / "p.npz", images=images, person=person, label=np.array([7, 4, 1, 0]))
    dataset = datasets.read(f"portraits:{tmp_path / 'p.npz'}")
    assert seen(dataset) == {"Ann_B/00000": "neutral", "Ann_B/00001": "happiness", "Émile/00003": "anger"}
    assert remarked(dataset, "contempt ... : 1 (/00002)")
    eight = datasets.read(f"portraits:{tmp_path / 'p.npz'}?classes=8")
    assert [sample.subject for sample in eight.samples] == ["Ann_B", "Ann_B", None, "Émile"]
    np.savez(tmp_path / "p.npz", images=images, person=person, label=np.array([7, 4, 1, 8]))
    fails(f"portraits:{tmp_path / 'p.npz'}", "label 8 in row 3")


# --- drawn faces


def test_synth() -> None:
    dataset = datasets.read("synth:posed?people=3&per_class=6&classes=8&seed=1")
    assert dataset.labels == naming.ORDER
    assert len(dataset.samples) == 3 * 2 * 8
    assert len({sample.subject for sample in dataset.samples}) == 3
    assert all(sample.pixels.name for sample in dataset.samples)
    again = datasets.read("synth:posed?people=3&per_class=6&classes=8&seed=1")
    other = datasets.read("synth:posed?people=3&per_class=6&classes=8&seed=2")
    drawn = [[sample.pixels.name for sample in each.samples] for each in (dataset, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]


# --- splits


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


# --- the command


def test_layouts_are_listed(call: Call) -> None:
    listed = json.loads(call("datasets", "list", "--json").stdout)["layouts"]
    assert [each["name"] for each in listed] == list(datasets.names())
    assert listed[0]["options"]["split"]["default"] == "all"
    plain = call("datasets", "list").stdout
    assert all(name in plain for name in datasets.names())
    assert "usage=all|Training|PublicTest|PrivateTest" in plain


def test_a_dataset_is_checked(call: Call, tmp_path: Path) -> None:
    write(tmp_path, "clips/train/happy/a.mp4", "clips/test/sad/b/1.png", "clips/test/sad/c.jpg")
    write(tmp_path, "clips/train/happy/empty.mp4", text="")
    done = call("datasets", "check", "folder:clips", "--json")
    facts = json.loads(done.stdout)
    assert done.returncode == 0
    assert (facts["layout"], facts["path"], facts["options"]) == ("folder", "clips", {})
    assert (facts["samples"], facts["subjects"], facts["samples_without_subject"]) == (3, 0, 3)
    assert facts["samples_per_label"] == {"happiness": 1, "sadness": 2}
    assert facts["samples_per_split"]["test"] == {"happiness": 0, "sadness": 2}
    assert facts["kinds"] == {"videos": 1, "folders": 1, "pictures": 1}
    assert facts["samples_with_votes"] == 0
    plain = call("datasets", "check", "folder:clips").stdout
    assert "3 samples" in plain
    assert "people: not known" in plain
    assert "- left out, empty: 1 (train/happy/empty.mp4)" in plain
    assert [line.split() for line in plain.splitlines() if "sadness" in line] == [["sadness", "2", "0", "2"]]


def test_people_are_counted(call: Call, tmp_path: Path) -> None:
    write(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    table(tmp_path, "path,label,subject\na.mp4,sad,anna\nb.mp4,sad,bob\nc.mp4,sad,\n")
    plain = call("datasets", "check", "csv:list.csv").stdout
    assert "people: 2, not known for 1 samples" in plain
    assert [line.split() for line in plain.splitlines() if "sadness" in line] == [["sadness", "3"]]


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ("folder:none", 1, "there is no folder none"),
        ("folder:.?a=b", 2, "no option 'a'"),
        ("x:y", 2, "unknown"),
        ("folder:\udcff", 1, "there is no folder"),
    ],
)
def test_an_unusable_dataset(call: Call, spec: str, code: int, words: str) -> None:
    done = call("datasets", "check", spec, "--json")
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_names_that_are_not_text_are_shown(call: Call, tmp_path: Path) -> None:
    write(tmp_path, "clips/sad/a.mp4")
    try:
        write(tmp_path, "clips/sad/\udcff.txt", "clips/sad/\udcfe.mp4")
    except OSError:
        pytest.skip("this file system does not allow such names")
    assert "sad/\ufffd.txt" in call("datasets", "check", "folder:clips").stdout
    assert json.loads(call("datasets", "check", "folder:clips", "--json").stdout)["samples"] == 2


def test_the_command_does_not_import_torch_or_opencv(fervid: Fervid, tmp_path: Path) -> None:
    write(tmp_path, "clips/sad/a.mp4")
    for name in ("torch", "cv2", "dlib", "scipy", "av"):
        write(tmp_path, f"{name}.py", text="raise ImportError('not needed')")
    done = fervid("datasets", "check", "folder:clips", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert (done.returncode, done.stderr) == (0, "")


# --- the documentation


@pytest.mark.parametrize("layout", datasets.layouts(), ids=lambda layout: layout.name)
def test_every_layout_and_option_is_documented(layout: datasets.Layout) -> None:
    text = (ROOT / "docs" / "datasets.md").read_text("utf-8")
    _, heading, rest = text.partition(f"\n## `{layout.name}`")
    assert heading
    section = rest.partition("\n## ")[0]
    for name, option in layout.options.items():
        assert re.search(rf"\| `{name}=[^|]*` ", section.replace("\\|", "/")), name
        for choice in option.choices:
            assert choice in section
