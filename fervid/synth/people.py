"""Invented people: the shape, motion and looks of each face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fervid.faces import shape
from fervid.synth.actions import TOUCHING, Points, action_units, neutral_face

UNITS: tuple[str, ...] = tuple(action_units())
UNIT_GAIN = 0.08  # sd of the gain of a full action over people, sides and action units


@dataclass(frozen=True, eq=False)
class Person:
    """One face: its shape at rest, the gains of its action units, and its looks for drawing.

    Colours are grey levels from 0 to 1, other looks are shares of the usual.
    """

    shape: Points  # (68, 3) in eye distances, the origin between the eyes: x right, y down, z away
    gains: Points  # (U, 2) for the person's right and left, in the order of UNITS
    skin: float  # the lit skin's grey level
    hair: float
    brow: float  # darker than the skin by this share
    brow_height: float
    lips: float  # darker than the skin by this share
    iris: float
    age: float  # 0 smooth, 1 lined: share of each line's depth at rest
    lines: float  # depth of lines of expression
    roundness: float  # strength of the relief's shading
    beard: float  # 0 none, 1 full and dark
    moustache: float
    fringe: float  # length of hair over the forehead, in eye distances
    glasses: float  # darkness of their frame; 0 is none
    texture: int  # seed of the skin's grain


def person(rng: np.random.Generator) -> Person:
    """Draw a random person.

    The source's identity modes move whole parts of a face together. All lengths are then divided by the
    person's own eye distance, as a tracker's are.
    """
    modes = shape.figures()["identity"].astype(np.float64)  # (100, 68, 3), each one standard deviation long
    built = neutral_face() + np.tensordot(rng.standard_normal(len(modes)), modes, axes=1)
    eyes = built[shape.RIGHT_EYE].mean(0), built[shape.LEFT_EYE].mean(0)
    built = (built - (eyes[0] + eyes[1]) / 2) / np.hypot(*(eyes[1] - eyes[0])[:2])
    for upper, lower in TOUCHING[:3]:  # some draws have crossed lips
        crossed = min(0.0, built[lower, 1] - built[upper, 1])
        built[upper, 1] += crossed / 2
        built[lower, 1] -= crossed / 2
    skin = rng.uniform(0.35, 0.85)
    bearded = rng.random() < 0.2
    return Person(
        shape=built,
        gains=rng.normal(1.0, UNIT_GAIN, (len(UNITS), 2)),
        skin=skin,
        hair=skin * rng.uniform(0.15, 0.6) if rng.random() < 0.8 else rng.uniform(0.6, 0.9),
        brow=rng.uniform(0.3, 0.8),
        brow_height=rng.uniform(0.7, 1.4),
        lips=rng.uniform(0.1, 0.4),
        iris=rng.uniform(0.1, 0.5),
        age=rng.beta(1.2, 2.5),
        lines=rng.uniform(0.6, 1.3),
        roundness=rng.uniform(0.7, 1.3),
        beard=rng.uniform(0.3, 1.0) if bearded else 0.0,
        moustache=rng.uniform(0.3, 1.0) if bearded or rng.random() < 0.08 else 0.0,
        fringe=rng.uniform(0.1, 0.5) if rng.random() < 0.3 else 0.0,
        glasses=rng.uniform(0.3, 0.9) if rng.random() < 0.15 else 0.0,
        texture=int(rng.integers(1 << 31)),
    )
