"""`sfew`: Static Facial Expressions in the Wild: frames of AFEW's films, in folders by part and class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fervid.datasets import ALL, Dataset, Option, afew, layout
from fervid.datasets.remarks import Remarks
from fervid.files import STILLS
from fervid.labels import EMOTIONS

EXPECTED = "the folder with Train/<class>/*.png and Val/<class>/*.png"
SPLIT = Option(ALL, "only this part", choices=(ALL, "train", "val"))


@layout("sfew", "SFEW 2.0: frames of films (Train, Val), 7 classes", split=SPLIT)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the labelled frames of the training and validation parts."""
    remarks = Remarks()
    samples = [
        replace(sample, subject=Path(sample.name).stem.split("_")[0])  # the film
        for sample in afew.read_parts(path, "SFEW", EXPECTED, STILLS, "pictures", remarks)
    ]
    remarks.add(
        "SFEW identifies films, not people: fervid's own splits keep the frames of a film on one side"
    )
    return Dataset(EMOTIONS, tuple(samples), remarks.texts())
