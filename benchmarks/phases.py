"""Measure how far the phases of expressions are from the truth, on drawn takes of people in motion.

    python benchmarks/phases.py [--takes N] [--json FILE]

README.md in this folder explains the figures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fervid import model, synth
from fervid.clips import Face
from fervid.faces import shape
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.synth.strips import acted, strip_of
from fervid.units import phases
from fervid.units.fitting import average

Doubles = npt.NDArray[np.float64]
MOMENTS = ("onset", "apex", "release", "offset")
RISEN, FULL = 0.05, 0.95  # of the true level, at which an expression has begun, and is complete
AROUND = 6  # frames before and after, that the learned line reads
RIDGE = 10.0
FEET, HEADS = (0.05, 0.1, 0.15, 0.2, 0.3), (0.6, 0.7, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True, eq=False)
class Take:
    """A drawn take: its face, its true level and moments in seconds."""

    face: Face
    label: str
    level: Doubles
    truth: Doubles  # (4,)

    @property
    def moved(self) -> npt.NDArray[np.float32]:
        """The displacement from the estimated neutral face, (N, 102)."""
        away = self.face.upright - self.face.neutral
        return np.asarray(away[:, shape.INNER].reshape(len(away), -1), np.float32)


def takes(difficulty: str, seed: int, count: int) -> list[Take]:
    """Return takes of each emotion, of `count` people."""
    labels = [label for label in EMOTIONS if label != NEUTRAL]
    made = []
    for sample in synth.samples(difficulty, count, count, seed, labels, bare=True):
        _, moved, _ = acted(sample.pixels.name)
        up, full = np.flatnonzero(moved.level > RISEN), np.flatnonzero(moved.level >= FULL)
        truth = moved.times[[up[0], full[0], full[-1], up[-1]]]
        made.append(Take(Face.of_strip(strip_of(sample.pixels.name)), sample.label, moved.level, truth))
    return made


def shipped(take: Take) -> Doubles:
    """Return the moments that `--phases` finds."""
    pts = take.face.pts
    match = phases.find_phases(pts, take.moved, int(pts[0]), int(pts[-1]) + 1, take.face.clock)
    if match is None:
        return np.full(4, np.nan)
    return np.array([getattr(match, name) for name in MOMENTS]) * float(take.face.clock.time_base)


def by_curve(pts: npt.NDArray[np.int64], values: Doubles, take: Take, foot: float, head: float) -> Doubles:
    """Return where a curve over the whole take crosses shares of its height, in seconds."""
    moments = phases.crossings(pts, values, int(values.argmax()), foot, head)
    return np.array(moments) * float(take.face.clock.time_base)


def features(take: Take) -> Doubles:
    """Return the input of the learned line for each frame: displacement now, before and after."""
    moved = take.moved.astype(np.float64)
    padded = np.pad(average(moved, 5), ((AROUND, AROUND), (0, 0)), mode="edge")
    parts = [padded[shift : shift + len(moved)] for shift in (0, AROUND, 2 * AROUND)]
    lengths = [np.hypot(part[:, ::2], part[:, 1::2]) for part in parts]
    return np.hstack([*parts, *lengths, np.ones((len(moved), 1))])


def learned(train: list[Take]) -> Callable[[Take], tuple[npt.NDArray[np.int64], Doubles]]:
    """Return the curve of a level that ridge regression has learned from takes."""
    rows, level = np.vstack([features(take) for take in train]), np.hstack([take.level for take in train])
    weights = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(rows.shape[1]), rows.T @ level)
    return lambda take: (take.face.pts, average(features(take) @ weights, 5))


def scored(net: model.Model) -> Callable[[Take], tuple[npt.NDArray[np.int64], Doubles]]:
    """Return the curve of 1 minus the score of neutral, by the landmark network alone."""

    def curve(take: Take) -> tuple[npt.NDArray[np.int64], Doubles]:
        logits, _ = net.heads("phrnn", [window["displacement"] for window in take.face.windows()])
        scores = net.probabilities(logits)[:, net.spec.labels.index(NEUTRAL)]
        return take.face.centres(), average(1.0 - scores, 3)

    return curve


def errors(test: list[Take], moments: Callable[[Take], Doubles]) -> Doubles:
    """Return the medians over takes of the distance from the truth, in ms: (4,)."""
    differences = np.array([moments(take) - take.truth for take in test])
    return np.asarray(1000 * np.nanmedian(np.abs(differences), axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--takes", type=int, default=12, help="of each emotion, for training and for the test"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    table: list[dict[str, Any]] = []
    for difficulty in ("medium", "spontaneous"):
        train, test = takes(difficulty, 1, args.takes), takes(difficulty, 2, args.takes)
        ways: dict[str, Doubles] = {"rule": errors(test, shipped)}
        for name, make in (("learned", learned(train)), ("scores", scored(model.load("default")))):
            cut = [(take, *make(take)) for take in (*train, *test)]
            curves = {id(take): (pts, np.asarray(values, np.float64)) for take, pts, values in cut}

            def moments(take: Take, foot: float, head: float, curves: Any = curves) -> Doubles:
                return by_curve(*curves[id(take)], take, foot, head)

            best = min(
                product(FEET, HEADS),
                key=lambda at: float(errors(train, lambda take: moments(take, *at)).mean()),
            )
            ways[name] = errors(test, lambda take: moments(take, *best))  # noqa: B023
        for name, values in ways.items():
            row = {"takes": difficulty, "by": name, "n": len(test)}
            table.append(row | dict(zip(MOMENTS, values.round().astype(int).tolist(), strict=True)))
            print(table[-1], flush=True)
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
