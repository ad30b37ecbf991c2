"""Photographs in motion, as strips: an expressive still with an onset, and a neutral still that acts.

`onset/seed` warps an expressive still back towards its neutral, so that apex and wrinkles are real pixels,
though the wrinkles are there from the start. `grow/seed` turns a neutral picture of the same person into the
expressive one; `pose/seed` does so at once and faster, as recorded in a laboratory, and ends at the apex.
`act/difficulty/seed/label` makes a neutral face act a sequence; with a neutral label it blinks, and may talk.
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
from fervid.synth.actions import Points, neutral_face
from fervid.synth.people import person
from fervid.synth.puppet import STEADY, Puppet, similarity
from fervid.synth.sequences import Range, ramp, tracking_error, trajectory
from fervid.types import Bytes, Floats
from fervid.types.samples import Strip

SIDE = shape.CROP + 2 * shape.MARGIN
RATES = (15, 25)  # frames per second of onsets
POSED_RATE = 30
LEAD, ONSET, HOLD = (0.15, 0.35), (0.3, 0.9), (0.35, 0.7)  # seconds
RESTING = (0.4, 0.9)  # seconds before an expression grows: enough to know the neutral face
POSED_LEAD, POSED_ONSET, POSED_HOLD = (0.0, 0.15), (0.25, 0.7), (0.03, 0.2)  # of `pose`
REMAINS = 0.3  # the largest share of an expression that is present from the start
ERROR = (0.004, 0.015)  # eye distances: sd of the tracker's error
EVERY = 2  # every second frame of an acted sequence is drawn: a mesh costs more than a net
SMOOTHING = 2.0  # of the motion field, which lips that touch would tear


def in_motion(strip: Strip, drawn: str) -> Strip:
    """Return the strip of a still in motion, as described by `drawn`."""
    pieces = drawn.split("/")
    if pieces[0] == "onset" and len(pieces) == 2 and pieces[1].isdecimal():
        return _onset(strip, np.random.default_rng([0, int(pieces[1])]))
    if pieces[0] == "act" and len(pieces) == 4 and pieces[2].isdecimal():
        return _act(strip, pieces[1], pieces[3], np.random.default_rng([1, int(pieces[2])]))
    raise UsageError(f"cannot move a still by {drawn!r}: write onset/SEED or act/DIFFICULTY/SEED/LABEL")


def grown(rest: Strip, shown: Strip, drawn: str) -> Strip:
    """Return a person's neutral still turning into an expressive one, as described by `drawn`."""
    kind, _, seed = drawn.partition("/")
    if kind not in ("grow", "pose") or not seed.isdecimal():
        raise UsageError(f"cannot turn a still into another by {drawn!r}: write grow/SEED or pose/SEED")
    rng = np.random.default_rng([2, int(seed)])
    before, after = (strip.landmarks[0].astype(np.float64) for strip in (rest, shown))
    if kind == "grow":
        rate, spans = int(rng.choice(RATES)), (RESTING, ONSET, HOLD)
    else:
        rate, spans = POSED_RATE, (POSED_LEAD, POSED_ONSET, POSED_HOLD)
    level = _course(rng, spans, rate)
    there, back = _field(before, before - after), _field(after, after - before)
    faces = np.stack(
        [
            (1 - share) * _warped(rest.faces[0], there, share)
            + share * _warped(shown.faces[0], back, 1 - share)
            for share in level.tolist()
        ]
    )
    true = before + level[:, None, None] * (after - before)
    return _tracked(shown, np.rint(faces).astype(np.uint8), true, rate, rng)


@cache
def _fit() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return matrices from the inner points' offset to action units' weights, and from weights to motion.

    The weights are the likeliest if people, actions and the tracker vary as in `figures`.
    """
    figure = shape.figures()
    inner = slice(17, 68)
    people = figure["identity"][:, inner, :2].reshape(len(figure["identity"]), -1).astype(np.float64)
    whole = np.asarray(figure["au"][:, :, :2], np.float64)
    actions = shape.ACTION * whole[:, inner].reshape(len(whole), -1)
    spread = people.T @ people + actions.T @ actions + shape.NOISE**2 * np.eye(actions.shape[1])
    return np.asarray(np.linalg.solve(spread, actions.T), np.float64), shape.ACTION * whole


def displacements(upright: Floats) -> Points:
    """Estimate how far action units displace faces without head pose: (N, 68, 2), both in eye distances."""
    offset = upright[:, 17:] - shape.figures()["neutral"][17:, :2]
    to_weights, motion = _fit()
    weights = np.maximum(offset.reshape(len(offset), -1) @ to_weights, 0.0)  # muscles pull, they do not push
    return np.asarray(np.tensordot(weights, motion, axes=1), np.float64)


def acted_part(landmarks: Floats) -> Points:
    """Estimate the displacement of a frontal face by action units, (68, 2) pixels."""
    displaced = displacements(shape.without_pose(landmarks[None]))[0]
    frame = similarity(neutral_face()[list(STEADY), :2], landmarks[list(STEADY)].astype(np.float64))
    return np.asarray(displaced @ frame[:, :2].T, np.float64)


def _onset(strip: Strip, rng: np.random.Generator) -> Strip:
    """Return the onset of a still's expression."""
    apex = strip.landmarks[0].astype(np.float64)
    acted = acted_part(strip.landmarks[0])
    rate = int(rng.choice(RATES))
    level = _course(rng, (LEAD, ONSET, HOLD), rate)
    gone = (1.0 - rng.uniform(0.0, REMAINS)) * (1.0 - level)  # (N,)
    field = _field(apex, acted)
    faces = np.stack([_warped(strip.faces[0], field, float(share)) for share in gone])
    return _tracked(strip, faces, apex - gone[:, None, None] * acted, rate, rng)


