"""Drawing of results into a picture: boxes, landmarks, labels; below it a strip with the running curve.

Sizes scale with the picture, so that it looks the same at any resolution. Colours are blue, green, red.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fervid.errors import FervidError
from fervid.labels import COLOURS, NEUTRAL
from fervid.types import Bytes, Floats

KINDS = ("boxes", "landmarks", "labels", "curve")
Colour = tuple[int, int, int]

REFERENCE = 720  # pixels of the shorter side for which the sizes below are given
SMALLEST = 0.65  # least scale of those sizes, so that text stays readable in small pictures
LONGEST = 0.4  # share of the width that a name may take
WINDOW = 10.0  # seconds that the curve shows
INK, SOFT, FAINT = (255, 255, 255), (190, 190, 190), (70, 70, 74)
PLATE = (22, 22, 24)
UNCLEAR = (170, 170, 170)  # of a face that is not clear enough to read
NOTE = "Visible expression, read by a model. Not what a person feels."

# The 68 points as lines: jaw, brows, nose, eyes, lips; the last value is whether the line is closed.
LINES = (
    (0, 17, False),
    (17, 22, False),
    (22, 27, False),
    (27, 31, False),
    (31, 36, False),
    (36, 42, True),
    (42, 48, True),
    (48, 60, True),
    (60, 68, True),
)
FRACTION = 4  # bits of a pixel's fraction in coordinates


@dataclass(frozen=True, eq=False)
class Shown:
    """One face to draw."""

    box: Floats  # (4,)
    landmarks: Floats  # (68, 2)
    name: str
    emotion: str | None  # None: not clear enough to read
    score: float


@dataclass(frozen=True, eq=False)
class History:
    """The curve of the largest face on screen, up to now."""

    seconds: npt.NDArray[np.float64]  # (N,) ascending
    scores: Floats  # (N, C) nan where there is no score
    starts: Sequence[int] = ()  # rows at which another face takes over
    name: str = ""  # of the last face


def colour_of(emotion: str | None) -> Colour:
    """Return an emotion's colour as blue, green, red."""
    text = COLOURS.get(emotion or "")
    if text is None:
        return UNCLEAR
    red, green, blue = (int(text[at : at + 2], 16) for at in (1, 3, 5))
    return blue, green, red


