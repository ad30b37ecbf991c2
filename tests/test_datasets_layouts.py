"""Test the layouts of datasets: folders, tables, AFEW, CK+, RAVDESS and CREMA-D."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from folders import POINTER, fails, remarked, seen, write

from fervid import datasets
from fervid.datasets import naming, splitting
from fervid.labels import EMOTIONS

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