def _course(
    rng: np.random.Generator, spans: tuple[Range, Range, Range], rate: int
) -> npt.NDArray[np.float64]:
    """Draw the level of an expression in each frame: it rests, grows and stays."""
    lead, onset, hold = (rng.uniform(*span) for span in spans)
    time = np.arange(int(np.ceil((lead + onset + hold) * rate)) + 1) / rate
    return ramp((time - lead) / onset)


def _tracked(still: Strip, faces: Bytes, true: Points, rate: int, rng: np.random.Generator) -> Strip:
    """Return frames as a strip, with the landmarks of a tracker, which are near the true ones."""
    count, scale = len(faces), float(shape.eye_distance(still.landmarks[0]))
    points = (true + scale * tracking_error(count, rng.uniform(*ERROR), rng)).astype(np.float32)
    return Strip(Fraction(1, rate), np.arange(count, dtype=np.int64), faces, points, _quality(still, count))


def _field(apex: Points, acted: Points) -> npt.NDArray[np.float32]:
    """Return the motion of every pixel by that of the landmarks, (SIDE, SIDE, 2); none at the edge."""
    edge = np.linspace(0, SIDE - 1, 5)
    frame = [(x, y) for x in edge for y in edge if x in (0, SIDE - 1) or y in (0, SIDE - 1)]
    points = np.concatenate([apex, np.array(frame)])
    motion = np.concatenate([acted, np.zeros((len(frame), 2))])
    steps = np.linspace(0, SIDE - 1, SIDE // 4 + 1)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    coarse = RBFInterpolator(points, motion, smoothing=SMOOTHING)(grid.reshape(-1, 2)).reshape(grid.shape)
    x, y = (axis * (len(steps) - 1) / (SIDE - 1) for axis in _pixels())
    return np.asarray(cv2.remap(coarse.astype(np.float32), x, y, cv2.INTER_LINEAR), np.float32)


def _pixels() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    steps = np.arange(SIDE, dtype=np.float32)
    x, y = np.meshgrid(steps, steps)
    return x, y


def _warped(face: Bytes, field: npt.NDArray[np.float32], share: float) -> Bytes:
    """Return the face with a share of the motion undone."""
    x, y = _pixels()
    u, v = share * field[..., 0], share * field[..., 1]
    for _ in range(3):  # iterates to the inverse of the motion
        back = share * np.asarray(cv2.remap(field, x + u, y + v, cv2.INTER_LINEAR), np.float32)
        u, v = back[..., 0], back[..., 1]
    return np.asarray(
        cv2.remap(face, x + u, y + v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _act(strip: Strip, difficulty: str, label: str, rng: np.random.Generator) -> Strip:
    """Return a neutral face that acts, cropped at the tracker's landmarks."""
    who = person(rng)
    moved = trajectory(who, label, difficulty, rng)
    rest = strip.landmarks[0].astype(np.float64)
    linear = similarity(neutral_face()[list(STEADY), :2], rest[list(STEADY)])[:, :2]
    puppet = Puppet(strip.faces[0], rest)
    kept = np.arange(0, len(moved), EVERY)
    faces = np.empty((len(kept), SIDE, SIDE), np.uint8)
    landmarks = np.empty((len(kept), *rest.shape), np.float32)
    for row, frame in enumerate(kept.tolist()):
        tracked, true = (
            rest + (points[frame].astype(np.float64) - who.shape[:, :2]) @ linear.T
            for points in (moved.landmarks, moved.clean)
        )
        matrix, _ = shape.alignment(tracked.astype(np.float32), shape.MARGIN)
        landmarks[row] = tracked @ matrix[:, :2].T + matrix[:, 2]
        faces[row] = puppet.pose(true @ matrix[:, :2].T + matrix[:, 2])[0]
    return Strip(moved.time_base, moved.frame[kept], faces, landmarks, _quality(strip, len(kept)))


def _quality(strip: Strip, count: int) -> Floats:
    assert strip.quality is not None
    return np.full(count, strip.quality[0], np.float32)