class Letters:
    """Text in OpenCV's own font, which covers most scripts, with a cache of masks."""

    LIMIT = 512  # cached masks

    def __init__(self) -> None:
        if not hasattr(cv2, "FontFace"):
            raise FervidError("drawing text needs OpenCV 5: pip install 'opencv-python-headless>=5'")
        self._font = cv2.FontFace("sans")
        self._kept: OrderedDict[tuple[str, int, int], Floats] = OrderedDict()

    def mask(self, text: str, size: int, weight: int) -> Floats:
        """Return the share of each pixel that the text covers, (H, W); H depends on `size` alone."""
        key = (text, size, weight)
        mask = self._kept.get(key)
        if mask is None:
            height = round(size * 1.4)
            width = max(1, self.width(text, size, weight)) + size
            canvas = np.zeros((height, width, 3), np.uint8)
            cv2.putText(canvas, text, (size // 4, round(size * 1.08)), INK, self._font, size, weight)
            filled = np.flatnonzero(canvas.any((0, 2)))
            end = int(filled[-1]) + 1 if len(filled) else size // 4 + 1
            mask = canvas[:, size // 4 : end, 0].astype(np.float32) / np.float32(255)
            self._kept[key] = mask
            if len(self._kept) > self.LIMIT:
                self._kept.popitem(last=False)
        return mask

    def width(self, text: str, size: int, weight: int) -> int:
        box = cv2.getTextSize((0, 0), text, (0, 0), self._font, size, weight)
        return int(box[0] + box[2])

    def fit(self, text: str, size: int, weight: int, width: int) -> str:
        """Return the text, cut to `width`."""
        if self.width(text, size, weight) <= width:
            return text
        while text and self.width(text + "…", size, weight) > width:
            text = text[:-1]
        return text.rstrip() + "…"

    def write(
        self, picture: Bytes, text: str, corner: tuple[int, int], size: int, colour: Colour, weight: int = 500
    ) -> int:
        """Write with the upper left corner at `corner`; return the text's width."""
        mask = self.mask(text, size, weight)
        x, y = corner
        region = picture[max(0, y) : max(0, y + mask.shape[0]), max(0, x) : max(0, x + mask.shape[1])]
        part = mask[max(0, -y) :, max(0, -x) :][: region.shape[0], : region.shape[1], None]
        region[:] = (region * (1 - part) + np.array(colour, np.float32) * part + 0.5).astype(np.uint8)
        return mask.shape[1]


class Painter:
    """A painter of the pictures of one video."""

    def __init__(
        self, width: int, height: int, labels: Sequence[str], kinds: Collection[str] = KINDS
    ) -> None:
        self.width, self.height, self.labels, self.kinds = width, height, tuple(labels), frozenset(kinds)
        self.unit = max(min(width, height) / REFERENCE, SMALLEST)
        self._letters = Letters()
        rows = len(self.labels) * round(self._scaled(14) * 1.32) + self._scaled(12)  # a line for each bar
        self.strip = max(self._scaled(150), rows) if "curve" in self.kinds else 0
        self.strip += (height + self.strip) % 2  # H.264 wants an even height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the painted picture, with the strip below it."""
        return self.width, self.height + self.strip

    def paint(self, picture: Bytes, faces: Sequence[Shown], history: History, clock: str) -> Bytes:
        """Draw everything on the picture (H, W, 3), in place, and return it with the strip below."""
        for face in faces:
            if "landmarks" in self.kinds:
                self._draw_landmarks(picture, face)
            if "boxes" in self.kinds:
                self._draw_box(picture, face)
        if "labels" in self.kinds:
            taken: list[tuple[int, int, int, int]] = []
            for face in faces:
                taken.append(self._draw_label(picture, face, taken))
        self._draw_note(picture)
        if not self.strip:
            return picture
        strip = np.full((self.strip, self.width, 3), PLATE, np.uint8)
        self._draw_curve(strip, history, faces, clock)
        return np.concatenate([picture, strip])

    def _scaled(self, size: float) -> int:
        return max(1, round(size * self.unit))

    def _draw_box(self, picture: Bytes, face: Shown) -> None:
        left, top = (round(float(value)) for value in face.box[:2])
        right, bottom = (round(float(value)) for value in face.box[:2] + face.box[2:])
        is_clear = face.emotion is not None
        thick = self._scaled(3 if is_clear else 1.5)
        corner = round(min(right - left, bottom - top) * 0.12)
        path = _rounded(left, top, right, bottom, corner)
        cv2.polylines(picture, [path], True, (20, 20, 20), thick + max(2, thick // 2 * 2), cv2.LINE_AA)
        cv2.polylines(picture, [path], True, colour_of(face.emotion), thick, cv2.LINE_AA)

    def _draw_landmarks(self, picture: Bytes, face: Shown) -> None:
        if not np.isfinite(face.landmarks).all():
            return
        margin = 8
        low = np.floor(face.landmarks.min(0)).astype(int) - margin
        high = np.ceil(face.landmarks.max(0)).astype(int) + margin
        x, y = max(0, int(low[0])), max(0, int(low[1]))
        region = picture[y : max(0, int(high[1])), x : max(0, int(high[0]))]
        if not region.size:
            return
        points = np.rint((face.landmarks - (x, y)) * (1 << FRACTION)).astype(np.int32)
        drawn = region.copy()
        thin = max(1, round(float(face.box[2]) / 200))
        for colour, thick in ((PLATE, thin + 2), (INK, thin)):
            for first, last, closes in LINES:
                cv2.polylines(drawn, [points[first:last]], closes, colour, thick, cv2.LINE_AA, FRACTION)
        cv2.addWeighted(drawn, 0.45, region, 0.55, 0, dst=drawn)
        region[:] = drawn
        _dot(region, face.landmarks - (x, y), max(1.3, float(face.box[2]) / 140))

    def _draw_label(
        self, picture: Bytes, face: Shown, taken: Sequence[tuple[int, int, int, int]]
    ) -> tuple[int, int, int, int]:
        """Draw the plate with the name and label near the box; return its x, y, width and height."""
        size, pad, bar = self._scaled(22), self._scaled(8), self._scaled(7)
        if face.emotion is None:
            label, number = "not clear", ""
        else:
            label, number = face.emotion, f"{face.score:.2f}"
        parts = [(face.name, INK, 700), (label, INK, 500), (number, SOFT, 500)]
        rest = sum(self._letters.width(text, size, weight) + pad for text, _, weight in parts[1:] if text)
        room = min(self.width - rest - bar - 3 * pad, round(self.width * LONGEST))
        parts[0] = (self._letters.fit(face.name, size, 700, max(room, 2 * size)), INK, 700)
        masks = [(self._letters.mask(text, size, weight), colour) for text, colour, weight in parts if text]
        width = bar + pad + sum(mask.shape[1] + pad for mask, _ in masks)
        height = masks[0][0].shape[0] + pad // 2
        x, y = self._plate_position(face, width, height, taken)
        _shade(picture, x, y, width, height, PLATE, 0.82)
        cv2.rectangle(picture, (x, y), (x + bar - 1, y + height - 1), colour_of(face.emotion), -1)
        at = x + bar + pad
        for (text, colour, weight), (mask, _) in zip([p for p in parts if p[0]], masks, strict=True):
            self._letters.write(picture, text, (at, y + pad // 4), size, colour, weight)
            at += mask.shape[1] + pad
        return x, y, width, height

    def _plate_position(
        self, face: Shown, width: int, height: int, taken: Sequence[tuple[int, int, int, int]]
    ) -> tuple[int, int]:
        """Return a position above the box, else below or on it, inside the picture and off other labels."""
        gap = self._scaled(6)
        left, top, _, high = (round(float(value)) for value in face.box)
        x = max(0, min(left, self.width - width))
        tries = [top - height - gap, top + high + gap, top + gap, top + gap + height]
        spots = [min(max(0, y), self.height - height) for y in tries if 0 <= y <= self.height - height]
        spots = spots or [max(0, min(top, self.height - height))]
        free = [y for y in spots if not any(_overlap((x, y, width, height), other) for other in taken)]
        return x, (free or spots)[0]

    def _draw_note(self, picture: Bytes) -> None:
        size, pad = self._scaled(14), self._scaled(5)
        text = self._letters.fit(NOTE, size, 400, self.width - 4 * pad)
        mask = self._letters.mask(text, size, 400)
        height, width = mask.shape[0] + pad // 2, mask.shape[1] + 2 * pad
        y = self.height - height
        _shade(picture, 0, y, width, height, PLATE, 0.75)
        self._letters.write(picture, text, (pad, y + pad // 4), size, (225, 225, 225), 400)

    def _draw_curve(self, strip: Bytes, history: History, faces: Sequence[Shown], clock: str) -> None:
        pad, small = self._scaled(12), self._scaled(14)
        bars = min(round(self.width * 0.42), self._scaled(250))
        line = round(small * 1.4)
        left, right = pad, self.width - bars - 2 * pad
        top, bottom = pad + line, self.strip - pad
        # The scores of a face that is gone are not shown.
        now = history.scores[-1] if len(history.scores) and faces else None
        now = None if now is None or not np.isfinite(now).all() else now
        title = history.name if now is not None else "no face" if not faces else "not clear"
        time = self._letters.mask(clock, small, 500).shape[1]
        name = self._letters.fit(title, small, 700, max(small, right - left - time - pad))
        self._letters.write(strip, name, (left, pad // 2), small, INK if now is not None else SOFT, 700)
        self._letters.write(strip, clock, (right - time, pad // 2), small, SOFT)
        self._draw_grid(strip, left, top, right, bottom, history)
        self._draw_lines(strip, left, top, right, bottom, history)
        self._draw_bars(strip, now, right + 2 * pad, self.width - pad)

    def _draw_grid(
        self, strip: Bytes, left: int, top: int, right: int, bottom: int, history: History
    ) -> None:
        for share in (0, 0.5, 1):
            y = round(bottom - share * (bottom - top))
            cv2.line(strip, (left, y), (right, y), FAINT, 1)
        if len(history.seconds):
            now = history.seconds[-1]
            for second in range(int(np.ceil(now - WINDOW)), int(now) + 1):
                x = round(right - (now - second) / WINDOW * (right - left))
                cv2.line(strip, (x, bottom - self._scaled(4)), (x, bottom), FAINT, 1)

    def _draw_lines(
        self, strip: Bytes, left: int, top: int, right: int, bottom: int, history: History
    ) -> None:
        if len(history.seconds) < 2:
            return
        x = right - (history.seconds[-1] - history.seconds) / WINDOW * (right - left)
        y = bottom - history.scores * (bottom - top)
        last = history.scores[-1]
        best = int(np.argmax(last)) if np.isfinite(last).all() else -1
        order = [*(column for column in range(len(self.labels)) if column != best), *([best] * (best >= 0))]
        whole: npt.NDArray[np.bool_] = np.isfinite(history.scores).all(axis=1)  # type: ignore[assignment]
        cuts = {*history.starts, *(np.flatnonzero(np.diff(whole.astype(np.int8))) + 1).tolist()}
        pieces = np.split(np.arange(len(x)), sorted(cuts))
        for column in order:
            emotion = self.labels[column]
            thick = self._scaled(3.2 if column == best else 1.8 if emotion != NEUTRAL else 1.2)
            for rows in pieces:
                if len(rows) < 2 or not whole[rows[0]]:
                    continue
                points = np.stack([x[rows], y[rows, column]], 1) * (1 << FRACTION)
                path = np.rint(points).astype(np.int32)
                cv2.polylines(strip, [path], False, colour_of(emotion), thick, cv2.LINE_AA, FRACTION)

    def _draw_bars(self, strip: Bytes, now: Floats | None, left: int, right: int) -> None:
        """Draw a bar for each emotion's score now."""
        small = self._scaled(14)
        step = (self.strip - self._scaled(12)) / len(self.labels)
        names = max(self._letters.mask(label, small, 700).shape[1] for label in self.labels)
        begin = min(left + names + self._scaled(10), right - self._scaled(20))
        half = max(2, round(small * 0.3))
        best = -1 if now is None else int(np.argmax(now))
        for column, emotion in enumerate(self.labels):
            y = round(self._scaled(6) + column * step)
            is_best = column == best
            colour, weight = (INK, 700) if is_best else (SOFT, 400)
            self._letters.write(strip, emotion, (left, y), small, colour, weight)
            middle = y + round(small * 0.72)
            cv2.rectangle(strip, (begin, middle - half), (right, middle + half), (44, 44, 47), -1)
            if now is not None:
                end = begin + round(float(now[column]) * (right - begin))
                cv2.rectangle(strip, (begin, middle - half), (end, middle + half), colour_of(emotion), -1)


def _dot(region: Bytes, points: Floats, radius: float) -> None:
    """Draw dots with a dark rim at points (N, 2), except at the very edge of the region."""
    reach = int(np.ceil(radius)) + 2
    grid = np.arange(-reach, reach + 1)
    for px, py in points.tolist():
        x, y = int(px), int(py)
        patch = region[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        if x < reach or y < reach or patch.shape[:2] != (len(grid), len(grid)):
            continue
        away = np.hypot(grid[None] + x - px, grid[:, None] + y - py)[:, :, None]
        rim = np.clip(radius + 1.5 - away, 0, 1) * 0.7
        core = np.clip(radius + 0.5 - away, 0, 1)
        patch[:] = (patch * (1 - rim) + 25 * rim) * (1 - core) + 255 * core


def _rounded(left: int, top: int, right: int, bottom: int, corner: int) -> npt.NDArray[np.int32]:
    """Return the outline of a rectangle with round corners, (N, 2)."""
    arcs = [
        cv2.ellipse2Poly(centre, (corner, corner), 0, angle, angle + 90, 10)
        for centre, angle in (
            ((left + corner, top + corner), 180),
            ((right - corner, top + corner), 270),
            ((right - corner, bottom - corner), 0),
            ((left + corner, bottom - corner), 90),
        )
    ]
    return np.concatenate(arcs).astype(np.int32)


def _shade(picture: Bytes, x: int, y: int, width: int, height: int, colour: Colour, share: float) -> None:
    """Mix a colour into a rectangle."""
    region = picture[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    region[:] = (region * (1 - share) + np.array(colour, np.float32) * share).astype(np.uint8)


def _overlap(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> bool:
    return (
        first[0] < second[0] + second[2]
        and second[0] < first[0] + first[2]
        and first[1] < second[1] + second[3]
        and second[1] < first[1] + first[3]
    )
