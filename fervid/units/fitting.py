"""The fit of action units to pose-free landmarks.

A face's displacement from the person's neutral face is a sum of the action units' motions, as `synth` has
them, with weights that are not negative. Units that 68 points cannot distinguish take part in the fit, but
are not reported: docs/units.md has the accuracy of each unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from fervid.faces import shape
from fervid.types import Floats

Points = npt.NDArray[np.float64]

# The reported units, named as OpenFace's columns, and their meaning.
NAMES = {
    "AU01": "inner brow raised",
    "AU02": "outer brow raised",
    "AU05": "upper lid raised",
    "AU12": "lip corners pulled",
    "AU18": "lips puckered",
    "AU25": "lips apart",
    "AU26": "jaw dropped",
    "AU45": "blink",
}
UNITS = tuple(NAMES)
# The others that the fit needs, so that their motion is not read as one of UNITS. AU16 and AU27 are nearly
# the same motion as AU26; parted lips and raised inner brows are measured directly.
OTHERS = (
    *("AU04", "AU06", "AU07", "AU09", "AU10", "AU14", "AU15", "AU17", "AU20", "AU22", "AU23", "AU24", "AU28"),
)
LIPS = "AU25"
BROWS = "AU01"
LIDS = "AU45"
STRONGEST = 5.0  # the intensity of a unit's full motion
PRESENT = 1.0  # the least intensity that counts as present

SPARSITY = 0.001  # square eye distances: the price of a weight, which keeps small ones at 0
SWEEPS = 30  # of the coordinate descent; its largest change is then below a hundredth of an intensity
BLOCK = 4096  # faces that are fitted at once

UPPER_LIP, LOWER_LIP = [61, 62, 63], [67, 66, 65]
INNER_BROWS, INNER_CORNERS = [20, 21, 22, 23], [39, 42]  # lids and smiles move these corners little
ROUNDS = 2  # of neutral face and fit
AT_REST = 0.3  # share of a person's faces that are averaged to the neutral face: the least active
STEADY = 5  # faces over which activity is averaged, against blinks and noise


@cache
def _motions() -> tuple[tuple[str, ...], Points]:
    """Return the names of the fitted units, and their motions (K, 102) of the inner points."""
    from fervid.synth.actions import action_units

    units = action_units()
    names = tuple(sorted({*UNITS, *OTHERS} - {LIPS}))
    motions = np.stack([units[f"AU{int(name[2:])}"][shape.INNER, :2].ravel() for name in names])
    return names, np.asarray(motions, np.float64)


@cache
def widest_gap() -> float:
    """Return the gap between the lips of a fully dropped jaw, in eye distances."""
    return _widest("AU26", UPPER_LIP, LOWER_LIP)


@cache
def highest_brows() -> float:
    """Return how far the inner brows rise from the corners of the eyes in a full AU01, in eye distances."""
    return _widest(BROWS, INNER_BROWS, INNER_CORNERS)


def _widest(unit: str, upper: list[int], lower: list[int]) -> float:
    """Return how far the full motion of a unit moves points apart."""
    names, motions = _motions()
    whole = np.zeros((1, shape.INNER.stop, 2))
    whole[0, shape.INNER] = motions[names.index(unit)].reshape(-1, 2)
    return float(_apart(whole, upper, lower)[0])


def _apart(moved: npt.NDArray[np.floating], upper: list[int], lower: list[int]) -> npt.NDArray[np.floating]:
    """Return how far offsets (N, 68, 2) move the upper points away from the lower ones, (N,)."""
    return np.asarray(moved[:, lower, 1].mean(axis=1) - moved[:, upper, 1].mean(axis=1))


def intensities(faces: Floats, neutral: Floats, units: Sequence[str] = UNITS) -> Floats:
    """Return the intensities (N, U) of units, 0 to 5, of pose-free faces (N, 68, 2).

    `neutral` (68, 2) is the same person's neutral face.
    """
    blocks = [_block(faces[start : start + BLOCK], neutral, units) for start in range(0, len(faces), BLOCK)]
    return np.concatenate([np.empty((0, len(units)), np.float32), *blocks])


def _block(faces: Floats, neutral: Floats, units: Sequence[str]) -> Floats:
    names, _ = _motions()
    fitted = dict(zip(names, _weights(_offsets(faces, neutral)).T, strict=True))
    moved = faces - neutral
    fitted[LIPS] = _apart(moved, UPPER_LIP, LOWER_LIP) / widest_gap()
    fitted[BROWS] = _apart(moved, INNER_BROWS, INNER_CORNERS) / highest_brows()
    values = np.stack([fitted[name] for name in units], axis=1)
    return np.clip(STRONGEST * values, 0.0, STRONGEST).astype(np.float32)


def neutral_face(faces: Floats) -> Floats:
    """Return the neutral face (68, 2) of a person, from pose-free faces (N, 68, 2) in order of time.

    It is the median of the faces with the least activity, so the person may be expressive most of the time.
    """
    activity = shape.expressiveness(faces)
    neutral = _at_rest(faces, activity)
    names, motions = _motions()
    steady = np.array([0.3 if name == LIDS else 1.0 for name in names])  # eyes blink at rest as well
    for _ in range(ROUNDS):
        active = np.linalg.norm((_weights(_offsets(faces, neutral)) * steady) @ motions, axis=1)
        neutral = _at_rest(faces, active)
    return neutral


def _at_rest(faces: Floats, activity: npt.NDArray[np.floating]) -> Floats:
    """Return the median of the least active faces."""
    resting = np.argsort(average(activity, STEADY), kind="stable")[: max(1, round(AT_REST * len(faces)))]
    return np.median(faces[resting], axis=0).astype(np.float32)


def average(values: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.float64]:
    """Return the moving average (N, ...) over an odd `count` of rows; the first and last rows repeat."""
    reach = min(count, len(values)) // 2
    padded = np.pad(values, ((reach, reach), *((0, 0),) * (values.ndim - 1)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0).mean(axis=-1)


def _offsets(faces: Floats, neutral: Floats) -> Points:
    """Return the displacement (N, 102) of the inner points, the mean of both halves.

    The mean cancels most of what a turn of the head leaves in pose-free points.
    """
    moved = (faces - neutral).astype(np.float64)
    mirrored = moved[:, shape.figures()["mirror"]] * (-1.0, 1.0)
    return ((moved + mirrored)[:, shape.INNER] / 2).reshape(len(moved), -1)


def _weights(offsets: Points) -> Points:
    """Return the weights (N, K) >= 0 that explain offsets (N, 102): sparse least squares."""
    _, motions = _motions()
    gram, pull = motions @ motions.T, offsets @ motions.T - SPARSITY  # (K, K), (N, K)
    weights = np.zeros((len(motions), len(offsets)))  # a unit's weights lie side by side: faster
    pulls = np.ascontiguousarray(pull.T)
    for _ in range(SWEEPS):
        for unit, row in enumerate(gram):
            rest = pulls[unit] - row @ weights
            weights[unit] = np.maximum(0.0, weights[unit] + rest / row[unit])
    return weights.T
