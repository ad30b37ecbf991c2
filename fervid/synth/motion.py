"""Photographs set in motion, as strips: a still that came out of its neutral, and a neutral face that acts.

`onset/seed` warps an expressive still back towards its neutral, so that the apex is real pixels and so are
the wrinkles on the way. `act/difficulty/seed/label` has a neutral face act a sequence; a neutral label means
that it blinks, and perhaps talks.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import RBFInterpolator

from fervid.errors import UsageError
from fervid.faces import shape
from fervid.samples import Strip
from fervid.synth.actions import Points, neutral_face
from fervid.synth.people import person
from fervid.synth.puppet import STEADY, Puppet, similarity
from fervid.synth.sequences import ramp, tracking_error, trajectory
from fervid.types import Bytes, Floats

SIDE = shape.CROP + 2 * shape.MARGIN
RATES = (15, 25)  # frames per second of onsets
LEAD, ONSET, HOLD = (0.15, 0.35), (0.3, 0.9), (0.35, 0.7)  # seconds
REMAINS = 0.3  # of the expression that may be there from the beginning
ERROR = (0.004, 0.015)  # eye distances: sd of the tracker's error
EVERY = 2  # of an acted sequence's frames one in so many is drawn: a mesh costs more than a net
SMOOTHING = 2.0  # of the field of motion: lips that touch would tear it


def in_motion(strip: Strip, drawn: str) -> Strip:
    """The strip of a still as `drawn` says that it moves."""
    pieces = drawn.split("/")
    if pieces[0] == "onset" and len(pieces) == 2 and pieces[1].isdecimal():
        return _onset(strip, np.random.default_rng([0, int(pieces[1])]))
    if pieces[0] == "act" and len(pieces) == 4 and pieces[2].isdecimal():
        return _act(strip, pieces[1], pieces[3], np.random.default_rng([1, int(pieces[2])]))
    raise UsageError(f"cannot move a still by {drawn!r}: write onset/SEED or act/DIFFICULTY/SEED/LABEL")


@cache
def _fit() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What takes the inner points' offset from the mean face to action units' weights, and those to motion.

    The likeliest weights where people, actions and the tracker vary as the figures say.
    """
    figure = shape.figures()
    inner = slice(17, 68)
    people = figure["identity"][:, inner, :2].reshape(len(figure["identity"]), -1).astype(np.float64)
    whole = np.asarray(figure["au"][:, :, :2], np.float64)
    actions = shape.ACTION * whole[:, inner].reshape(len(whole), -1)
    spread = people.T @ people + actions.T @ actions + shape.NOISE**2 * np.eye(actions.shape[1])
    return np.asarray(np.linalg.solve(spread, actions.T), np.float64), shape.ACTION * whole


def acted_part(landmarks: Floats) -> Points:
    """How action units displace a face seen from the front, (68, 2) pixels, as far as its points tell."""
    upright = shape.without_pose(landmarks[None])[0]
    away = (upright[17:] - shape.figures()["neutral"][17:, :2]).reshape(-1).astype(np.float64)
    to_weights, motion = _fit()
    weights = np.maximum(away @ to_weights, 0.0)  # muscles pull, they do not push
    displaced = np.tensordot(weights, motion, axes=1)  # (68, 2) eye distances
    frame = similarity(neutral_face()[list(STEADY), :2], landmarks[list(STEADY)].astype(np.float64))
    return np.asarray(displaced @ frame[:, :2].T, np.float64)


def _onset(strip: Strip, rng: np.random.Generator) -> Strip:
    """The expression of a still, coming."""
    apex = strip.landmarks[0].astype(np.float64)
    acted = acted_part(strip.landmarks[0])
    rate = int(rng.choice(RATES))
    lead, onset, hold = (rng.uniform(*span) for span in (LEAD, ONSET, HOLD))
    time = np.arange(int(np.ceil((lead + onset + hold) * rate)) + 1) / rate
    level = ramp((time - lead) / onset)
    gone = (1.0 - rng.uniform(0.0, REMAINS)) * (1.0 - level)  # (N,)
    field = _field(apex, acted)
    faces = np.stack([_warped(strip.faces[0], field, float(share)) for share in gone])
    true = apex - gone[:, None, None] * acted
    scale = float(shape.eye_distance(strip.landmarks[0]))
    seen = true + scale * tracking_error(len(time), rng.uniform(*ERROR), rng)
    pts = np.arange(len(time), dtype=np.int64)
    return Strip(Fraction(1, rate), pts, faces, seen.astype(np.float32), _quality(strip, len(time)))


def _field(apex: Points, acted: Points) -> npt.NDArray[np.float32]:
    """The motion of every pixel that the acted part comes to, (SIDE, SIDE, 2); none at the rim."""
    rim = np.linspace(0, SIDE - 1, 5)
    frame = [(x, y) for x in rim for y in rim if x in (0, SIDE - 1) or y in (0, SIDE - 1)]
    places = np.concatenate([apex, np.array(frame)])
    motion = np.concatenate([acted, np.zeros((len(frame), 2))])
    steps = np.linspace(0, SIDE - 1, SIDE // 4 + 1)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    coarse = RBFInterpolator(places, motion, smoothing=SMOOTHING)(grid.reshape(-1, 2)).reshape(grid.shape)
    x, y = (axis * (len(steps) - 1) / (SIDE - 1) for axis in _pixels())
    return np.asarray(cv2.remap(coarse.astype(np.float32), x, y, cv2.INTER_LINEAR), np.float32)


def _pixels() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    steps = np.arange(SIDE, dtype=np.float32)
    x, y = np.meshgrid(steps, steps)
    return x, y


def _warped(face: Bytes, field: npt.NDArray[np.float32], share: float) -> Bytes:
    """The face with a share of the motion taken back."""
    x, y = _pixels()
    u, v = share * field[..., 0], share * field[..., 1]
    for _ in range(3):  # where a pixel comes from is where the motion from there ends
        back = share * np.asarray(cv2.remap(field, x + u, y + v, cv2.INTER_LINEAR), np.float32)
        u, v = back[..., 0], back[..., 1]
    return np.asarray(
        cv2.remap(face, x + u, y + v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _act(strip: Strip, difficulty: str, label: str, rng: np.random.Generator) -> Strip:
    """A neutral face that acts, cut where a tracker thinks that it is."""
    who = person(rng)
    moved = trajectory(who, label, difficulty, rng)
    rest = strip.landmarks[0].astype(np.float64)
    linear = similarity(neutral_face()[list(STEADY), :2], rest[list(STEADY)])[:, :2]
    puppet = Puppet(strip.faces[0], rest)
    kept = np.arange(0, len(moved), EVERY)
    faces = np.empty((len(kept), SIDE, SIDE), np.uint8)
    landmarks = np.empty((len(kept), *rest.shape), np.float32)
    for row, frame in enumerate(kept.tolist()):
        seen, true = (
            rest + (points[frame].astype(np.float64) - who.shape[:, :2]) @ linear.T
            for points in (moved.landmarks, moved.clean)
        )
        matrix, _ = shape.alignment(seen.astype(np.float32), shape.MARGIN)
        landmarks[row] = seen @ matrix[:, :2].T + matrix[:, 2]
        faces[row] = puppet.pose(true @ matrix[:, :2].T + matrix[:, 2])[0]
    return Strip(moved.time_base, moved.frame[kept], faces, landmarks, _quality(strip, len(kept)))


def _quality(strip: Strip, count: int) -> Floats:
    assert strip.quality is not None
    return np.full(count, strip.quality[0], np.float32)
