"""Five-crop and ten-crop tests: a prediction is the mean over shifted, and mirrored, crops of a face.

Faithful (Krizhevsky, Sutskever and Hinton, 2012): the four corners and the centre, and with ten their mirror
images; the crops are seven eighths of the picture. Chosen: logits are averaged, as over windows, not
probabilities. Landmarks that a network reads beside the faces move with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fervid.clips import Window
from fervid.faces import shape
from fervid.types import Array

CROPS = (1, 5, 10)
SHIFT = 4  # pixels, either way: crops of 64 in 72
SHIFTS = ((0, 0), *((right, down) for down in (-SHIFT, SHIFT) for right in (-SHIFT, SHIFT)))


@dataclass(frozen=True, eq=False)
class View(Window):
    """A window of a strip, seen through another crop."""

    right: int
    down: int
    mirrored: bool

    def __getitem__(self, name: str) -> Array:
        """Return an input, as `Window` does."""
        if name == "faces":
            margin = self.face.margin
            assert margin is not None, "only strips have a margin to shift the crop in"
            low, left = margin + self.down, margin + self.right
            faces = self.take(self.face.crops)[:, low : low + shape.CROP, left : left + shape.CROP]
            return np.ascontiguousarray(faces[..., ::-1] if self.mirrored else faces)
        if name == "points":
            points = super().__getitem__(name) - np.array([self.right, self.down], np.float32)
            if self.mirrored:
                points = points[:, shape.figures()["mirror"]]
                points[..., 0] = shape.CROP - 1 - points[..., 0]
            return np.asarray(points, np.float32)
        return super().__getitem__(name)


def views(window: Window, crops: int) -> list[Window]:
    """Return one, five or ten views of a window; the first is the window itself."""
    if crops not in CROPS:
        raise ValueError(f"a test has 1, 5 or 10 crops, not {crops}")
    if crops == 1:
        return [window]
    sides = (False, True) if crops == 10 else (False,)
    return [
        View(window.face, window.centre, window.rows, right, down, mirrored)
        for mirrored in sides
        for right, down in SHIFTS
    ]
