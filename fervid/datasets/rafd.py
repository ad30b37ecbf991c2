"""`rafd`: the Radboud Faces Database: stills of 67 models, with five angles and three directions of gaze."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from fervid.datasets import ALL, Dataset, Option, coded, layout, naming, tagging
from fervid.types.samples import OnDisk, Sample

EXPECTED = "RaFD's folder, with Rafd090_01_Caucasian_female_angry_frontal.jpg"
# Angle, number of the model, group, sex, expression, gaze.
NAME = re.compile(
    r"rafd(\d{3})_(\d\d)_[a-z]+_[a-z]+_"
    r"(angry|contemptuous|disgusted|fearful|happy|neutral|sad|surprised)_(frontal|left|right)",
    re.IGNORECASE,
)
ANGLES = {"front": ("090",), "half": ("045", "090", "135"), "all": ("000", "045", "090", "135", "180")}
PICTURES = 8040


@layout(
    "rafd",
    "RaFD: stills of 67 models from five angles, 7 or 8 classes",
    angle=Option("front", "from the front, up to 45 degrees, or also profiles", tuple(ANGLES)),
    gaze=Option(ALL, "only this direction of gaze", (ALL, "frontal", "left", "right")),
    classes=tagging.CLASSES,
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the stills of the chosen angles and directions of gaze."""
    chosen = tagging.CHOSEN[options["classes"]]

    def decode(file: Path) -> Sample | str | None:
        code = NAME.fullmatch(file.stem)
        if code is None:
            return None
        angle, person, expression, gaze = (part.lower() for part in code.groups())
        label = naming.label_of(expression)
        if angle not in ANGLES[options["angle"]]:
            return f"pictures from another angle (angle={options['angle']})"
        if options["gaze"] not in (gaze, ALL):
            return f"pictures with another gaze (gaze={options['gaze']})"
        if label is None or label not in chosen:
            return f"pictures of {label}, which is not among the {len(chosen)} classes"
        return Sample(f"{person}/{expression}_{angle}_{gaze}", label, OnDisk(str(file)), subject=person)

    return coded.read_stills(path, "RaFD", EXPECTED, chosen, decode, PICTURES)
