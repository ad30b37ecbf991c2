"""`folder`: a folder for each class, of videos, folders of stills, or stills; parts may stand above them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from fervid.datasets import ALL, Dataset, Option, disk, layout, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError, UsageError
from fervid.files import STILLS, VIDEOS, shown
from fervid.samples import OnDisk, Sample

EXPECTED = "a folder that holds one folder for each class (happy/, sad/, ...), or train/ and val/ with those"
NESTED = 3  # folders that may stand alone in one another above the classes

SPLIT = Option(ALL, "only this part, as the dataset calls it")
RATE = Option("25", "pictures per second in folders of stills; a number or a fraction")


@layout("folder", "a folder per class: videos, folders of stills, or stills", split=SPLIT, rate=RATE)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read classes, or parts that hold classes."""
    root, remarks, rate = disk.folder(path, EXPECTED), Remarks(), rate_of(options["rate"])
    parts = _parts(root, remarks)
    samples = [
        sample
        for part, place in parts
        for folder in _classes(place, remarks)
        for sample in _samples(folder, place if part is None else place.parent, part, rate, remarks)
    ]
    found = {naming.label_of(folder.name) for _, place in parts for folder in disk.folders(place)}
    remarks.say("folders name no people: in splits, each sample counts as a person of its own")
    return Dataset(naming.ordered(label for label in found if label), tuple(samples), remarks.told())


def rate_of(text: str) -> Fraction:
    """Pictures per second."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as failure:
        raise UsageError(f"rate={text} is no rate: give a number such as 25, or 30000/1001") from failure
    if rate <= 0:
        raise UsageError(f"rate={text} makes no sense: give a number above 0")
    return rate


def _parts(root: Path, remarks: Remarks) -> list[tuple[str | None, Path]]:
    """The folders that hold classes, each with the part that it is; None where there are no parts."""
    place = root
    for _ in range(NESTED):
        below = disk.folders(place)
        if len(below) != 1 or naming.label_of(below[0].name) or naming.part_of(below[0].name):
            break
        place = below[0]  # an archive's own folder, and the like
    below, files = disk.contents(place)
    if not below:
        kinds = f"{len(files):,} files and no folders" if files else "nothing"
        raise InputError(f"{shown(place)} holds {kinds}; expected {EXPECTED}")
    for stray in files:
        remarks.count("files beside the class folders, left out", stray.name)
    if any(naming.part_of(each.name) for each in below):
        for each in below:
            if naming.part_of(each.name) is None:
                raise InputError(
                    f"{shown(each)} stands beside train, val or test and is none of them; "
                    "move it away, or name one part alone"
                )
        return [(each.name, each) for each in below]
    return [(None, place)]


def _classes(place: Path, remarks: Remarks) -> list[Path]:
    classes = disk.folders(place)
    for each in classes:
        if naming.label_of(each.name) is None:
            raise InputError(
                f"{shown(each)} is no class that fervid knows; rename it to one of these or move it "
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
