"""Packs: a dataset as arrays of one length in an .npz file; and the parts and motions of their pictures."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fervid.datasets import ALL, Option, disk
from fervid.errors import InputError
from fervid.files import shown
from fervid.labels import NEUTRAL
from fervid.samples import Picture, Sample

Array = npt.NDArray[Any]

PARTS = ("training", "validation", "test")
PART = Option(ALL, "only these people: eight tenths, a tenth and a tenth, by their names", (*PARTS, ALL))
HALVES = ("first", "second")
HALF = Option(ALL, "only these people, one of two halves of the part, by their names", (*HALVES, ALL))
MOTION = Option(
    "no", "show how each expression came, and neutral faces as they blink and talk", ("yes", "no")
)

MOST = Option("0", "at most so many pictures of one class, spread over the pack; 0: all", least=0)


def spread(samples: list[Sample], most: int) -> list[Sample]:
    """At most `most` samples of each label, from all over the list; 0 keeps them all."""
    kept = np.ones(len(samples), bool)
    labels = np.array([sample.label for sample in samples])
    for label in np.unique(labels) if most else ():
        rows = np.flatnonzero(labels == label)
        if len(rows) > most:
            kept[rows] = False
            kept[rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]] = True
    return [sample for sample, is_kept in zip(samples, kept, strict=True) if is_kept]


def part_of(person: str) -> str:
    """The part that somebody belongs to, whatever else a pack holds."""
    tenth = zlib.crc32(person.encode()) % 10
    return PARTS[max(0, tenth - 7)]


def half_of(person: str) -> str:
    """The half of its part that somebody belongs to."""
    return HALVES[zlib.crc32(person.encode()) // 10 % 2]


def in_motion(sample: Sample, wanted: str) -> Sample:
    """Return the sample of a picture, set in motion if that is wanted."""
    if wanted == "no":
        return sample
    seed = zlib.crc32(sample.name.encode())
    motion = f"act/spontaneous/{seed}/{NEUTRAL}" if sample.label == NEUTRAL else f"onset/{seed}"
    return moved(sample, f"moving/{sample.name}", motion)


def moved(sample: Sample, name: str, motion: str) -> Sample:
    """Return the sample of a picture under another name, set in motion."""
    assert isinstance(sample.pixels, Picture)
    return replace(sample, name=name, pixels=replace(sample.pixels, motion=motion))


def read(path: str, wanted: Mapping[str, tuple[int, str]]) -> dict[str, Array]:
    """The wanted arrays of a pack; each is named with its number of axes and its kinds (as dtype.kind)."""
    expected = f"an .npz file with the arrays {', '.join(wanted)}"
    place = disk.file(path, expected)
    try:
        if not zipfile.is_zipfile(place):  # numpy would take other kinds of file
            raise ValueError("no zip archive")
        with open(place, "rb") as stream, np.load(stream, allow_pickle=False) as pack:
            there = pack.files
            missing = [name for name in wanted if name not in there]
            packed = "images" in missing and {"webp", "offset"} <= set(there)
            if packed:
                missing.remove("images")
            if missing:
                raise InputError(
                    f"{shown(path)} has no array {missing[0]!r}: expected {expected}; it has "
                    f"{', '.join(there) or 'none'}"
                )
            arrays = {name: pack[name] for name in wanted if name in there}
            if packed:
                arrays["images"] = _decoded(path, pack["webp"], pack["offset"])
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as failure:
        raise InputError(f"{shown(path)} is no pack that can be read: expected {expected}") from failure
    count = len(arrays["images"])
    for name, (axes, kinds) in wanted.items():
        array = arrays[name]
        if array.ndim != axes or array.dtype.kind not in kinds or len(array) != count:
            raise InputError(
                f"the array {name!r} of {shown(path)} is {array.dtype} {array.shape}; expected {axes} "
                f"axes of kind {' or '.join(kinds)}, and {count} rows as 'images' has"
            )
    if arrays["images"].dtype != np.uint8:
        raise InputError(f"the images of {shown(path)} are {arrays['images'].dtype}, not uint8")
    return arrays


def _decoded(path: str, blob: Array, offset: Array) -> Array:
    """The pictures that lie coded one behind the other, all of one size: (N, H, W)."""
    import cv2

    pictures: list[Array] = []
    for start, end in zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True):
        picture = cv2.imdecode(blob[start:end], cv2.IMREAD_GRAYSCALE) if end > start else None
        if picture is None:
            raise InputError(f"picture {len(pictures)} of {shown(path)} cannot be decoded; copy it again")
        pictures.append(picture)
    if len({picture.shape for picture in pictures}) > 1:
        raise InputError(f"the pictures of {shown(path)} are not all of one size")
    return np.stack(pictures) if pictures else np.empty((0, 1, 1), np.uint8)
