"""The strip below the picture: the running curve of the largest face, and a bar for each emotion now."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from fervid.export.drawing.canvas import Canvas, Colour, Palette
from fervid.export.drawing.curve import Curve, FrameScores
from fervid.export.drawing.letters import Letters
from fervid.export.drawing.style import FAINT, INK, PLATE, SOFT, TROUGH, colour_of, scaled
from fervid.times import format_clock
from fervid.types import Floats


class Strip:
    """The strip of a video. The parts that do not change from frame to frame are drawn once."""

    def __init__(
        self, width: int, labels: Sequence[str], unit: float, letters: Letters, palette: Palette
    ) -> None:
        self._labels, self._unit, self._letters = tuple(labels), unit, letters
        self._width, self._palette = width, palette
        pad, self._small = scaled(12, unit), scaled(14, unit)
        rows = len(self._labels) * round(self._small * 1.32) + pad  # a line for each bar
        self.height = (max(scaled(150, unit), rows) + 1) // 2 * 2
        bars = min(round(width * 0.42), scaled(250, unit))
        self._left = min(pad, width // 2) // 2 * 2
        self._right = max(self._left + 8, width - bars - 2 * pad) // 2 * 2
        self._margin = scaled(3.2, unit) // 4 * 2 + 4  # even, for the end of the curve's thickest line
        self._top, self._bottom = pad + round(self._small * 1.4), self.height - pad
        self._names, self._end = self._right + 2 * pad, width - pad  # of the bars
        longest = max(letters.mask(label, self._small, 700).shape[1] for label in self._labels)
        self._begin = min(self._names + longest + scaled(10, unit), self._end - scaled(20, unit))
        self._backgrounds: dict[int, Canvas] = {}  # by the column of the highest score
        ground = self._background(-1).part(self._left, 0, self._right + self._margin, self.height)
        self._curve = Curve(ground, self._top, self._bottom, self._labels, unit, self._margin)

    def draw(self, canvas: Canvas, moment: FrameScores) -> None:
        """Draw the strip of a moment that is later than all before it."""
        best = -1 if moment.scores is None else int(np.argmax(moment.scores))
        canvas.paste(self._background(best))
        canvas.paste(self._curve.add(moment), self._left)
        self._draw_title(canvas, moment)
        if moment.scores is not None:
            self._draw_bars(canvas, moment.scores)

    def _background(self, best: int) -> Canvas:
        """Return the grid and the names of the emotions, with that of the highest score in bold."""
        canvas = self._backgrounds.get(best)
        if canvas is not None:
            return canvas
        canvas = Canvas.blank(self._width, self.height, self._palette, PLATE)
        for share in (0, 0.5, 1):
            y = round(self._bottom - share * (self._bottom - self._top))
            canvas.fill(self._left, y, self._right + self._margin - self._left, 1, FAINT)
        for column, emotion in enumerate(self._labels):
            y = self._row(column)
            colour, weight = (INK, 700) if column == best else (SOFT, 400)
            canvas.stamp(self._letters.mask(emotion, self._small, weight), self._names, y, colour)
            self._draw_bar(canvas, y, self._end, TROUGH)
        self._backgrounds[best] = canvas
        return canvas

    def _draw_title(self, canvas: Canvas, moment: FrameScores) -> None:
        """Draw the name of the face, and the time from the first frame as `1:02:03.4` or `2:03.4`."""
        pad, small = scaled(12, self._unit), self._small
        tenths = int(Fraction(moment.seconds).limit_denominator(1_000_000) * 10)
        clock = self._letters.mask(format_clock(Fraction(tenths, 10), has_tenths=True), small, 500)
        canvas.stamp(clock, self._right - clock.shape[1], pad // 2, SOFT)
        if moment.scores is not None:
            title, colour = moment.name, INK
        else:
            title, colour = "no face" if moment.track < 0 else "not clear", SOFT
        room = max(small, self._right - self._left - clock.shape[1] - pad)
        name = self._letters.fit(title, small, 700, room)
        canvas.stamp(self._letters.mask(name, small, 700), self._left, pad // 2, colour)

    def _draw_bars(self, canvas: Canvas, scores: Floats) -> None:
        for column, emotion in enumerate(self._labels):
            end = self._begin + round(float(scores[column]) * (self._end - self._begin))
            self._draw_bar(canvas, self._row(column), end, colour_of(emotion))

    def _draw_bar(self, canvas: Canvas, y: int, end: int, colour: Colour) -> None:
        middle, half = y + round(self._small * 0.72), max(2, round(self._small * 0.3))
        canvas.fill(self._begin, middle - half, end - self._begin + 1, 2 * half + 1, colour)

    def _row(self, column: int) -> int:
        """Return the top of an emotion's name."""
        pad = scaled(12, self._unit)
        return round(scaled(6, self._unit) + column * (self.height - pad) / len(self._labels))
