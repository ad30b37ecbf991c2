"""What tests of training share: footage of drawn people with an expression, and small runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

from fervid import execute, model, synth
from fervid.train import folders, run
from fervid.train.footage import Footage
from fervid.train.machine import Machine
from fervid.train.material import Material
from fervid.train.recipe import Recipe
from fervid.types.samples import Sample, Strip

CPU = Machine(torch.device("cpu"))
LABELS = ("happiness", "surprise")
SMALL = Recipe(
    data=("synth:posed",),
    streams=("tiny_faces", "tiny_displacement"),
    epochs=3,
    joint_epochs=2,
    batch=4,
    held_out=0.3,
)


def drawn(labels: Sequence[str], people: int, per_class: int, seed: int = 0, length: int = 16) -> Footage:
    """Return the last frames of posed sequences, which show the full expression."""
    return footage(*_ends(labels, people, per_class, seed, length, last))


def risen(labels: Sequence[str], people: int, per_class: int, seed: int = 0, length: int = 16) -> Footage:
    """Return the frames of posed sequences in which the face moves most."""
    return footage(*_ends(labels, people, per_class, seed, length, rising))


def _ends(
    labels: Sequence[str],
    people: int,
    per_class: int,
    seed: int,
    length: int,
    part: Callable[[Strip, int], Strip],
) -> tuple[tuple[Sample, ...], list[Strip]]:
    samples = tuple(synth.samples("posed", people, per_class, seed, labels))
    return samples, [part(synth.strip_of(sample.pixels.name), length) for sample in samples]


def last(strip: Strip, length: int) -> Strip:
    return _only(strip, slice(-length, None))


def rising(strip: Strip, length: int) -> Strip:
    moves = strip.landmarks[length:] - strip.landmarks[:-length]
    start = int(np.square(moves - moves.mean(1, keepdims=True)).sum((1, 2)).argmax())
    return _only(strip, slice(start, start + length))


def _only(strip: Strip, rows: slice) -> Strip:
    return replace(
        strip,
        pts=strip.pts[rows],
        faces=strip.faces[rows],
        landmarks=strip.landmarks[rows],
        quality=None,
    )


def footage(samples: Sequence[Sample], strips: Sequence[Strip]) -> Footage:
    """Return footage of samples and their strips."""
    return Footage(
        samples=tuple(samples),
        pts=tuple(strip.pts for strip in strips),
        time_bases=tuple(Fraction(strip.time_base) for strip in strips),
        faces=tuple(strip.faces for strip in strips),
        landmarks=tuple(strip.landmarks for strip in strips),
        quality=tuple(np.ones(len(strip), np.float32) for strip in strips),
        troubles=tuple("" if len(strip) else "no face" for strip in strips),
    )


def trained(recipe: Recipe, material: Material, folder: Path, strips: Path, **options: object) -> Path:
    folders.begin(folder, recipe, material)
    with execute.serial() as executor:
        return run.train(recipe, material, folder, executor, CPU, cache=strips, **options)  # type: ignore[arg-type]


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / model.WEIGHTS)


def same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


class Stop(Exception):
    """The interruption of a run."""
