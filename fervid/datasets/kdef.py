"""`kdef`: the Karolinska Directed Emotional Faces: stills of 70 amateur actors from five angles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from fervid.datasets import Dataset, Option, coded, layout
from fervid.labels import EMOTIONS
from fervid.types.samples import OnDisk, Sample

EXPECTED = "KDEF's folder, with AF01/AF01ANS.JPG"
# Session, sex and number of the person, expression, angle.
NAME = re.compile(r"([AB])([FM]\d\d)(AF|AN|DI|HA|NE|SA|SU)(S|HL|HR|FL|FR)", re.IGNORECASE)
CODES = {
    "AF": "fear",
    "AN": "anger",
    "DI": "disgust",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
ANGLES = {"front": ("S",), "half": ("S", "HL", "HR"), "all": ("S", "HL", "HR", "FL", "FR")}
PICTURES = 4900


@layout(
    "kdef",
    "KDEF: stills of 70 actors from five angles, 7 classes",
    angle=Option("front", "from the front, up to 45 degrees, or also profiles", tuple(ANGLES)),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the stills of the chosen angles."""

    def decode(file: Path) -> Sample | str | None:
        code = NAME.fullmatch(file.stem)
        if code is None:
            return None
        session, person, expression, angle = (part.upper() for part in code.groups())
        if angle not in ANGLES[options["angle"]]:
            return f"pictures from another angle (angle={options['angle']})"
        name = f"{session}{person}{expression}{angle}"
        return Sample(name, CODES[expression], OnDisk(str(file)), subject=person)

    return coded.read_stills(path, "KDEF", EXPECTED, EMOTIONS, decode, PICTURES)
