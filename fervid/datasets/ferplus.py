"""`ferplus`: the pictures of FER2013 with the votes of FER+, as a pack."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fervid.datasets import ALL, Dataset, Option, layout, packs, tagging
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import display_name
from fervid.types.samples import Picture, Sample

ARRAYS = {
    "images": (3, "u"),
    "fer2013": (1, "iu"),
    "votes": (2, "iu"),
    "usage": (1, "iu"),
    "duplicates_validation": (1, "b"),
}


@layout(
    "ferplus",
    "FER2013 with FER+'s votes, as an .npz pack, 7 or 8 classes",
    usage=Option(ALL, "only this part", (*tagging.USAGES, ALL)),
    labels=tagging.LABELS,
    votes=Option("yes", "the shares of the taggers' votes, or only one label", ("yes", "no")),
    classes=tagging.CLASSES,
    most=packs.MOST,
    motion=packs.MOTION,
    duplicates=Option("drop", "training pictures nearly equal to validation ones", ("drop", "keep")),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the pictures, with the labels of the options."""
    arrays, remarks = packs.read(path, ARRAYS), Remarks()
    _check(path, arrays["fer2013"], len(tagging.CODES), "fer2013")
    _check(path, arrays["usage"], len(tagging.USAGES), "usage")
    if arrays["votes"].shape[1] != len(tagging.COLUMNS):
        raise InputError(f"the votes of {display_name(path)} should have {len(tagging.COLUMNS)} columns")
    wanted = np.ones(len(arrays["usage"]), bool)
    if options["usage"] != ALL:
        wanted = arrays["usage"] == tagging.USAGES.index(options["usage"])
    chosen = tagging.CHOSEN[options["classes"]]
    rows = np.flatnonzero(wanted)
    labelled = tagging.label(
        arrays["fer2013"][rows].tolist(),
        arrays["votes"][rows].astype(np.int64),
        chosen,
        options["labels"] == "majority",
        options["votes"] == "yes",
    )
    samples = []
    for row, labelling in zip(rows.tolist(), labelled, strict=True):
        usage = tagging.USAGES[arrays["usage"][row]]
        name = f"{usage}/{row:05}"
        if arrays["duplicates_validation"][row] and options["duplicates"] == "drop":
            remarks.count("near-duplicates of validation pictures, left out", name)
        elif labelling is None:
            remarks.count("pictures on which FER+'s taggers did not agree, left out", name)
        else:
            picture = arrays["images"][row]
            still = Sample(name, labelling[0], Picture(picture), votes=labelling[1], split=usage)
            samples.append(packs.in_motion(still, options["motion"]))
    remarks.add_without_people("FER2013", "picture")
    return Dataset(chosen, tuple(packs.spread(samples, int(options["most"]))), remarks.texts())


def _check(path: str, codes: packs.Array, count: int, name: str) -> None:
    if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < count:
        raise InputError(
            f"the array {name!r} of {display_name(path)} should have codes from 0 to {count - 1}"
        )
