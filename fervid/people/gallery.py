"""Named portraits, and which of the persons in a video they show."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from fervid.errors import InputError
from fervid.faces.finder import FaceFinder, describe
from fervid.types import PERSON, Bytes, Floats, Likeness

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
RECOGNISED = 0.45  # distance from a name's portraits below which a person gets the name
CLEARLY_LARGER = 2.0  # a portrait's face is so many times larger than any other face in the picture
SMALLEST_FACE = 0.05  # share of a portrait's height

Key = TypeVar("Key", int, str)


@dataclass(frozen=True, eq=False)
class Gallery:
    """Names, and what the faces of each look like."""

    faces: Mapping[str, Floats]  # (N, 128) per name
    unused: tuple[str, ...]  # which pictures told nothing, and why


def read_gallery(folder: str) -> Gallery:
    """Read a folder of portraits: a picture for each name, or a folder of pictures for each."""
    found: dict[str, list[Path]] = {}
    try:
        for entry in sorted(Path(folder).iterdir()):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                pictures = [path for path in sorted(entry.iterdir()) if path.suffix.lower() in PICTURES]
                found.setdefault(entry.name, []).extend(pictures)
            elif entry.suffix.lower() in PICTURES:
                found.setdefault(entry.stem, []).append(entry)
    except OSError as error:
        raise InputError(f"the gallery {folder} cannot be read: {error.strerror}") from error
    if not found:
        raise InputError(
            f"the gallery {folder} holds no portrait: put a picture or a folder of pictures per name there"
        )
    known: dict[str, Floats] = {}
    unused: list[str] = []
    for name, pictures in found.items():
        check_name(name)
        described: list[Floats] = []
        for path in pictures:
            try:
                described.append(_describe(path))
            except InputError as error:
                unused.append(str(error))
        if not described:
            reason = unused[-1] if pictures else f"its folder is empty of {', '.join(PICTURES)}"
            raise InputError(f"the gallery has no portrait of {name} that can be used: {reason}")
        known[name] = np.stack(described)
    return Gallery(known, tuple(unused))


def check_name(name: str) -> None:
    """Refuse what cannot name a person."""
    if not name.strip() or not name.isprintable() or len(name) > 200:
        raise InputError(f"{name!r} cannot name a person: use printable characters, 200 at most")
    if PERSON.fullmatch(name):
        raise InputError(f"{name} is how fervid counts persons: give a name that differs")


def _describe(path: Path) -> Floats:
    """What the face in a portrait looks like, (128,)."""
    picture = _luma(path)
    finder = FaceFinder(SMALLEST_FACE)
    found = sorted(finder.detect(picture), key=lambda pair: -float(pair[0][2]))
    if not found:
        raise InputError(f"{path} shows no face that fervid finds")
    if len(found) > 1 and found[0][0][2] < CLEARLY_LARGER * found[1][0][2]:
        raise InputError(f"{path} shows {len(found)} faces: cut it to one")
    return describe(finder.portrait(picture, finder.fit(picture, found[0][0])))


def _luma(path: Path) -> Bytes:
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    picture = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if len(content) else None
    if picture is None:
        raise InputError(f"{path} is no picture that can be read")
    return np.asarray(picture, np.uint8)


def recognised(
    groups: Sequence[Sequence[int]],
    likenesses: Mapping[int, Likeness],
    together: Collection[tuple[int, int]],
    gallery: Gallery,
) -> tuple[list[list[int]], dict[int, str]]:
    """The groups, those of one name joined, and the names of those that a portrait shows, by place.

    The nearest pair of a group and a name goes first. A further group near the same name is the same
    person, unless the two are on screen together.
    """
    seen = [np.concatenate([likenesses[track].descriptor for track in group]) for group in groups]
    named: dict[str, list[int]] = {}
    is_named = [False] * len(groups)
    for place, name in near(dict(enumerate(seen)), gallery):
        tracks = named.get(name, [])
        if not is_named[place] and not any(
            (min(one, other), max(one, other)) in together for one in tracks for other in groups[place]
        ):
            named[name] = sorted([*tracks, *groups[place]])
            is_named[place] = True
    rest = [list(group) for group, known in zip(groups, is_named, strict=True) if not known]
    return [*named.values(), *rest], dict(enumerate(named))


def near(seen: Mapping[Key, Floats], gallery: Gallery) -> list[tuple[Key, str]]:
    """The pairs of a person (N, 128) and a name that may be one, the nearest first."""
    pairs = [
        (round(_distance(one, portraits), 6), key, name)
        for key, one in seen.items()
        for name, portraits in gallery.faces.items()
    ]
    return [(key, name) for distance, key, name in sorted(pairs) if distance < RECOGNISED]


def _distance(first: Floats, second: Floats) -> float:
    """The distance between the means of two lots of faces (M, 128), (N, 128)."""
    return float(np.linalg.norm(first.mean(0, np.float64) - second.mean(0, np.float64)))
