"""`oulu`: Oulu-CASIA: sequences of stills of 80 people, with two cameras and three illuminations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from fervid.datasets import ALL, Dataset, Option, apex, disk, layout, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import display_name
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.types.samples import Sample

EXPECTED = "Oulu-CASIA's folder, with VL/Strong/P001/Anger/*.jpeg, or OriginalImg/ with VL/ in it"
CAMERAS = {"vl": "VL", "vis": "VL", "ni": "NI", "nir": "NI"}  # visible light, near infrared
CAMERA = re.compile(r"(vl|vis|nir?)([ _-]?(a?cropped|img))?", re.IGNORECASE)
LIGHTS = {"strong": "Strong", "weak": "Weak", "dark": "Dark"}
PERSON = re.compile(r"P\d{3}", re.IGNORECASE)
RATE = Fraction(25)  # pictures per second
DEPTH = 6  # folders between the root and a person, at most
WHOLE = 480  # sequences of one camera in one light: 6 of each of 80 people
LABELS = {"6": naming.BASIC, "7": EMOTIONS}


@dataclass(frozen=True)
class _Above:
    """The camera and illumination named by the folders above a sequence."""

    camera: str | None = None
    light: str | None = None
    is_cut: bool = False  # cropped by the authors

    def within(self, name: str) -> _Above:
        """Return the camera and illumination inside a folder with this name."""
        word, camera = name.casefold(), CAMERA.fullmatch(name)
        is_cut = self.is_cut or word.startswith("preprocess") or word.endswith("cropped")
        return replace(
            self,
            camera=CAMERAS[camera[1].casefold()] if camera else self.camera,
            light=LIGHTS.get(word, self.light),
            is_cut=is_cut,
        )


@layout(
    "oulu",
    "Oulu-CASIA: sequences of stills, neutral to apex, visible and infrared, 6 or 7 classes",
    camera=Option("VL", "visible light, near infrared, or both", ("VL", "NI", ALL)),
    light=Option("Strong", "only this illumination", ("Strong", "Weak", "Dark", ALL)),
    classes=Option("6", "6, or 7 with neutral from first pictures", ("6", "7")),
    frames=apex.FRAMES,
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the sequences of the chosen cameras and illuminations."""
    root, remarks = disk.folder(path, EXPECTED), Remarks()
    above = _Above()
    for name in root.parts[-3:]:
        above = above.within(name)
    people = list(_people(root, above, DEPTH))
    if not people:
        raise InputError(f"{display_name(path)} is not Oulu-CASIA: expected {EXPECTED}; {disk.listing(root)}")
    wanted = [
        (above, person)
        for above, person in people
        if options["camera"] in (above.camera, ALL) and options["light"] in (above.light, ALL)
    ]
    has_originals = {(above.camera, above.light) for above, _ in wanted if not above.is_cut}
    samples: dict[str, list[Sample]] = {}
    for above, person in wanted:
        if above.is_cut and (above.camera, above.light) in has_originals:
            kind = "folders of cropped faces, left out: fervid crops faces itself"
            remarks.count(kind, f"{above.camera}/{above.light}/{person.name}")
            continue
        if above.is_cut:
            remarks.count("folders of cropped faces, read because whole pictures are missing", person.name)
        for name, label, pictures in _sequences(above, person, remarks):
            if name in samples:
                remarks.count("sequences found twice, read once", name)
                continue
            samples[name] = apex.samples(
                name,
                label,
                pictures,
                person.name.upper(),
                RATE,
                options["frames"],
                NEUTRAL in LABELS[options["classes"]],
            )
    _count(len(samples), {(above.camera, above.light) for above, _ in people}, options, remarks)
    together = tuple(sample for sequence in samples.values() for sample in sequence)
    return Dataset(LABELS[options["classes"]], together, remarks.texts())


def _people(folder: Path, above: _Above, depth: int) -> Iterator[tuple[_Above, Path]]:
    """Yield the folder of every person, with its camera and illumination."""
    for below in disk.folders(folder):
        if PERSON.fullmatch(below.name):
            if above.camera is None or above.light is None:
                missing = "camera (VL, NI)" if above.camera is None else "light (Strong, Weak, Dark)"
                raise InputError(
                    f"no folder above {display_name(below)} names the {missing}: expected {EXPECTED}"
                )
            yield above, below
        elif depth:
            yield from _people(below, above.within(below.name), depth - 1)


def _sequences(above: _Above, person: Path, remarks: Remarks) -> Iterator[tuple[str, str, list[Path]]]:
    for folder in disk.folders(person):
        name = f"{above.camera}/{above.light}/{person.name.upper()}/{folder.name.capitalize()}"
        label = naming.label_of(folder.name)
        if label is None or label not in naming.BASIC:
            remarks.count("folders of none of the six expressions, left out", name)
            continue
        pictures = disk.pictures(folder)
        if pictures:
            yield name, label, pictures
        else:
            remarks.count("sequences without pictures, left out", name)


def _count(
    count: int, parts: set[tuple[str | None, str | None]], options: Mapping[str, str], remarks: Remarks
) -> None:
    """Remark on missing sequences, and on the available parts if there are none."""
    cameras = 2 if options["camera"] == ALL else 1
    lights = 3 if options["light"] == ALL else 1
    if count != WHOLE * cameras * lights:
        remarks.add(
            f"{count:,} sequences; the whole set has {WHOLE * cameras * lights:,} of these, of 80 people"
        )
    if count == 0:
        have = ", ".join(sorted(f"camera={camera}&light={light}" for camera, light in parts))
        remarks.add(f"there are: {have}")
