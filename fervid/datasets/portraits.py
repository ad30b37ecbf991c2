"""`portraits`: a pack of grey portraits of named people."""

from __future__ import annotations

from collections.abc import Mapping

from fervid.datasets import ALL, Dataset, layout, packs, tagging
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import display_name
from fervid.types.samples import Picture, Sample

ARRAYS = {"images": (3, "u"), "label": (1, "iu"), "person": (1, "U")}
CODES = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


@layout(
    "portraits",
    "portraits of named people, as an .npz pack, 7 or 8 classes",
    classes=tagging.CLASSES,
    part=packs.PART,
    most=packs.MOST,
    motion=packs.MOTION,
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the pictures; contempt is left out of 7 classes."""
    remarks = Remarks()
    chosen = tagging.CHOSEN[options["classes"]]
    kept = [sample for sample in people(path) if options["part"] in (ALL, sample.split)]
    samples = []
    for sample in packs.spread(kept, int(options["most"])):
        if sample.label not in chosen:
            remarks.count(
                f"pictures of {sample.label}, which is not among the {len(chosen)} classes", sample.name
            )
        else:
            samples.append(packs.in_motion(sample, options["motion"]))
    return Dataset(chosen, tuple(samples), remarks.texts())


def people(path: str) -> list[Sample]:
    """Return every picture of a pack, with its person."""
    arrays = packs.read(path, ARRAYS)
    samples = []
    for row, (code, person) in enumerate(
        zip(arrays["label"].tolist(), arrays["person"].tolist(), strict=True)
    ):
        if not 0 <= code < len(CODES):
            raise InputError(f"label {code} in row {row} of {display_name(path)} is not a code from 0 to 7")
        name = f"{person}/{row:05}"
        samples.append(
            Sample(
                name,
                CODES[code],
                Picture(arrays["images"][row]),
                subject=person or None,
                split=packs.part_of(person or name),
            )
        )
    return samples
