"""`ckplus48`: CK+48, an unofficial copy of the apex pictures of CK+, 48x48, in a folder per class."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fervid.datasets import Dataset, Option, disk, layout, naming
from fervid.datasets.ckplus import CLASSES, PERSON
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import STILLS, display_name
from fervid.types.samples import OnDisk, Sample

EXPECTED = "the folder with anger/S010_004_00000017.png, contempt/, disgust/, ..."
NAME = re.compile(rf"({PERSON.pattern})_(\d{{3}})_\d+", re.IGNORECASE)
PICTURES = 981  # 3 of each of the 327 labelled sequences


@layout(
    "ckplus48",
    "CK+48: 3 apex pictures, 48x48, of each sequence of CK+, 6 or 7 classes",
    classes=Option("7", "6 without contempt, 7 with it", ("6", "7")),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the stills; the person is in a picture's name."""
    root, labels, remarks = disk.folder(path, EXPECTED), CLASSES[options["classes"]], Remarks()
    samples: list[Sample] = []
    count = 0
    nested = disk.folders(root)
    if not any(naming.label_of(folder.name) for folder in nested):
        nested = [folder for above in nested for folder in disk.folders(above)]
    for folder in nested:
        label = naming.label_of(folder.name)
        if label is None:
            remarks.count("folders that are not a class, left out", folder.name)
            continue
        for file in disk.files(folder):
            name, parts = f"{folder.name}/{file.name}", NAME.fullmatch(file.stem)
            if parts is None or file.suffix.lower() not in STILLS:
                remarks.count("files that are not pictures of CK+, left out", name)
                continue
            count += 1
            if label in labels:
                samples.append(Sample(name, label, OnDisk(str(file)), subject=parts[1].upper()))
            else:
                remarks.count(f"pictures of {label}, which is not among the {len(labels)} classes", name)
    if not count:
        raise InputError(f"{display_name(path)} is not CK+48: expected {EXPECTED}; {disk.listing(root)}")
    if count != PICTURES:
        remarks.add(f"{count} pictures; the whole set has {PICTURES}")
    return Dataset(labels, tuple(samples), remarks.texts())
