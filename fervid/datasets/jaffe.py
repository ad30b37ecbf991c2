"""`jaffe`: the Japanese Female Facial Expression set: stills of ten women."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from fervid.datasets import Dataset, coded, layout
from fervid.labels import EMOTIONS
from fervid.types.samples import OnDisk, Sample

EXPECTED = "JAFFE's folder, with KA.AN1.39.tiff"
NAME = re.compile(
    r"([A-Z]{2})\.(AN|DI|FE|HA|NE|SA|SU)(\d+)\.(\d+)", re.IGNORECASE
)  # person, expression, take
CODES = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
PICTURES = 213


@layout("jaffe", "JAFFE: stills of ten Japanese women, 7 classes")
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the stills."""

    def decode(file: Path) -> Sample | None:
        code = NAME.fullmatch(file.stem)
        if code is None:
            return None
        person, expression = code[1].upper(), code[2].upper()
        name = f"{person}.{expression}{code[3]}.{code[4]}"
        return Sample(name, CODES[expression], OnDisk(str(file)), subject=person)

    return coded.read_stills(path, "JAFFE", EXPECTED, EMOTIONS, decode, PICTURES)
