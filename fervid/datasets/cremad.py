"""`cremad`: CREMA-D: videos of 91 actors, with the votes of people who watched them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fervid.datasets import Dataset, Option, disk, layout, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import VIDEOS, display_name
from fervid.labels import EMOTIONS
from fervid.types.samples import OnDisk, Sample

EXPECTED = "CREMA-D's folder, with VideoFlash/1001_DFA_ANG_XX.flv"
FOLDER = "VideoFlash"
SUMMARY, TABULATED = "processedResults/summaryTable.csv", "processedResults/tabulatedVotes.csv"
NAME = re.compile(r"(\d{4})_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)", re.IGNORECASE)
LETTERS = {"A": "anger", "D": "disgust", "F": "fear", "H": "happiness", "N": "neutral", "S": "sadness"}
LABELS = tuple(label for label in EMOTIONS if label in LETTERS.values())
FACE_ALONE = 2  # the key of a row // 100,000 in the tabulated votes: 1 voice, 2 face, 3 both
CLIPS = 7442


@layout(
    "cremad",
    "CREMA-D: videos of 91 actors, 6 classes, with votes",
    labels=Option(
        "intended",
        "the emotion that the actor was asked to show, or the majority of people who saw only the face",
        ("intended", "face"),
    ),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the videos, with the labels of the option."""
    named = disk.folder(path, EXPECTED)
    root = _root(named)
    folder, remarks = disk.find_path(root, FOLDER), Remarks()
    clips = {} if folder is None else _clips(folder, remarks)
    if not clips:
        raise InputError(f"{display_name(path)} is not CREMA-D: expected {EXPECTED}; {disk.listing(named)}")
    if len(clips) != CLIPS:
        remarks.add(f"{len(clips):,} videos; the whole set has {CLIPS:,}")
    seen = _face_votes(root) if options["labels"] == "face" else {}
    shares = _shares(root, remarks) if options["labels"] == "face" else {}
    samples = []
    for key, (file, parts) in clips.items():
        label = naming.label_of(parts[2])
        if options["labels"] == "face":
            vote = seen.get(key)
            if vote is None:
                remarks.count("videos that are not in the table of votes, left out", file.name)
                continue
            if ":" in vote:
                remarks.count("videos with tied votes, left out", file.name)
                continue
            label = LETTERS.get(vote)
        if label is None:
            remarks.count("videos with a vote that cannot be read, left out", file.name)
            continue
        votes = shares.get(key, {})
        samples.append(Sample(file.name, label, OnDisk(str(file)), votes, subject=parts[1]))
    return Dataset(LABELS, tuple(samples), remarks.texts())


def _root(named: Path) -> Path:
    """Return the folder of the set; `named` may also be its folder of videos, or the folder above it."""
    if named.name.casefold() == FOLDER.casefold():
        return named.parent
    for folder in (named, *disk.folders(named)):
        if disk.find_path(folder, FOLDER) is not None:
            return folder
    return named


def _clips(folder: Path, remarks: Remarks) -> dict[str, tuple[Path, re.Match[str]]]:
    clips: dict[str, tuple[Path, re.Match[str]]] = {}
    for file in disk.files(folder):
        parts = NAME.fullmatch(file.stem)
        if parts is None or file.suffix.lower() not in VIDEOS:
            remarks.count("files that are not videos of CREMA-D, left out", file.name)
        elif _key(file.stem) in clips:
            remarks.count("videos in a second format, left out", file.name)
        else:
            clips[_key(file.stem)] = file, parts
    return clips


def _key(name: str) -> str:
    """Return a clip's name as in the tables; one file, 1040_ITH_SAD_X, lacks its last letter."""
    name = name.strip().upper()
    return name + "X" if name.endswith("_X") else name


def _face_votes(root: Path) -> dict[str, str]:
    """Return the majority of votes on the face alone, per clip: a letter, or several joined by colons."""
    table = disk.file(root / SUMMARY, f"the table {SUMMARY}, which labels=face needs")
    return {_key(row["filename"]): row["facevote"].strip() for row in _table(table, "filename", "facevote")}


def _shares(root: Path, remarks: Remarks) -> dict[str, dict[str, float]]:
    """Return the share of each label in the votes on the face alone, per clip."""
    table = root / TABULATED
    if disk.undecodable_reason(table) is not None:
        remarks.add(f"there is no {TABULATED}: samples have the label of the majority, without shares")
        return {}
    shares = {}
    for row in _table(table, "", "filename", *(letter.casefold() for letter in LETTERS)):
        try:
            votes = {label: int(row[letter.casefold()]) for letter, label in LETTERS.items()}
            query = int(row[""]) // 100_000
        except ValueError as failure:
            raise InputError(
                f"{display_name(table)} has a row without numbers: {row['filename']}"
            ) from failure
        total = sum(votes.values())
        if query == FACE_ALONE and total:
            shares[_key(row["filename"])] = {label: n / total for label, n in votes.items() if n}
    return shares


def _table(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table, with column names in lower case."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(disk.lines(stream))
            head = [cell.strip().casefold() for cell in next(reader, [])]
            missing = [column for column in columns if column not in head]
            if missing:
                raise InputError(f"{display_name(path)} has no column {missing[0]!r}, only {', '.join(head)}")
            for cells in reader:
                if len(cells) == len(head):
                    yield dict(zip(head, cells, strict=True))
    except (UnicodeDecodeError, csv.Error) as failure:
        raise InputError(f"{display_name(path)} is not a table of CREMA-D: {failure}") from failure
