"""Action units: their weights over time, and the motion of a face's 68 landmarks by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from fervid.errors import UsageError
from fervid.faces import shape
from fervid.types import LANDMARKS

Points = npt.NDArray[np.float64]

# Upper and lower landmarks of lids and lips, which never cross.
TOUCHING = ((61, 67), (62, 66), (63, 65), (37, 41), (38, 40), (43, 47), (44, 46))

# Shapes that the source lacks, estimated by hand: eye distances at weight 1, right half and middle.
TIGHTENED_LIPS = {
    48: (0.02, 0.0), 60: (0.015, 0.0), 50: (0.0, 0.015), 51: (0.0, 0.015),
    57: (0.0, -0.02), 58: (0.005, -0.02), 59: (0.01, -0.015),
}  # fmt: skip
LOWERED_LIDS = {37: (0.0, 0.015), 38: (0.0, 0.015)}


def ease(share: float) -> float:
    """Return a minimum-jerk curve from 0 to 1 as `share` goes from 0 to 1; flat outside."""
    s = min(1.0, max(0.0, share))
    return s * s * s * (10.0 + s * (6.0 * s - 15.0))


@dataclass(frozen=True)
class Action:
    """A facial action, in seconds: it rises from onset to apex, holds to release, and ends at offset."""

    onset: float
    apex: float
    release: float
    offset: float
    weights: Mapping[str, float]  # at the apex
    sag: float = 0.04  # share that the action loses between apex and release

    def __post_init__(self) -> None:
        if not self.onset < self.apex <= self.release < self.offset:
            raise UsageError("an action needs onset < apex <= release < offset: put its times in order")

    def level(self, time: float) -> float:
        """Return the level of the action at `time`, 0 to 1."""
        if time < self.apex:
            return ease((time - self.onset) / (self.apex - self.onset))
        held = self.release - self.apex
        kept = 1.0 - self.sag * (min(time - self.apex, held) / held if held else 1.0)
        return kept * (1.0 - ease((time - self.release) / (self.offset - self.release)))


def activity(actions: Iterable[Action], time: float) -> dict[str, float]:
    """Return the weight of every action unit at `time`; actions that overlap add."""
    total: dict[str, float] = {}
    for action in actions:
        level = action.level(time)
        for unit, weight in action.weights.items():
            total[unit] = total.get(unit, 0.0) + level * weight
    return total


@cache
def neutral_face() -> Points:
    """Return the neutral face of face68.npz, (68, 3) in eye distances: x right, y down, z away."""
    return np.asarray(shape.figures()["neutral"], np.float64)


@cache
def mirror() -> npt.NDArray[np.int64]:
    """Return each landmark's index on the other side of the face, (68,)."""
    return np.asarray(shape.figures()["mirror"], np.int64)


@cache
def action_units() -> Mapping[str, Points]:
    """Return the motion of each action unit at weight 1, (68, 3) in eye distances."""
    pack = shape.figures()
    moved = np.asarray(pack["au"], np.float64)
    units = {str(name): unit for name, unit in zip(pack["au_names"], moved, strict=True)}
    # The source has no shape for parted lips: it is mixed from the lower and upper lip's actions, by hand.
    units["AU25"] = 0.35 * units["AU16"] + 0.15 * units["AU10"]
    units["AU23"] = both_sides(TIGHTENED_LIPS)
    units["AU7"] = units["AU7"] + both_sides(LOWERED_LIDS)
    return units


def both_sides(right: Mapping[int, tuple[float, float]]) -> Points:
    """Return the motion (68, 3) of both halves, from that of the person's right half and the middle."""
    moved = np.zeros((LANDMARKS, 3))
    for landmark, (across, down) in right.items():
        moved[landmark, :2] = across, down
        moved[mirror()[landmark], :2] = -across, down
    return moved


def view_of(landmarks: Points) -> Points:
    """Return the camera's view: the (2, 3) scaled rotation from the neutral face to `landmarks`."""
    shape = neutral_face()[:48]  # the mouth moves too much for a pose
    centred = landmarks[:48] - landmarks[:48].mean(axis=0)
    affine = np.linalg.lstsq(shape - shape.mean(axis=0), centred, rcond=None)[0].T  # (2, 3)
    left, scales, right = np.linalg.svd(affine, full_matrices=False)
    return np.asarray(scales[0] * left @ right, np.float64)


def move(landmarks: Points, weights: Mapping[str, float], view: Points | None = None) -> Points:
    """Return the landmarks of a face at rest moved by action units; negative weights move them back."""
    view = view_of(landmarks) if view is None else view
    units = action_units()
    unknown = set(weights) - set(units)
    if unknown:
        raise UsageError(f"unknown action unit {', '.join(sorted(unknown))}: choose from {', '.join(units)}")
    moved = landmarks.astype(np.float64)
    for unit, weight in weights.items():
        moved = moved + weight * (units[unit] @ view.T)
    return part(moved, view[:, 1] / np.linalg.norm(view[:, 1]))


def part(landmarks: Points, down: Points) -> Points:
    """Return the landmarks with lids and lips that cross moved to meet instead."""
    parted = landmarks.copy()
    for upper, lower in TOUCHING:
        crossing = min(0.0, float((parted[lower] - parted[upper]) @ down))
        # At the eye, the upper lid moves more; lips move equally.
        share = 0.5 if upper >= 60 else 0.8
        parted[upper] += share * crossing * down
        parted[lower] -= (1.0 - share) * crossing * down
    return parted
