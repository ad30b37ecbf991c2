"""`expw`: the Expression in-the-Wild set: faces from web pictures, with their boxes in a list."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from fervid.datasets import Dataset, Option, disk, layout
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import display_name
from fervid.labels import EMOTIONS
from fervid.types.samples import OnDisk, Sample

EXPECTED = "ExpW's folder, with label/label.lst and image/origin/*.jpg"
LIST = "label.lst"
FOLDERS = ("image/origin", "origin", "image")
CODES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
CELLS = 8  # name, number of the face, top, left, right, bottom, confidence of the box, label
FACES = 91_793


@layout(
    "expw",
    "ExpW: 91,793 faces from the web, with boxes, 7 classes",
    confidence=Option("0", "leave out boxes below this confidence of the authors' detector", least=0),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the list and its pictures."""
    root, remarks = disk.folder(path, EXPECTED), Remarks()
    table = _list(root, path)
    images = next(filter(None, (disk.find_path(root, name) for name in FOLDERS)), None)
    if images is None:
        raise InputError(
            f"{display_name(path)} has no pictures of ExpW: expected {EXPECTED}; {disk.listing(root)}"
        )
    samples: dict[str, Sample] = {}
    count = 0
    for line, cells in _rows(table):
        count += 1
        sample = _sample(cells, images, float(options["confidence"]))
        if sample is None:
            remarks.count("lines without a face and a code from 0 to 6, left out", f"line {line}")
        elif isinstance(sample, str):
            remarks.count(f"{sample}, left out", f"line {line}")
        elif sample.name in samples:
            remarks.count("faces that are listed twice, read once", sample.name)
        else:
            samples[sample.name] = sample
    if count != FACES:
        remarks.add(f"the list has {count:,} faces; ExpW has {FACES:,}")
    remarks.add_without_people("ExpW", "face")
    return Dataset(EMOTIONS, tuple(samples.values()), remarks.texts())


def _list(root: Path, path: str) -> Path:
    for folder in (root, disk.find_path(root, "label")):
        for file in disk.files(folder) if folder is not None else ():
            if file.name.casefold() == LIST:
                return disk.file(file, EXPECTED)
    raise InputError(f"{display_name(path)} is not ExpW: expected {EXPECTED}; {disk.listing(root)}")


def _rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    with open(table, encoding="utf-8-sig", errors="replace") as stream:
        try:
            for number, line in enumerate(disk.lines(stream), 1):
                if line.strip():
                    yield number, line.split()
        except csv.Error as failure:
            raise InputError(f"{display_name(table)} is not a table of ExpW: {failure}") from failure


def _sample(cells: list[str], images: Path, least: float) -> Sample | str | None:
    """Return the sample of a line, the reason to leave it out, or None for another line."""
    if len(cells) != CELLS:
        return None
    try:
        face, top, left, right, bottom, code = (int(cells[column]) for column in (1, 2, 3, 4, 5, 7))
        confidence = float(cells[6])
    except ValueError:
        return None
    if not 0 <= code < len(CODES):
        return None
    if min(right - left, bottom - top) < 1:
        return "faces with a box without pixels"
    if confidence < least:
        return f"faces with a box of less confidence (confidence={least:g})"
    box = (left, top, right - left, bottom - top)
    return Sample(f"{cells[0]}#{face}", CODES[code], OnDisk(str(images / cells[0]), box=box))
