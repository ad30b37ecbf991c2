"""`ckplus`: CK+, the Extended Cohn-Kanade set: sequences of stills from a neutral face to the apex."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

from fervid.datasets import Dataset, Option, apex, disk, layout, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import display_name
from fervid.labels import CONTEMPT, NEUTRAL
from fervid.types.samples import Sample

EXPECTED = "CK+'s folder, with cohn-kanade-images/S005/001/*.png and Emotion/S005/001/*_emotion.txt"
PICTURES = (
    "cohn-kanade-images",
    "extended-cohn-kanade-images/cohn-kanade-images",
    "extended-cohn-kanade-images",
)
LABELS = ("Emotion", "Emotion_labels/Emotion", "Emotion_labels")
CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
PERSON = re.compile(r"S\d{3}", re.IGNORECASE)
RATE = Fraction(30)  # pictures per second
LABELLED = 327  # sequences of the whole set

CLASSES = {
    "6": naming.BASIC,
    "7": (*naming.BASIC, CONTEMPT),
    "8": naming.ORDER,
}


@layout(
    "ckplus",
    "CK+: sequences of stills, neutral to apex, 6, 7 or 8 classes",
    classes=Option("7", "6 without contempt, 7 with it, 8 with neutral from first pictures", ("6", "7", "8")),
    frames=apex.FRAMES,
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the labelled sequences."""
    pictures, emotions = _find(disk.folder(path, EXPECTED), path)
    labels, remarks = CLASSES[options["classes"]], Remarks()
    samples: list[Sample] = []
    labelled = 0
    for name, label in _labels(emotions, remarks):
        labelled += 1
        if label not in labels:
            remarks.count(f"sequences of {label}, which is not among the {len(labels)} classes", name)
            continue
        folder = pictures / name
        files = disk.pictures(folder) if folder.is_dir() else []
        if not files:
            remarks.count("labelled sequences without pictures, left out", name)
            continue
        subject, has_neutral = name.split("/")[0], NEUTRAL in labels
        samples += apex.samples(name, label, files, subject, RATE, options["frames"], has_neutral)
    if labelled != LABELLED:
        remarks.add(f"{labelled} labelled sequences; the whole set has {LABELLED}, of 118 people")
    return Dataset(labels, tuple(samples), remarks.texts())


def _find(root: Path, path: str) -> tuple[Path, Path]:
    """Return the folders of pictures and labels; `root` may be any of the usual nested folders."""
    folders = [root, *disk.folders(root)]
    if _has_people(root) or disk.find_path(root, PICTURES[0]) is not None:
        folders += [root.parent, root.parent.parent]
    pictures = _first(folders, PICTURES)
    if pictures is None and _has_people(root) and _first([root.parent], LABELS) != root:
        pictures = root  # with another name
    if pictures is None:
        raise InputError(
            f"{display_name(path)} has no pictures of CK+: expected {EXPECTED}; {disk.listing(root)}"
        )
    emotions = _first(folders, LABELS)
    if emotions is None:
        raise InputError(
            f"{display_name(path)} has no labels of CK+: expected {EXPECTED}; unpack the separate archive "
            "Emotion_labels.zip beside the pictures"
        )
    return pictures, emotions


def _first(folders: list[Path], names: tuple[str, ...]) -> Path | None:
    for folder in folders:
        for name in names:
            match = disk.find_path(folder, name)
            if match is not None and _has_people(match):
                return match
    return None


def _has_people(folder: Path) -> bool:
    return any(PERSON.fullmatch(below.name) for below in disk.folders(folder))


def _labels(emotions: Path, remarks: Remarks) -> Iterator[tuple[str, str]]:
    """Yield each labelled sequence, such as S005/001, with its label."""
    for person in disk.folders(emotions):
        if not PERSON.fullmatch(person.name):
            remarks.count("folders of labels that are not of a person, left out", person.name)
            continue
        for sequence in disk.folders(person):
            name = f"{person.name}/{sequence.name}"
            files = [file for file in disk.files(sequence) if file.suffix.lower() == ".txt"]
            if not files:
                remarks.count("sequences without a label (their label folder is empty)", name)
                continue
            label = _label(files[0])
            if label is None:
                remarks.count("labels that cannot be read, left out", f"{name}/{files[0].name}")
            else:
                yield name, label


def _label(file: Path) -> str | None:
    """Read a label file, a number such as `   3.0000000e+00`."""
    try:
        number = float(file.read_text("ascii"))
    except ValueError:  # includes UnicodeDecodeError
        return None
    return CODES[int(number)] if number in range(len(CODES)) else None
