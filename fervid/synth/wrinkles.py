"""The wrinkles that action units make in the skin of a drawn face."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from fervid.synth.actions import Points, mirror
from fervid.synth.people import UNITS, Person
from fervid.synth.view import BITS, View, fixed
from fervid.types import Bytes

WIDTH = 0.035  # eye distances
DEEPEST = 0.75  # share of the light that the deepest line takes
FAINTEST = 0.03  # shallower lines are not drawn

Point = tuple[int, float, float]  # a landmark of the person's right, and eye distances out from it and down

# Each line: its points; its depth in an old face at rest; and the depth per action unit that deepens it.
LINES: tuple[tuple[tuple[Point, ...], float, dict[str, float]], ...] = (
    (  # from the wing of the nose around the mouth
        ((31, 0.05, -0.08), (31, 0.14, 0.03), (48, 0.1, -0.12), (48, 0.14, 0.02)),
        0.3,
        {"AU12": 0.55, "AU10": 0.45, "AU9": 0.4, "AU20": 0.15, "AU14": 0.1, "AU15": 0.1},
    ),
    (  # the upper part of the same line, which a raised lip deepens most
        ((31, 0.03, -0.14), (31, 0.1, -0.06), (31, 0.14, 0.03)),
        0.0,
        {"AU9": 0.5, "AU10": 0.4},
    ),
    (((21, -0.06, -0.06), (21, -0.08, 0.06), (21, -0.06, 0.16)), 0.15, {"AU4": 0.65, "AU9": 0.2}),
    (((39, -0.12, -0.12), (27, 0.0, -0.06)), 0.05, {"AU9": 0.6, "AU4": 0.15}),
    (((39, -0.14, 0.02), (28, 0.01, -0.06)), 0.0, {"AU9": 0.6}),
    (((39, -0.12, 0.12), (28, 0.03, 0.06)), 0.0, {"AU9": 0.5}),
    (((36, 0.08, -0.02), (36, 0.24, -0.1)), 0.15, {"AU6": 0.5, "AU12": 0.1}),
    (((36, 0.09, 0.03), (36, 0.27, 0.02)), 0.2, {"AU6": 0.55, "AU12": 0.1, "AU7": 0.1}),
    (((36, 0.07, 0.08), (36, 0.23, 0.14)), 0.1, {"AU6": 0.5}),
    (((39, 0.0, 0.06), (40, 0.0, 0.08), (41, 0.0, 0.08), (36, 0.02, 0.06)), 0.15, {"AU6": 0.4, "AU7": 0.45}),
    (((39, -0.02, 0.14), (40, 0.0, 0.17), (41, 0.0, 0.16)), 0.3, {"AU6": 0.3, "AU9": 0.25}),
    (((19, 0.1, -0.14), (20, 0.0, -0.14), (21, -0.08, -0.12), (21, -0.18, -0.12)), 0.12, {"AU1": 0.5}),
    (((19, 0.1, -0.28), (20, 0.0, -0.28), (21, -0.08, -0.26), (21, -0.18, -0.25)), 0.15, {"AU1": 0.45}),
    (((17, 0.0, -0.14), (18, 0.0, -0.17), (19, 0.0, -0.16), (20, 0.0, -0.16)), 0.12, {"AU2": 0.5}),
    (((17, 0.02, -0.28), (18, 0.0, -0.31), (19, 0.0, -0.3), (20, 0.0, -0.29)), 0.15, {"AU2": 0.45}),
    (((21, 0.04, -0.05), (20, 0.06, -0.1)), 0.0, {"AU1": 0.3, "AU4": 0.2}),
    (((48, 0.04, 0.03), (48, 0.09, 0.14), (48, 0.07, 0.26)), 0.2, {"AU15": 0.5, "AU17": 0.15}),
    (((48, 0.06, -0.06), (48, 0.09, 0.0), (48, 0.06, 0.06)), 0.0, {"AU14": 0.65, "AU12": 0.2}),
    (((48, 0.16, -0.1), (48, 0.21, 0.02), (48, 0.18, 0.14)), 0.0, {"AU20": 0.4, "AU12": 0.25}),
    (((58, 0.12, 0.08), (57, 0.0, 0.11)), 0.1, {"AU17": 0.5, "AU24": 0.15}),
    (((57, 0.1, 0.2), (57, 0.04, 0.24)), 0.0, {"AU17": 0.4}),
    (((57, 0.15, 0.28), (57, 0.09, 0.33)), 0.0, {"AU17": 0.35}),
    (((49, 0.06, -0.05), (50, 0.0, -0.03), (51, 0.0, -0.02)), 0.0, {"AU23": 0.3, "AU24": 0.4}),
    (((59, 0.02, 0.03), (58, 0.0, 0.04), (57, 0.0, 0.04)), 0.0, {"AU23": 0.3, "AU24": 0.4}),
)


@cache
def _tables() -> tuple[npt.NDArray[np.int64], Points, Points, Points, list[int]]:
    """Return LINES of both sides as arrays.

    The landmark (P,) and the offset (P, 2) of every point, the right side's first; the depth at rest (L,)
    and per unit (L, U) of every line of one side; and the ends of one side's lines among its points.
    """
    points = [point for line, _, _ in LINES for point in line]
    right = np.array([landmark for landmark, _, _ in points])
    # Outwards is to the image's left on the person's right.
    offsets = np.array([(-out, down) for _, out, down in points])
    depths = np.zeros((len(LINES), len(UNITS)))
    for row, (_, _, cutters) in enumerate(LINES):
        for unit, depth in cutters.items():
            depths[row, UNITS.index(unit)] = depth
    return (
        np.concatenate([right, mirror()[right]]),
        np.concatenate([offsets, offsets * (-1, 1)]),
        np.array([rest for _, rest, _ in LINES]),
        depths,
        np.cumsum([len(line) for line, _, _ in LINES]).tolist(),
    )


def draw_wrinkles(canvas: Bytes, view: View, who: Person, weights: Points) -> None:
    """Draw a face's lines on a canvas by the light that they absorb, 0 to 255, for action units (U, 2)."""
    landmarks, offsets, rest, depths, ends = _tables()
    placed = fixed(view.points[landmarks] + view.lengths(offsets))
    depth = who.age * rest[:, None] + who.lines * (depths @ weights)  # (L, 2)
    thick = max(1, round(WIDTH * view.unit))
    count = ends[-1]
    for line, sides in enumerate(np.minimum(depth, DEEPEST).tolist()):
        start = ends[line - 1] if line else 0
        for side, deep in enumerate(sides):
            if deep > FAINTEST:
                run = placed[side * count + start : side * count + ends[line]]
                cv2.polylines(canvas, [run], False, round(255 * deep), thick, cv2.LINE_AA, BITS)
