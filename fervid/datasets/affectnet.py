"""`affectnet`: faces from the web, in the older layout (tables) or the newer one (a file per label)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tokenize import TokenError

import numpy as np

from fervid.datasets import ALL, Dataset, Option, disk, layout, naming, tagging
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import display_name, open_regular, read_limited
from fervid.types import Array
from fervid.types.samples import OnDisk, Sample

EXPECTED = (
    "AffectNet's folder, with Manually_Annotated_file_lists/training.csv and Manually_Annotated/, "
    "or train_set/ and val_set/ with images/ and annotations/"
)
CODES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
OTHERS = {8: "no expression (none)", 9: "uncertain expression", 10: "no face"}
LISTS = ("Manually_Annotated_file_lists", "Manually_Annotated/Manually_Annotated_file_lists")
PICTURES = ("Manually_Annotated/Manually_Annotated_Images", "Manually_Annotated_Images", "Manually_Annotated")
TABLES = {"training.csv": "train", "validation.csv": "val"}
PATH, EXPRESSION = "subdirectory_filepath", "expression"
BOX = ("face_x", "face_y", "face_width", "face_height")
COLUMNS = (PATH, *BOX, "facial_landmarks", EXPRESSION, "valence", "arousal")  # of a table without a header
IMAGES, ANNOTATIONS = "images", "annotations"
PART = re.compile(r"(train|training|val|validation|test)([ _-]?set)?", re.IGNORECASE)
MOST_BYTES = 4096  # of a file with one number
DAMAGE = (OSError, ValueError, EOFError, MemoryError, RuntimeError, TokenError)
DEPTH = 3  # folders between the root and those of images, at most

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Row:
    """One picture with the code of its label."""

    name: str
    part: str
    path: Path
    code: str
    box: Box | None = None
    affect: tuple[float, float] | None = None


@layout(
    "affectnet",
    "AffectNet: pictures from the web, 7 or 8 classes",
    split=Option(ALL, "only this part", choices=(ALL, "train", "val")),
    classes=tagging.CLASSES,
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the tables of the older layout, or the small files of the newer one."""
    root, remarks = disk.folder(path, EXPECTED), Remarks()
    chosen, split = tagging.CHOSEN[options["classes"]], options["split"]
    tables = _tables(root)
    parts = [] if tables else list(_parts(root, None, DEPTH))
    if not tables and not parts:
        raise InputError(f"{display_name(path)} is not AffectNet: expected {EXPECTED}; {disk.listing(root)}")
    rows = (
        _listed(tables, _pictures(root, path), split, remarks)
        if tables
        else _annotated(parts, split, remarks)
    )
    samples: dict[str, Sample] = {}
    for row in rows:
        code = _whole(row.code)
        if code in OTHERS:
            remarks.count(f"pictures of {OTHERS[code]}, left out", row.name)
        elif code is None or not 0 <= code < len(CODES):
            remarks.count("pictures with a label that is not a code from 0 to 10, left out", row.name)
        elif CODES[code] not in chosen:
            kind = f"pictures of {CODES[code]}, which is not among the {len(chosen)} classes"
            remarks.count(kind, row.name)
        elif row.name in samples:
            remarks.count("pictures found twice, read once", row.name)
        else:
            pixels = OnDisk(str(row.path), box=row.box)
            samples[row.name] = Sample(row.name, CODES[code], pixels, split=row.part, affect=row.affect)
            if row.affect is None:
                remarks.count("pictures without valence and arousal", row.name)
    remarks.add_without_people("AffectNet", "picture")
    return Dataset(chosen, tuple(samples.values()), remarks.texts())


