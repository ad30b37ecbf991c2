"""Datasets of stills with codes as file names: the function that reads such a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fervid.datasets import Dataset, disk
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import STILLS, display_name
from fervid.types.samples import Sample

DEPTH = 4  # folders between the root and the files, at most


def read_stills(
    path: str,
    title: str,
    expected: str,
    labels: tuple[str, ...],
    decode: Callable[[Path], Sample | str | None],
    count: int,
) -> Dataset:
    """Read the stills below a folder.

    `decode` returns the sample of a file, the reason to leave it out, or None for a file of another name.
    The whole dataset has `count` pictures.
    """
    root, remarks = disk.folder(path, expected), Remarks()
    samples: dict[str, Sample] = {}
    known = 0
    for _, files in disk.tree(root, DEPTH):
        for file in files:
            sample = decode(file) if file.suffix.lower() in STILLS else None
            if sample is None:
                remarks.count(f"files that are not pictures of {title}, left out", file.name)
                continue
            known += 1
            if isinstance(sample, str):
                remarks.count(f"{sample}, left out", file.name)
            elif sample.name in samples:
                remarks.count("pictures found twice, read once", sample.name)
            else:
                samples[sample.name] = sample
    if not known:
        raise InputError(f"{display_name(path)} is not {title}: expected {expected}; {disk.listing(root)}")
    if known != count:
        remarks.add(f"{known:,} pictures; the whole set has {count:,}")
    return Dataset(labels, tuple(samples.values()), remarks.texts())
