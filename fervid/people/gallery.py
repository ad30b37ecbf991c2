"""A gallery of named portraits, and its match with the persons of a video."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from fervid.errors import InputError
from fervid.faces.detection import Search
from fervid.faces.finder import FaceFinder, describe
from fervid.people.descriptors import Descriptors
from fervid.types import PERSON, Bytes, Floats

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MOST_BYTES = 1 << 29  # of a portrait: one of 2^27 pixels without compression
RECOGNISED = 0.45  # distance from a name's portraits below which a person gets the name
CLEARLY_LARGER = 2.0  # a portrait's face is at least this many times larger than any other in the picture
SMALLEST_FACE = 0.05  # share of a portrait's height

Key = TypeVar("Key", int, str)


@dataclass(frozen=True, eq=False)
class Gallery:
    """Names, and the descriptors of each name's portraits."""

    faces: Mapping[str, Floats]  # (N, 128) per name
    unused: tuple[str, ...]  # pictures that could not be used, and why


def read_gallery(folder: str) -> Gallery:
    """Read a folder of portraits: a picture or a folder of pictures per name."""
    portraits: dict[str, list[Path]] = {}
    try:
        for entry in sorted(Path(folder).iterdir()):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                pictures = [path for path in sorted(entry.iterdir()) if path.suffix.lower() in PICTURES]
                portraits.setdefault(entry.name, []).extend(pictures)
            elif entry.suffix.lower() in PICTURES:
                portraits.setdefault(entry.stem, []).append(entry)
    except OSError as error:
        raise InputError(f"the gallery {folder} cannot be read: {error.strerror}") from error
    if not portraits:
        raise InputError(
            f"the gallery {folder} contains no portrait: put a picture or a folder of pictures per name in it"
        )
    known: dict[str, Floats] = {}
    unused: list[str] = []
    for name, pictures in portraits.items():
        check_name(name)
        described: list[Floats] = []
        for path in pictures:
            try:
                described.append(_describe(path))
            except InputError as error:
                unused.append(str(error))
        if not described:
            reason = unused[-1] if pictures else f"its folder has no {', '.join(PICTURES)}"
            raise InputError(f"the gallery has no usable portrait of {name}: {reason}")
        known[name] = np.stack(described)
    return Gallery(known, tuple(unused))


def check_name(name: str) -> None:
    """Raise InputError for a text that cannot name a person."""
    if not name.strip() or not name.isprintable() or len(name) > 200:
        raise InputError(f"{name!r} cannot name a person: use up to 200 printable characters")
    if PERSON.fullmatch(name):
        raise InputError(f"{name} is an id that fervid gives to persons: give another name")


def _describe(path: Path) -> Floats:
    """Return the descriptor of the face in a portrait, (128,)."""
    picture = _luma(path)
    finder = FaceFinder(SMALLEST_FACE)
    faces = sorted(finder.detect(picture, Search.FULL), key=lambda face: -float(face.box[2]))
    if not faces:
        raise InputError(f"fervid finds no face in {path}: give another portrait")
    if len(faces) > 1 and faces[0].box[2] < CLEARLY_LARGER * faces[1].box[2]:
        raise InputError(f"{path} shows {len(faces)} faces: crop it to one")
    return describe(finder.portrait(picture, finder.fit(picture, faces[0])))


def _luma(path: Path) -> Bytes:
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:  # a pipe or a device has no end
            raise InputError(f"{path} cannot be read as a picture")
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    try:
        with _silenced():
            picture = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
    except cv2.error as error:
        raise InputError(f"{path} has more than 2^30 pixels, or is damaged: make it smaller") from error
    if picture is None:
        raise InputError(f"{path} cannot be read as a picture")
    return np.asarray(picture, np.uint8)


@contextmanager
def _silenced() -> Iterator[None]:
    """Hide messages of picture libraries about damage on standard error: fervid reports it in one line."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def name_groups(
    groups: Sequence[Sequence[int]],
    descriptors: Mapping[int, Descriptors],
    together: Collection[tuple[int, int]],
    gallery: Gallery,
) -> tuple[list[list[int]], dict[int, str]]:
    """Return the groups, with those of one name joined, and the names by index in these groups.

    The nearest pair of a group and a name goes first. Another group near the same name is the same person,
    unless the two are on screen together.
    """
    faces = [np.concatenate([descriptors[track].descriptor for track in group]) for group in groups]
    named: dict[str, list[int]] = {}
    is_named = [False] * len(groups)
    for index, name in nearest_names(dict(enumerate(faces)), gallery):
        tracks = named.get(name, [])
        if not is_named[index] and not any(
            (min(pair), max(pair)) in together for pair in product(tracks, groups[index])
        ):
            named[name] = sorted([*tracks, *groups[index]])
            is_named[index] = True
    rest = [list(group) for group, has_name in zip(groups, is_named, strict=True) if not has_name]
    return [*named.values(), *rest], dict(enumerate(named))


def nearest_names(persons: Mapping[Key, Floats], gallery: Gallery) -> list[tuple[Key, str]]:
    """Return the pairs of a person (N, 128) and a name within RECOGNISED of each other, nearest first."""
    pairs = [
        (round(_distance(faces, portraits), 6), key, name)
        for key, faces in persons.items()
        for name, portraits in gallery.faces.items()
    ]
    return [(key, name) for distance, key, name in sorted(pairs) if distance < RECOGNISED]


def _distance(first: Floats, second: Floats) -> float:
    """Return the distance between the means of two sets of faces (M, 128), (N, 128)."""
    return float(np.linalg.norm(first.mean(0, np.float64) - second.mean(0, np.float64)))
