"""`oulu`: Oulu-CASIA: 80 people, six expressions, two cameras, three lights, as sequences of stills."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from fervid.datasets import ALL, Dataset, Option, apex, disk, layout, naming
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import shown
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.samples import Sample

EXPECTED = "Oulu-CASIA's folder, which holds VL/Strong/P001/Anger/*.jpeg, or OriginalImg/ with VL/ in it"
CAMERAS = {"vl": "VL", "vis": "VL", "ni": "NI", "nir": "NI"}  # in visible light, in near infrared
CAMERA = re.compile(r"(vl|vis|nir?)([ _-]?(a?cropped|img))?", re.IGNORECASE)
LIGHTS = {"strong": "Strong", "weak": "Weak", "dark": "Dark"}
PERSON = re.compile(r"P\d{3}", re.IGNORECASE)
RATE = Fraction(25)  # pictures per second
DEPTH = 6  # folders between the root and a person, at most
WHOLE = 480  # sequences of one camera in one light: 6 of each of 80 people
LABELS = {"6": naming.BASIC, "7": EMOTIONS}


@dataclass(frozen=True)
class _Place:
    """What the folders above a sequence say of it."""

    camera: str | None = None
    light: str | None = None
    is_cut: bool = False  # by the set's authors, around the face

    def within(self, name: str) -> _Place:
        """What is known one folder further down."""
        word, found = name.casefold(), CAMERA.fullmatch(name)
        is_cut = self.is_cut or word.startswith("preprocess") or word.endswith("cropped")
        return replace(
            self,
            camera=CAMERAS[found[1].casefold()] if found else self.camera,
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
    """Read the sequences of the wanted cameras and lights."""
    root, remarks = disk.folder(path, EXPECTED), Remarks()
    above = _Place()
    for name in root.parts[-3:]:
        above = above.within(name)
    found = list(_people(root, above, DEPTH))
    if not found:
        raise InputError(f"{shown(path)} is not Oulu-CASIA: expected {EXPECTED}; {disk.found_in(root)}")
    wanted = [
        (place, person)
        for place, person in found
        if options["camera"] in (place.camera, ALL) and options["light"] in (place.light, ALL)
    ]
    has_originals = {(place.camera, place.light) for place, _ in wanted if not place.is_cut}
    samples: dict[str, list[Sample]] = {}
    for place, person in wanted:
        if place.is_cut and (place.camera, place.light) in has_originals:
            told = "folders of faces that others have cut, left out: fervid cuts its own"
            remarks.count(told, f"{place.camera}/{place.light}/{person.name}")
            continue
        if place.is_cut:
            remarks.count("folders of faces that others have cut, for want of whole pictures", person.name)
        for name, label, pictures in _sequences(place, person, remarks):
            if name in samples:
                remarks.count("sequences that are there twice, read once", name)
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
    _count(len(samples), {(place.camera, place.light) for place, _ in found}, options, remarks)
    together = tuple(sample for each in samples.values() for sample in each)
    return Dataset(LABELS[options["classes"]], together, remarks.told())


def _people(folder: Path, place: _Place, depth: int) -> Iterator[tuple[_Place, Path]]:
    """Every person's folder, with the camera and the light above it."""
    for below in disk.folders(folder):
        if PERSON.fullmatch(below.name):
            if place.camera is None or place.light is None:
                missing = "camera (VL, NI)" if place.camera is None else "light (Strong, Weak, Dark)"
                raise InputError(f"no folder above {shown(below)} names the {missing}: expected {EXPECTED}")
            yield place, below
        elif depth:
            yield from _people(below, place.within(below.name), depth - 1)


def _sequences(place: _Place, person: Path, remarks: Remarks) -> Iterator[tuple[str, str, list[Path]]]:
    for folder in disk.folders(person):
        name = f"{place.camera}/{place.light}/{person.name.upper()}/{folder.name.capitalize()}"
        label = naming.label_of(folder.name)
        if label is None or label not in naming.BASIC:
            remarks.count("folders that are none of the six expressions, left out", name)
            continue
        pictures = disk.pictures(folder)
        if pictures:
            yield name, label, pictures
        else:
            remarks.count("sequences without pictures, left out", name)


def _count(
    count: int, there: set[tuple[str | None, str | None]], options: Mapping[str, str], remarks: Remarks
) -> None:
    """Say what is missing of the whole, and which parts there are besides."""
    cameras = 2 if options["camera"] == ALL else 1
    lights = 3 if options["light"] == ALL else 1
    if count != WHOLE * cameras * lights:
        remarks.say(
            f"{count:,} sequences; the whole set has {WHOLE * cameras * lights:,} of these, of 80 people"
        )
    if count == 0:
        parts = ", ".join(sorted(f"camera={camera}&light={light}" for camera, light in there))
        remarks.say(f"there are: {parts}")
