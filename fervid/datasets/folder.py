"""`folder`: a folder for each class, of videos, folders of stills, or stills; optionally inside parts."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from fervid.datasets import ALL, Dataset, Option, disk, layout, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError, UsageError
from fervid.files import STILLS, VIDEOS, display_name
from fervid.times import parse_number
from fervid.types.samples import OnDisk, Sample

EXPECTED = "a folder with one folder for each class (happy/, sad/, ...), or train/ and val/ with these"
NESTED = 3  # most folders above the classes that contain only the next folder

SPLIT = Option(ALL, "only this part, by the dataset's own name")
RATE = Option("25", "pictures per second in folders of stills; a number or a fraction")


@layout("folder", "a folder per class: videos, folders of stills, or stills", split=SPLIT, rate=RATE)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the folders of classes, or of parts that contain classes."""
    root, remarks, rate = disk.folder(path, EXPECTED), Remarks(), rate_of(options["rate"])
    parts = _parts(root, remarks)
    samples = [
        sample
        for part, above in parts
        for folder in _classes(above)
        for sample in _samples(folder, above if part is None else above.parent, part, rate, remarks)
    ]
    labels = {naming.label_of(folder.name) for _, above in parts for folder in disk.folders(above)}
    remarks.add("folders do not identify people: splits count each sample as a different person")
    return Dataset(naming.ordered(label for label in labels if label), tuple(samples), remarks.texts())


def rate_of(text: str) -> Fraction:
    """Return the option `rate`, pictures per second, as a fraction."""
    try:
        rate = parse_number(text)
    except ValueError as failure:
        raise UsageError(f"rate={text} is not a number: give one such as 25 or 30000/1001") from failure
    if rate <= 0:
        raise UsageError(f"rate={text} is not valid: give a number above 0")
    return rate


def _parts(root: Path, remarks: Remarks) -> list[tuple[str | None, Path]]:
    """Return the folders of classes, each with its part, or None if there are no parts."""
    for _ in range(NESTED):
        below = disk.folders(root)
        if len(below) != 1 or naming.label_of(below[0].name) or naming.part_of(below[0].name):
            break
        root = below[0]  # for example the folder of an archive
    below, files = disk.contents(root)
    if not below:
        kinds = f"{len(files):,} files and no folders" if files else "nothing"
        raise InputError(f"{display_name(root)} contains {kinds}; expected {EXPECTED}")
    for stray in files:
        remarks.count("files beside the class folders, left out", stray.name)
    if any(naming.part_of(folder.name) for folder in below):
        for folder in below:
            if naming.part_of(folder.name) is None:
                raise InputError(
                    f"{display_name(folder)} is beside train, val or test and is none of them; "
                    "move it away, or give the path of one part"
                )
        return [(folder.name, folder) for folder in below]
    return [(None, root)]


def _classes(above: Path) -> list[Path]:
    classes = disk.folders(above)
    for folder in classes:
        if naming.label_of(folder.name) is None:
            raise InputError(
                f"{display_name(folder)} is not a class of fervid; rename it to one of these or move it "
                f"away: {naming.FULL_WORDS}"
            )
    return classes


def _samples(folder: Path, root: Path, part: str | None, rate: Fraction, remarks: Remarks) -> list[Sample]:
    label = naming.label_of(folder.name)
    assert label is not None
    samples = []
    below, files = disk.contents(folder)
    for entry in below:
        if disk.pictures(entry):
            name = entry.relative_to(root).as_posix()
            samples.append(Sample(name, label, OnDisk(str(entry), rate=rate), split=part))
        else:
            remarks.count("folders without pictures, left out", entry.relative_to(root).as_posix())
    for entry in files:
        name = entry.relative_to(root).as_posix()
        if entry.suffix.lower() in VIDEOS | STILLS:
            samples.append(Sample(name, label, OnDisk(str(entry)), split=part))
        else:
            remarks.count("files that are neither videos nor pictures, left out", name)
    if not samples:
        remarks.count("classes without samples", folder.relative_to(root).as_posix())
    return samples
