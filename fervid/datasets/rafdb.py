"""`rafdb`: the basic emotions of RAF-DB: 15,339 faces from the web, each labelled by forty people."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from fervid.datasets import ALL, Dataset, Option, disk, layout
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import display_name
from fervid.labels import EMOTIONS
from fervid.types.samples import OnDisk, Sample

EXPECTED = "RAF-DB's folder basic, with EmoLabel/list_patition_label.txt and Image/aligned/*.jpg"
LISTS = ("list_patition_label.txt", "list_partition_label.txt")  # misspelt, as published; and corrected
LABELS, OWN = (
    "EmoLabel",
    "basic",
)  # the folder of the list; the folder of basic emotions
CODES = ("", "surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
COMPOUND = 11  # the highest code of the compound emotions
PARTS = {"train": 12_271, "test": 3_068}
ALIGNED = "_aligned"


@layout(
    "rafdb",
    "RAF-DB: pictures with one of 7 basic emotions",
    split=Option(ALL, "only this part", choices=(ALL, *PARTS)),
    images=Option(
        "aligned", "faces of 100x100 cropped by the authors, or whole pictures", ("aligned", "original")
    ),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the list and its pictures."""
    named, remarks = disk.folder(path, EXPECTED), Remarks()
    root, table = _list(named, path)
    images = _images(root, options["images"], path)
    files = {file.stem.casefold(): file for file in disk.files(images)}
    samples: dict[str, Sample] = {}
    for line, name, code in _rows(table, remarks):
        part = name.split("_")[0].casefold()
        if part not in PARTS:
            remarks.count("lines of neither train nor test, left out", f"line {line}")
            continue
        stem = Path(name).stem
        stems = (f"{stem}{ALIGNED}", stem) if options["images"] == "aligned" else (stem,)
        file = next((files[s.casefold()] for s in stems if s.casefold() in files), images / name)
        if name in samples:
            remarks.count("pictures that are listed twice, read once", name)
        else:
            samples[name] = Sample(name, CODES[code], OnDisk(str(file)), split=part)
    for part, whole in PARTS.items():
        count = sum(sample.split == part for sample in samples.values())
        if count != whole:
            remarks.add(f"the part {part} lists {count:,} pictures; RAF-DB has {whole:,}")
    remarks.add_without_people("RAF-DB", "picture")
    return Dataset(EMOTIONS, tuple(samples.values()), remarks.texts())


def _list(named: Path, path: str) -> tuple[Path, Path]:
    """Return the folder of labels and pictures, and its list."""
    above = [named.parent] if named.name.casefold() in (LABELS.casefold(), "image") else []
    nested = sorted(disk.folders(named), key=lambda folder: folder.name.casefold() != OWN)
    for root in (*above, named, *nested):
        for folder in (disk.find_path(root, LABELS), root):
            for file in disk.files(folder) if folder is not None else ():
                if file.name.casefold() in LISTS:
                    return root, disk.file(file, EXPECTED)
    raise InputError(f"{display_name(path)} is not RAF-DB: expected {EXPECTED}; {disk.listing(named)}")


def _images(root: Path, wanted: str, path: str) -> Path:
    for name in (f"Image/{wanted}", wanted):
        images = disk.find_path(root, name)
        if images is not None:
            return disk.find_path(images, wanted) or images  # some archives are nested
    raise InputError(
        f"{display_name(path)} has no pictures of RAF-DB: expected Image/{wanted}/ beside {LABELS}/; "
        f"{disk.listing(root)}; unpack the separate archive of pictures there"
    )


def _rows(table: Path, remarks: Remarks) -> Iterator[tuple[int, str, int]]:
    """Yield the number, name and code of each line."""
    with open(table, encoding="utf-8-sig", errors="replace") as stream:
        try:
            lines = enumerate(disk.lines(stream), 1)
            rows = [(number, line.split()) for number, line in lines if line.strip()]
        except csv.Error as failure:
            raise InputError(f"{display_name(table)} is not a table of RAF-DB: {failure}") from failure
    codes = Counter(int(cells[1]) for _, cells in rows if len(cells) == 2 and cells[1].isdecimal())
    if any(len(CODES) <= code <= COMPOUND for code in codes):
        raise InputError(
            f"{display_name(table)} has codes up to {max(codes)}: it is RAF-DB's list of compound emotions, "
            "which fervid does not have; give the folder basic"
        )
    for number, cells in rows:
        if len(cells) == 2 and cells[1].isdecimal() and 0 < int(cells[1]) < len(CODES):
            yield number, cells[0], int(cells[1])
        else:
            remarks.count("lines without a name and a code from 1 to 7, left out", f"line {number}")
