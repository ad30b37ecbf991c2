"""Brows, eyes, nose, mouth and hair of a drawn face, as their reflectance."""

from __future__ import annotations

import cv2
import numpy as np

from fervid.synth.actions import Points
from fervid.synth.people import UNITS, Person
from fervid.synth.view import ROUND, View, blend_in, fill, frame_of
from fervid.types import Bytes

# Indices into LINES of puppet.py.
BROWS, EYE_LINES, LIPS, INNER_LIPS = (1, 2), ((5, 6), (7, 8)), (9, 10), (11, 12)
# All in eye distances.
IRIS, PUPIL, GLINT = 0.1, 0.045, 0.016  # radii
PARTED = 0.03  # the gap between the lips at which the inside becomes visible
SEAMLESS = 0.08  # the gap at which no line shows between the lips
# Upper teeth, from the middle of the resting lips; lower teeth, from the lower lip's inner edge.
UPPER_TEETH = np.array(
    [
        [-0.26, -0.2, 0],
        [0.26, -0.2, 0],
        [0.24, 0.02, 0],
        [0.12, 0.055, 0],
        [-0.12, 0.055, 0],
        [-0.24, 0.02, 0],
    ]
)
LOWER_TEETH = np.array([[-0.18, -0.02], [0.18, -0.02], [0.15, 0.15], [-0.15, 0.15]])
# The rim of a lens, from the middle of the eye, and the bridge between the two.
LENS = np.column_stack([ROUND * (0.36, 0.3) + (0.0, 0.08), np.full(len(ROUND), -0.15)])
BRIDGE = np.array([[-0.16, 0.03, -0.3], [0.16, 0.03, -0.3]])
# The wing of the nose, from its landmark outwards and down.
WING = np.array([[0.0, -0.14], [0.05, -0.08], [0.06, -0.01], [0.02, 0.05], [-0.05, 0.05]])

TIGHT = [UNITS.index("AU23"), UNITS.index("AU24")]


def facial_hair(canvas: Bytes, view: View, who: Person) -> None:
    """Paint a beard and a moustache."""
    skin = 255.0 * who.skin
    if who.beard:
        inside = np.array(
            [
                view.offset_from(54, 0.2, -0.05),
                view.offset_from(57, 0.0, 0.06),
                view.offset_from(48, -0.2, -0.05),
            ]
        )
        fill(canvas, np.concatenate([view.points[2:15], inside]), skin * (1.0 - 0.6 * who.beard))
    if who.moustache:
        roof = ((54, 0.05, 0.0), (35, 0.06, 0.08), (33, 0.0, 0.06), (31, -0.06, 0.08), (48, -0.05, 0.0))
        hair = np.concatenate([view.line(LIPS[0]), [view.offset_from(*point) for point in roof]])
        fill(canvas, hair, skin * (1.0 - 0.65 * who.moustache))
    if who.beard or who.moustache:
        canvas[:] = cv2.GaussianBlur(canvas, (0, 0), 0.04 * view.unit)


def nose(canvas: Bytes, view: View, who: Person) -> None:
    """Paint nostrils and wings of the nose."""
    skin = 255.0 * who.skin
    for nostril, wing, out in ((32, 31, -1), (34, 35, 1)):
        fill(
            canvas,
            view.offset_from(nostril, 0.02 * out, -0.015) + view.lengths(ROUND * (0.06, 0.03)),
            0.3 * skin,
        )
        view.stroke(canvas, view.points[wing] + view.lengths(WING * (out, 1)), 0.62 * skin, 0.03)


def brow(canvas: Bytes, view: View, who: Person, side: int) -> None:
    """Paint a brow, thick at the nose and tapering outwards."""
    line = view.line(BROWS[side])
    taper = np.linspace(0.25, 1.0, len(line)) ** 0.7
    if side == 1:
        taper = taper[::-1]  # it runs from the nose outwards
    down = (0.055 * who.brow_height * taper)[:, None] * view.camera[:, 1]
    hair = 255.0 * who.skin * (1.0 - 0.75 * who.brow)
    fill(canvas, np.concatenate([line - down, (line + down)[::-1]]), hair)


