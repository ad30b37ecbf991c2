"""Drawn samples: a dataset of names that describe what to draw.

A name is `difficulty/seed/person/take/label`, with `/bare` if no face is painted, for streams that read
landmarks alone: painting takes two hundred times as long as landmarks. The person depends on the seed and the
person's number alone, so that the same people appear at every difficulty and with every label.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from fervid.errors import UsageError
from fervid.faces import shape
from fervid.labels import EMOTIONS
from fervid.synth.drawing import Painter
from fervid.synth.people import Person, person
from fervid.synth.sequences import Trajectory, difficulty_of, recipe_of, trajectory
from fervid.types.samples import Drawn, Sample, Strip

BARE = "/bare"
EYES = 100.0  # pixels between the eyes in the imagined video of a tracker


def samples(
    difficulty: str,
    people: int,
    per_class: int,
    seed: int,
    labels: Sequence[str] = EMOTIONS,
    bare: bool = False,
) -> Iterator[Sample]:
    """Yield `per_class` samples of each label, divided evenly among `people`."""
    if people < 1 or per_class < 1 or seed < 0:
        raise UsageError("drawn samples need at least one person, one sample per class, and a seed from 0 on")
    difficulty_of(difficulty)
    for label in labels:
        recipe_of(label)
        for number in range(per_class):
            take, who = divmod(number, people)
            name = f"{difficulty}/{seed}/{who}/{take}/{label}{BARE if bare else ''}"
            yield Sample(name, label, Drawn(name), subject=f"drawn-{seed}-{who}")


def acted(drawn: str) -> tuple[Person, Trajectory, np.random.Generator]:
    """Return the person of a sample's name, the motion, and the random generator for drawing it."""
    pieces = drawn.removesuffix(BARE).split("/")
    if len(pieces) != 5 or not all(piece.isascii() and piece.isdigit() for piece in pieces[1:4]):
        raise UsageError(
            f"cannot draw {drawn}: write difficulty/seed/person/take/label, as in posed/0/3/1/anger"
        )
    difficulty, label = pieces[0], pieces[4]
    seed, number, take = map(int, pieces[1:4])
    who = person(np.random.default_rng([seed, number]))
    rng = np.random.default_rng([seed, number, take, zlib.crc32(f"{difficulty}/{label}".encode())])
    return who, trajectory(who, label, difficulty, rng), rng


def strip_of(name: str) -> Strip:
    """Draw the sample of this name as training reads it; the same name gives the same pixels."""
    who, moved, rng = acted(name)
    size = 1 if name.endswith(BARE) else shape.CROP + 2 * shape.MARGIN
    painter = Painter(who, size, rng) if size > 1 else None
    faces = np.zeros((len(moved), size, size), np.uint8)
    landmarks = np.empty_like(moved.landmarks)
    for row, (tracked, true) in enumerate(zip(moved.landmarks * EYES, moved.clean * EYES, strict=True)):
        # Cropped at the tracker's landmarks, and drawn at the true ones.
        matrix, _ = shape.alignment(tracked, shape.MARGIN)
        landmarks[row] = tracked @ matrix[:, :2].T + matrix[:, 2]
        if painter is not None:
            faces[row] = painter.paint(true @ matrix[:, :2].T + matrix[:, 2], moved.weights[row])
    return Strip(moved.time_base, moved.frame, faces, landmarks)
