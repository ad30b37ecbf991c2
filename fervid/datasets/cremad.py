"""`cremad`: the Crowd-sourced Emotional Multimodal Actors Dataset: 91 actors, and what others saw in them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fervid.datasets import Dataset, Option, disk, layout, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import VIDEOS, shown
from fervid.labels import EMOTIONS
from fervid.samples import OnDisk, Sample

EXPECTED = "CREMA-D's folder, which holds VideoFlash/1001_DFA_ANG_XX.flv"
FOLDER = "VideoFlash"
SUMMARY, TABULATED = "processedResults/summaryTable.csv", "processedResults/tabulatedVotes.csv"
NAME = re.compile(r"(\d{4})_[A-Z]{3}_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)", re.IGNORECASE)
LETTERS = {"A": "anger", "D": "disgust", "F": "fear", "H": "happiness", "N": "neutral", "S": "sadness"}
LABELS = tuple(label for label in EMOTIONS if label in LETTERS.values())
FACE_ALONE = 2  # hundred thousands of a row's key in the tabulated votes: 1 voice, 2 face, 3 both
CLIPS = 7442


@layout(
    "cremad",
    "CREMA-D: videos of 91 actors, 6 classes, with votes",
    labels=Option(
        "intended",
        "what the actor meant to show, or what most who saw the face alone saw",
        ("intended", "face"),
    ),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the videos, labelled as asked."""
    named = disk.folder(path, EXPECTED)
    root = _root(named)
    folder, remarks = disk.named(root, FOLDER), Remarks()
    clips = {} if folder is None else _clips(folder, remarks)
    if not clips:
        raise InputError(f"{shown(path)} is not CREMA-D: expected {EXPECTED}; {disk.found_in(named)}")
    if len(clips) != CLIPS:
        remarks.say(f"{len(clips):,} videos; the whole set has {CLIPS:,}")
    seen = _face_votes(root) if options["labels"] == "face" else {}
    shares = _shares(root, remarks) if options["labels"] == "face" else {}
    samples = []
    for key, (file, parts) in clips.items():
        label = naming.label_of(parts[2])
        if options["labels"] == "face":
            vote = seen.get(key)
            if vote is None:
                remarks.count("videos that the table of votes does not have, left out", file.name)
                continue
            if ":" in vote:
                remarks.count("videos whose votes are tied, left out", file.name)
                continue
            label = LETTERS.get(vote)
        if label is None:
            remarks.count("videos whose vote cannot be read, left out", file.name)
            continue
        votes = shares.get(key, {})
        samples.append(Sample(file.name, label, OnDisk(str(file)), votes, subject=parts[1]))
    return Dataset(LABELS, tuple(samples), remarks.told())


def _root(named: Path) -> Path:
    """The set's own folder, where it or its folder of videos is named, or one that holds it."""
    if named.name.casefold() == FOLDER.casefold():
        return named.parent
    for place in (named, *disk.folders(named)):
        if disk.named(place, FOLDER) is not None:
            return place
    return named


def _clips(folder: Path, remarks: Remarks) -> dict[str, tuple[Path, re.Match[str]]]:
    clips: dict[str, tuple[Path, re.Match[str]]] = {}
    for file in disk.files(folder):
        parts = NAME.fullmatch(file.stem)
        if parts is None or file.suffix.lower() not in VIDEOS:
            remarks.count("files that are no videos of CREMA-D, left out", file.name)
        elif _key(file.stem) in clips:
            remarks.count("videos that are there in a second format, left out", file.name)
        else:
            clips[_key(file.stem)] = file, parts
    return clips


def _key(name: str) -> str:
    """A clip's name as the tables have it; one file, 1040_ITH_SAD_X, lacks its last letter."""
    name = name.strip().upper()
    return name + "X" if name.endswith("_X") else name


def _face_votes(root: Path) -> dict[str, str]:
    """What most people saw who saw the face alone: a letter, or several with colons between."""
    table = disk.file(root / SUMMARY, f"the table {SUMMARY}, which labels=face needs")
    return {_key(row["filename"]): row["facevote"].strip() for row in _table(table, "filename", "facevote")}


def _shares(root: Path, remarks: Remarks) -> dict[str, dict[str, float]]:
    """The share of each label among those who saw the face alone."""
    table = root / TABULATED
    if disk.fault(table) is not None:
        remarks.say(f"there is no {TABULATED}: the majority's label stands alone, without shares")
        return {}
    shares = {}
    for row in _table(table, "", "filename", *(letter.casefold() for letter in LETTERS)):
        try:
            votes = {label: int(row[letter.casefold()]) for letter, label in LETTERS.items()}
            query = int(row[""]) // 100_000
        except ValueError as failure:
            raise InputError(f"{shown(table)} has a row without numbers: {row['filename']}") from failure
        total = sum(votes.values())
        if query == FACE_ALONE and total:
            shares[_key(row["filename"])] = {label: n / total for label, n in votes.items() if n}
    return shares


def _table(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """The rows of a table, under column names in lower case."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            head = [cell.strip().casefold() for cell in next(reader, [])]
            missing = [column for column in columns if column not in head]
            if missing:
                raise InputError(f"{shown(path)} has no column {missing[0]!r}, only {', '.join(head)}")
            for cells in reader:
                if len(cells) == len(head):
                    yield dict(zip(head, cells, strict=True))
    except (UnicodeDecodeError, csv.Error) as failure:
        raise InputError(f"{shown(path)} is no table of CREMA-D: {failure}") from failure
