"""The running curve: the scores of the largest face over the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor

import numpy as np

from fervid.export.drawing.canvas import FRACTION, Canvas
from fervid.export.drawing.style import FAINT, colour_of, scaled
from fervid.labels import NEUTRAL
from fervid.types import Array, Floats

WINDOW = 10.0  # seconds that the curve shows
EDGE = 8  # pixels at the edge of a picture where OpenCV draws lines differently


@dataclass(frozen=True, eq=False)
class FrameScores:
    """The scores of the largest face in a frame."""

    seconds: float
    track: int = -1  # -1 where there is no face
    name: str = ""  # of the face
    scores: Floats | None = None  # (C,) None where the face is not clear enough to read


class Curve:
    """A picture that moves to the left as frames are added, so that only its newest part is drawn.

    It moves by an even number of pixels: then chroma moves by whole pixels, too, and the encoder finds that
    everything but the newest part is a copy of the last picture.
    """

    def __init__(
        self, ground: Canvas, top: int, bottom: int, labels: Sequence[str], unit: float, margin: int
    ) -> None:
        """Draw on `ground`: scores 0 to 1 from `bottom` to `top`, and now at `margin` from its right end."""
        self._ground, self._top, self._bottom, self._margin = ground, top, bottom, margin
        self._labels, self._unit = tuple(labels), unit
        self._now = max(2, ground.width - margin - 2)  # now is up to 2 pixels to the right of this
        self._rate = self._now / WINDOW  # pixels per second
        self._past: deque[FrameScores] = deque()
        self._picture, self._start, self._best = ground.copy(), 0, -1

    def add(self, moment: FrameScores) -> Canvas:
        """Return the picture with a frame added that is later than all before it."""
        before = self._past[-1] if self._past else None
        self._past.append(moment)
        # A second more, as the ends of lines are round, and the frame before that, where a line begins.
        while len(self._past) > 1 and self._past[1].seconds < moment.seconds - WINDOW - 1:
            self._past.popleft()
        pixels = floor(self._position(moment.seconds) / 2) * 2 - self._start
        self._start += pixels
        best = self._best if moment.scores is None else int(np.argmax(moment.scores))
        if before is None or best != self._best or pixels >= self._now:
            self._best = best
            self.draw(0)
        else:
            if pixels:
                self._picture.shift(pixels)
            self.draw(floor(self._x(before.seconds)) - self._margin)
        return self._picture

    def draw(self, left: int) -> None:
        """Draw everything from the column `left` on again, the line of the highest score now on top."""
        left = max(0, left // 2 * 2)
        width, height = self._ground.width, self._ground.height
        edge = min(left, EDGE)
        part = self._ground.part(left - edge, 0, width, height).copy()
        self._draw(part, left - edge)
        self._picture.paste(part.part(edge, 0, width, height), left)

    def _draw(self, part: Canvas, left: int) -> None:
        """Draw ticks and lines on the part of the picture from `left` on."""
        now, high = self._past[-1].seconds, scaled(4, self._unit)
        for second in range(ceil(now - part.width / self._rate), floor(now) + 1):
            part.fill(round(self._x(second)) - left, self._bottom - high, 1, high + 1, FAINT)
        pieces = self._pieces(left)
        if not pieces:
            return
        for column in sorted(range(len(self._labels)), key=lambda column: column == self._best):
            emotion = self._labels[column]
            thick = 3.2 if column == self._best else 1.2 if emotion == NEUTRAL else 1.8
            paths = [piece[:, [0, 1 + column]] for piece in pieces]
            part.lines(paths, [(colour_of(emotion), scaled(thick, self._unit))])

    def _pieces(self, left: int) -> list[Array]:
        """Return (N, 1 + C) x from `left` on, and y of each score, for each stretch of one readable face."""
        recent: list[FrameScores] = []
        for moment in reversed(self._past):
            recent.append(moment)
            if self._x(moment.seconds) < left - self._margin:
                break
        pieces = []
        for _, group in groupby(reversed(recent), lambda moment: (moment.track, moment.scores is None)):
            points = [(self._x(frame.seconds), frame.scores) for frame in group if frame.scores is not None]
            if len(points) > 1:
                x, scores = (np.array(values) for values in zip(*points, strict=True))
                y = self._bottom - scores * (self._bottom - self._top)
                pieces.append(np.column_stack([x - left, y]))
        return pieces

    def _position(self, seconds: float) -> float:
        """Return the pixels from 0:00, in steps that are exact at any position of the picture."""
        return round(seconds * self._rate * (1 << FRACTION)) / (1 << FRACTION)

    def _x(self, seconds: float) -> float:
        return self._now + self._position(seconds) - self._start
