"""`afew`: Acted Facial Expressions in the Wild: clips of films, in folders by part and class."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from fervid.datasets import ALL, Dataset, Option, disk, layout, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import VIDEOS, display_name
from fervid.labels import EMOTIONS
from fervid.types.samples import OnDisk, Sample

EXPECTED = "the folder with Train_AFEW/<class>/*.avi and Val_AFEW/<class>/*.avi"
NAMED = re.compile(r"(train|val|validation|test)(_afew)?", re.IGNORECASE)  # the folder of a part
DEPTH = 5  # folders between the root and a class, at most
ALIGNED = "alignedfaces"  # prefix of folders with cropped faces
CLIPS = {"train": 773, "val": 383}  # of AFEW 7.0

SPLIT = Option(ALL, "only this part", choices=(ALL, "train", "val"))


@layout("afew", "AFEW: clips of films (Train_AFEW, Val_AFEW), 7 classes", split=SPLIT)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the labelled videos of the training and validation parts."""
    remarks = Remarks()
    samples = read_parts(path, "AFEW", EXPECTED, VIDEOS, "videos", remarks)
    for part, whole in CLIPS.items():
        count = sum(sample.split == part for sample in samples)
        if count != whole:
            remarks.add(f"the part {part} has {count:,} clips; AFEW 7.0 has {whole}")
    remarks.add(
        "AFEW identifies neither people nor films: fervid's own splits count each clip as a different "
        "person, so faces of one film are on both sides; AFEW's train and val share no film"
    )
    return Dataset(EMOTIONS, tuple(samples), remarks.texts())


def read_parts(
    path: str, title: str, expected: str, suffixes: Collection[str], noun: str, remarks: Remarks
) -> list[Sample]:
    """Return a sample for each labelled file, videos or pictures, of the training and validation parts."""
    root = disk.folder(path, expected)
    own = part_of(root.name) if NAMED.fullmatch(root.name) else None
    samples: dict[str, Sample] = {}
    for part, folder in classes(root, own, DEPTH, remarks, expected):
        label = naming.label_of(folder.name)
        assert label is not None
        for file in disk.files(folder):
            name = f"{part}/{folder.name}/{file.name}"
            if file.suffix.lower() not in suffixes:
                remarks.count(f"files that are not {noun}, left out", name)
            elif name in samples:
                remarks.count(f"{noun} found twice, read once", name)
            else:
                samples[name] = Sample(name, label, OnDisk(str(file)), split=part)
    if not samples:
        raise InputError(f"{display_name(path)} is not {title}: expected {expected}; {disk.listing(root)}")
    return list(samples.values())


def classes(
    root: Path, part: str | None, depth: int, remarks: Remarks, expected: str
) -> Iterator[tuple[str, Path]]:
    """Yield every class folder with its part, in nested archives, too."""
    for folder in disk.folders(root):
        named = part_of(folder.name) or part
        if folder.name.casefold().startswith(ALIGNED):
            remarks.count("folders of cropped faces, left out: fervid crops faces itself", folder.name)
        elif naming.label_of(folder.name) and part == "test":
            remarks.count("classes of the test part, left out: its labels are withheld", folder.name)
        elif naming.label_of(folder.name) and part is None:
            raise InputError(
                f"{display_name(folder)} is in neither the training nor the validation part; give "
                f"{expected}, or read it as folder:{display_name(root)}"
            )
        elif naming.label_of(folder.name):
            assert part is not None
            yield part, folder
        elif named == "test":
            remarks.count("test parts, left out: their labels are withheld", folder.name)
        elif depth:
            yield from classes(folder, named, depth - 1, remarks, expected)


def part_of(name: str) -> str | None:
    """Return the part that a folder name means: Train_AFEW, Val_AFEW, Train, Validation, ..."""
    return naming.part_of(name.replace("-", "_").split("_")[0])