def crease_of(who: Person, side: int) -> Points:
    """Return the fold over an eye, (7, 3): it moves with the skull, not with the lid."""
    rest = who.shape[36 + 6 * side : 40 + 6 * side]  # the upper lid
    along = np.linspace(0.0, 3.0, 7)
    fold = np.stack([np.interp(along, range(4), rest[:, axis]) for axis in range(3)], axis=1)
    fold[:, 1] -= (0.5 + 0.5 * np.sin(along * np.pi / 3)) * (0.05 + 0.02 * who.brow_height)
    return fold


def eye(canvas: Bytes, view: View, who: Person, side: int, centre: Points, glint: Points) -> None:
    """Paint eyeball and lids, with the iris at `centre` (3,) and a highlight at `glint` (2,) from it."""
    skin = 255.0 * who.skin
    upper, lower = (view.line(line) for line in EYE_LINES[side])
    opening = np.concatenate([upper, lower[1:-1]])
    frame = frame_of(opening, len(canvas))
    if frame is not None:
        area = canvas[frame]
        corner = np.array([frame[1].start, frame[0].start])
        hole = np.zeros_like(area)
        fill(hole, opening - corner, 255)
        ball = np.full_like(area, round(min(215.0, 120.0 + 0.5 * skin)))
        middle, disc, edge = view.project(centre) - corner, view.lengths(ROUND), upper - corner
        fill(ball, middle + IRIS * disc, 150 * who.iris)
        fill(ball, middle + PUPIL * disc, 12)
        fill(ball, np.concatenate([edge, (edge + 0.035 * view.camera[:, 1])[::-1]]), 60)  # the lid's shadow
        fill(ball, middle + view.lengths(glint) + GLINT * disc, 250)
        blend_in(hole, ball, area)
    view.stroke(canvas, upper, min(0.25 * skin, 60.0), 0.045)
    view.stroke(canvas, lower, 0.6 * skin, 0.025)


def mouth(canvas: Bytes, view: View, who: Person, weights: Points) -> None:
    """Paint lips, and teeth, tongue and darkness between them."""
    skin = 255.0 * who.skin
    red = skin * (1.0 - who.lips)
    upper, lower = (view.line(line) for line in LIPS)
    inner_upper, inner_lower = (view.line(line) for line in INNER_LIPS)
    fill(canvas, np.concatenate([upper, inner_upper[::-1]]), 0.9 * red)
    fill(canvas, np.concatenate([lower, inner_lower[::-1]]), red)
    view.stroke(canvas, 0.5 * (view.points[[67, 66, 65]] + view.points[[58, 57, 56]]), 1.15 * red, 0.05)
    opening = np.concatenate([inner_upper, inner_lower[1:-1]])
    frame = frame_of(opening, len(canvas))
    gap = float(np.linalg.norm(view.points[66] - view.points[62])) / view.unit
    if frame is not None and gap > PARTED:
        inside(canvas[frame], view, who, opening, np.array([frame[1].start, frame[0].start]))
    if gap < SEAMLESS:
        between = 0.5 * (inner_upper + inner_lower[::-1])
        seam = np.concatenate([view.points[[48]], between, view.points[[54]]])
        pressed = max(float(weights[TIGHT].max()), 0.0)
        view.stroke(canvas, seam, 0.35 * skin, 0.025 + 0.012 * pressed)
    for end in (48, 54):
        fill(canvas, view.points[end] + view.lengths(0.016 * ROUND), 0.45 * skin)


def inside(area: Bytes, view: View, who: Person, opening: Points, corner: Points) -> None:
    """Paint the inside of the mouth; upper teeth move with the skull, lower teeth with the jaw."""
    hole = np.zeros_like(area)
    fill(hole, opening - corner, 255)
    deep = np.full_like(area, 22)
    fill(
        deep,
        view.offset_from(66, 0.0, -0.02) + view.lengths(ROUND * (0.17, 0.1)) - corner,
        64 * who.skin + 20,
    )  # tongue
    fill(deep, view.points[66] + view.lengths(LOWER_TEETH) - corner, 120)
    fill(deep, view.project(who.shape[62] + UPPER_TEETH) - corner, 205)
    blend_in(hole, deep, area)


def glasses(canvas: Bytes, view: View, who: Person, eyes: tuple[Points, Points]) -> None:
    """Paint two rims and a bridge before the eyes (3,) each."""
    grey = 255.0 * who.skin * (1.0 - who.glasses)
    for centre in eyes:
        rim = view.project(centre + LENS)
        view.stroke(canvas, np.concatenate([rim, rim[:1]]), grey, 0.04)
    view.stroke(canvas, view.project(BRIDGE), grey, 0.05)
