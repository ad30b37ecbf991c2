"""`sfew`: Static Facial Expressions in the Wild: frames of AFEW's films, in folders by part and class."""

from __future__ import annotations

from collections.abc import Mapping

from fervid.datasets import ALL, Dataset, Option, afew, disk, layout, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import STILLS, display_name
from fervid.labels import EMOTIONS
from fervid.types.samples import OnDisk, Sample

EXPECTED = "the folder with Train/<class>/*.png and Val/<class>/*.png"
SPLIT = Option(ALL, "only this part", choices=(ALL, "train", "val"))


@layout("sfew", "SFEW 2.0: frames of films (Train, Val), 7 classes", split=SPLIT)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the labelled frames of the training and validation parts."""
    root, remarks = disk.folder(path, EXPECTED), Remarks()
    own = afew.part_of(root.name) if afew.NAMED.fullmatch(root.name) else None
    samples: dict[str, Sample] = {}
    for part, folder in afew.classes(root, own, afew.DEPTH, remarks, EXPECTED):
        label = naming.label_of(folder.name)
        assert label is not None
        for file in disk.files(folder):
            name = f"{part}/{folder.name}/{file.name}"
            if file.suffix.lower() not in STILLS:
                remarks.count("files that are not pictures, left out", name)
            elif name in samples:
                remarks.count("pictures found twice, read once", name)
            else:
                film = file.stem.split("_")[0]
                samples[name] = Sample(name, label, OnDisk(str(file)), subject=film, split=part)
    if not samples:
        raise InputError(f"{display_name(path)} is not SFEW: expected {EXPECTED}; {disk.listing(root)}")
    remarks.add("SFEW names films, not people: fervid's own splits keep the frames of a film on one side")
    return Dataset(EMOTIONS, tuple(samples.values()), remarks.texts())