def _whole(text: str) -> int | None:
    """Return a code as a number, or None; some copies write 1 as 1.0."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _tables(root: Path) -> dict[str, Path]:
    """Return the table of each part, in the older layout."""
    for folder in (*(disk.find_path(root, name) for name in LISTS), root):
        files = disk.files(folder) if folder is not None else []
        tables = {TABLES[file.name.casefold()]: file for file in files if file.name.casefold() in TABLES}
        if tables:
            return tables
    return {}


def _pictures(root: Path, path: str) -> Path:
    for folder in (root, root.parent):  # the path may be the folder of the tables
        for name in PICTURES:
            pictures = disk.find_path(folder, name)
            if pictures is not None:
                return pictures
    raise InputError(
        f"{display_name(path)} has tables and no pictures of AffectNet: expected {PICTURES[0]}/ beside them; "
        f"{disk.listing(root)}"
    )


def _listed(tables: Mapping[str, Path], pictures: Path, split: str, remarks: Remarks) -> Iterator[_Row]:
    for part, table in tables.items():
        if split not in (part, ALL):
            continue
        try:
            with open(disk.file(table, EXPECTED), encoding="utf-8-sig", newline="") as stream:
                yield from _rows(table, csv.reader(disk.lines(stream)), part, pictures, remarks)
        except (UnicodeDecodeError, csv.Error) as failure:
            raise InputError(f"{display_name(table)} is not a table of AffectNet: {failure}") from failure


def _rows(
    table: Path, cells: Iterator[list[str]], part: str, pictures: Path, remarks: Remarks
) -> Iterator[_Row]:
    head = next(cells, [])
    columns = words = tuple(cell.strip().casefold() for cell in head)
    if PATH in words:
        if EXPRESSION not in columns:
            raise InputError(f"{display_name(table)} has no column {EXPRESSION!r}, only {', '.join(words)}")
    elif len(head) == len(COLUMNS):
        columns, cells = COLUMNS, chain([head], cells)  # no header: the first line is a picture
    else:
        line = display_name(", ".join(head)[:80]) or "empty"
        raise InputError(
            f"{display_name(table)} is not a table of AffectNet: expected the columns "
            f"{', '.join(COLUMNS)}; its first line is {line}"
        )
    has_box = set(BOX) <= set(columns)
    for number, row in enumerate(cells, 1):
        if not any(row):
            continue
        if len(row) != len(columns):
            remarks.count("rows with too few or too many columns, left out", f"row {number} of {table.name}")
            continue
        facts = dict(zip(columns, row, strict=True))
        written = facts[PATH].strip().replace("\\", "/")
        box = _box([facts[side] for side in BOX]) if has_box else None
        if box is None and _whole(facts[EXPRESSION]) not in OTHERS:
            remarks.count("pictures without a box of the face: the largest face is used", f"{part}/{written}")
        affect = affect_of(facts.get("valence", ""), facts.get("arousal", ""))
        yield _Row(f"{part}/{written}", part, pictures / written, facts[EXPRESSION], box, affect)


def affect_of(valence: str, arousal: str) -> tuple[float, float] | None:
    """Return valence and arousal, or None: AffectNet writes -2 for pictures that have none."""
    try:
        values = float(valence), float(arousal)
    except ValueError:
        return None
    return values if all(-1 <= value <= 1 for value in values) else None


def _box(cells: list[str]) -> Box | None:
    """Return left, top, width and height, or None if they are not a box, as for pictures without a face."""
    left, top, width, height = map(_whole, cells)
    if left is None or top is None or width is None or height is None or min(width, height) < 1:
        return None
    return left, top, width, height


def _parts(folder: Path, part: str | None, depth: int) -> Iterator[tuple[str, Path, Path]]:
    """Yield every pair of folders of images and annotations, with the part named by the folder above."""
    names = PART.fullmatch(folder.name)
    named = naming.part_of(names[1]) if names else part
    images, annotations = disk.find_path(folder, IMAGES), disk.find_path(folder, ANNOTATIONS)
    if images is not None and annotations is not None:
        if named is None:
            raise InputError(
                f"{display_name(folder)} is in neither train_set nor val_set: expected {EXPECTED}"
            )
        yield named, images, annotations
    elif depth:
        for below in disk.folders(folder):
            yield from _parts(below, named, depth - 1)


def _annotated(parts: list[tuple[str, Path, Path]], split: str, remarks: Remarks) -> Iterator[_Row]:
    for part, images, labels in parts:
        if split not in (part, ALL):
            continue
        for file in disk.pictures(images):
            name = f"{part}/{file.name}"
            try:
                code = _array(labels / f"{file.stem}_exp.npy")
            except FileNotFoundError:
                remarks.count("pictures without a label, left out", name)
            except DAMAGE:
                remarks.count("labels that cannot be read, left out", name)
            else:
                # A number, or text.
                written = str(code.reshape(-1).astype(str)[0]) if code.size == 1 else ""
                valence, arousal = (_number(labels / f"{file.stem}_{end}.npy") for end in ("val", "aro"))
                yield _Row(name, part, file, written, affect=affect_of(valence, arousal))


def _array(path: Path) -> Array:
    """Read a file of one number or text."""
    with open_regular(path) as stream:
        content = io.BytesIO(read_limited(stream, MOST_BYTES))
    return np.asarray(np.lib.format.read_array(content, allow_pickle=False))


def _number(path: Path) -> str:
    """Return the text of a file with one number; empty if there is none."""
    try:
        value = _array(path)
    except DAMAGE:
        return ""
    return str(value.reshape(-1).astype(str)[0]) if value.size == 1 else ""
