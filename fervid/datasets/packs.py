"""Packs: a dataset as arrays of one length in an .npz file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fervid.datasets import disk
from fervid.errors import InputError

Array = npt.NDArray[Any]


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
                    f"{disk.shown(path)} has no array {missing[0]!r}: expected {expected}; it has "
                    f"{', '.join(there) or 'none'}"
                )
            arrays = {name: pack[name] for name in wanted if name in there}
            if packed:
                arrays["images"] = _decoded(path, pack["webp"], pack["offset"])
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as failure:
        raise InputError(f"{disk.shown(path)} is no pack that can be read: expected {expected}") from failure
    count = len(arrays["images"])
    for name, (axes, kinds) in wanted.items():
        array = arrays[name]
        if array.ndim != axes or array.dtype.kind not in kinds or len(array) != count:
            raise InputError(
                f"the array {name!r} of {disk.shown(path)} is {array.dtype} {array.shape}; expected {axes} "
                f"axes of kind {' or '.join(kinds)}, and {count} rows as 'images' has"
            )
    if arrays["images"].dtype != np.uint8:
        raise InputError(f"the images of {disk.shown(path)} are {arrays['images'].dtype}, not uint8")
    return arrays


def _decoded(path: str, blob: Array, offset: Array) -> Array:
    """The pictures that lie coded one behind the other, all of one size: (N, H, W)."""
    import cv2

    pictures: list[Array] = []
    for start, end in zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True):
        picture = cv2.imdecode(blob[start:end], cv2.IMREAD_GRAYSCALE) if end > start else None
        if picture is None:
            raise InputError(
                f"picture {len(pictures)} of {disk.shown(path)} cannot be decoded; copy it again"
            )
        pictures.append(picture)
    if len({picture.shape for picture in pictures}) > 1:
        raise InputError(f"the pictures of {disk.shown(path)} are not all of one size")
    return np.stack(pictures) if pictures else np.empty((0, 1, 1), np.uint8)
