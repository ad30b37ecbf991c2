"""Packs: datasets as arrays of equal length in an .npz file, and parts and animation of their pictures."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from fervid.datasets import ALL, Option, disk
from fervid.errors import InputError
from fervid.files import display_name
from fervid.labels import NEUTRAL
from fervid.types.samples import Picture, Sample

Array = npt.NDArray[Any]

PARTS = ("training", "validation", "test")
PART = Option(ALL, "only these people: 80 %, 10 % and 10 % of them, by name", (*PARTS, ALL))
HALVES = ("first", "second")
HALF = Option(ALL, "only these people: one half of the part, by name", (*HALVES, ALL))
MOTION = Option(
    "no", "animate the pictures: the onset of each expression; neutral faces blink and talk", ("yes", "no")
)

MOST_RATIO, MOST_SMALL = 64, 1 << 28  # the most bytes of arrays: for each byte of a pack, and in any case
DAMAGE = (
    *(OSError, ValueError, EOFError, RuntimeError, MemoryError),
    *(TokenError, zipfile.BadZipFile, zlib.error),
)
MOST = Option("0", "at most this many pictures of a class, spread over the pack; 0: all", least=0)


def spread(samples: list[Sample], most: int) -> list[Sample]:
    """Return at most `most` samples of each label, spread over the list; 0 returns all."""
    kept = np.ones(len(samples), bool)
    labels = np.array([sample.label for sample in samples])
    for label in np.unique(labels) if most else ():
        rows = np.flatnonzero(labels == label)
        if len(rows) > most:
            kept[rows] = False
            kept[rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]] = True
    return [sample for sample, is_kept in zip(samples, kept, strict=True) if is_kept]


def part_of(person: str) -> str:
    """Return the part of a person, which does not depend on the rest of the pack."""
    tenth = zlib.crc32(person.encode()) % 10
    return PARTS[max(0, tenth - 7)]


def half_of(person: str) -> str:
    """Return the half of the part that a person is in."""
    return HALVES[zlib.crc32(person.encode()) // 10 % 2]


def in_motion(sample: Sample, wanted: str) -> Sample:
    """Return the sample of a picture, animated unless the option is "no"."""
    if wanted == "no":
        return sample
    seed = zlib.crc32(sample.name.encode())
    motion = f"act/spontaneous/{seed}/{NEUTRAL}" if sample.label == NEUTRAL else f"onset/{seed}"
    return moved(sample, f"moving/{sample.name}", motion)


def moved(sample: Sample, name: str, motion: str) -> Sample:
    """Return the sample of a picture with another name and a motion."""
    assert isinstance(sample.pixels, Picture)
    return replace(sample, name=name, pixels=replace(sample.pixels, motion=motion))


def read(path: str, wanted: Mapping[str, tuple[int, str]]) -> dict[str, Array]:
    """Read arrays of a pack; `wanted` has the number of axes and the kinds (dtype.kind) of each."""
    expected = f"an .npz file with the arrays {', '.join(wanted)}"
    file = disk.file(path, expected)
    try:
        if not zipfile.is_zipfile(file):  # numpy also loads other kinds of files
            raise ValueError("not a zip archive")
        with zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_RATIO * file.stat().st_size + MOST_SMALL:
            raise ValueError("its arrays are far larger than pictures that are compressed")
        with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as pack:
            have = pack.files
            missing = [name for name in wanted if name not in have]
            packed = "images" in missing and {"webp", "offset"} <= set(have)
            if packed:
                missing.remove("images")
            if missing:
                raise InputError(
                    f"{display_name(path)} has no array {missing[0]!r}: expected {expected}; it has "
                    f"{', '.join(have) or 'none'}"
                )
            arrays: dict[str, Any] = {name: pack[name] for name in wanted if name in have}
            if not all(isinstance(array, np.ndarray) for array in arrays.values()):
                raise ValueError("a file in it is no array")
            if packed:
                arrays["images"] = _decoded(path, pack["webp"], pack["offset"])
    except DAMAGE as failure:
        raise InputError(
            f"{display_name(path)} is not a pack that can be read: expected {expected}"
        ) from failure
    count = len(arrays["images"])
    for name, (axes, kinds) in wanted.items():
        array = arrays[name]
        if array.ndim != axes or array.dtype.kind not in kinds or len(array) != count:
            raise InputError(
                f"the array {name!r} of {display_name(path)} is {array.dtype} {array.shape}; expected {axes} "
                f"axes of kind {' or '.join(kinds)}, and {count} rows as 'images' has"
            )
    if arrays["images"].dtype != np.uint8:
        raise InputError(f"the images of {display_name(path)} are {arrays['images'].dtype}, not uint8")
    return arrays


def _decoded(path: str, blob: Array, offset: Array) -> Array:
    """Decode pictures of one size, stored one after the other: (N, H, W)."""
    import cv2

    pictures: list[Array] = []
    for start, end in zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True):
        try:
            picture = cv2.imdecode(blob[start:end], cv2.IMREAD_GRAYSCALE) if end > start else None
        except cv2.error:  # more than 2**30 pixels
            picture = None
        if picture is None:
            raise InputError(
                f"picture {len(pictures)} of {display_name(path)} cannot be decoded; copy it again"
            )
        pictures.append(picture)
    if len({picture.shape for picture in pictures}) > 1:
        raise InputError(f"the pictures of {display_name(path)} are not all of one size")
    return np.stack(pictures) if pictures else np.empty((0, 1, 1), np.uint8)
