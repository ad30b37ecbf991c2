"""`portraits`: grey portraits of named people, as a pack."""

from __future__ import annotations

from collections.abc import Mapping

from fervid.datasets import Dataset, disk, layout, packs, tagging
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.types import Sample

ARRAYS = {"images": (3, "u"), "label": (1, "iu"), "person": (1, "U")}
CODES = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


@layout("portraits", "portraits of named people, as an .npz pack, 7 or 8 classes", classes=tagging.CLASSES)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the pictures; contempt is left out of 7 classes."""
    arrays, remarks = packs.read(path, ARRAYS), Remarks()
    chosen = tagging.CHOSEN[options["classes"]]
    samples = []
    for row, (code, person) in enumerate(
        zip(arrays["label"].tolist(), arrays["person"].tolist(), strict=True)
    ):
        if not 0 <= code < len(CODES):
            raise InputError(f"label {code} in row {row} of {disk.shown(path)} is no code from 0 to 7")
        name = f"{person}/{row:05}"
        if CODES[code] not in chosen:
            remarks.count(f"pictures of {CODES[code]}, which is not among the {len(chosen)} classes", name)
            continue
        samples.append(Sample(name, CODES[code], picture=arrays["images"][row], subject=person or None))
    return Dataset(chosen, tuple(samples), remarks.told())
