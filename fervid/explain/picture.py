"""A picture of an explanation: a row of frames for each label, with the evidence for and against it."""

from __future__ import annotations

import cv2
import numpy as np

from fervid.clips import Window
from fervid.explain.gradients import Explanation
from fervid.export.drawing.letters import Letters
from fervid.types import Bytes, Floats

SIDE = 144  # pixels of a face in the picture
SHOWN = 6  # frames of the window in a row
LEFT = 250  # pixels for the text beside a row
GAP, SIZE, HEAVY = 8, 18, 600  # pixels, and the weight of bold text
FOR, AGAINST = (20, 90, 240), (220, 130, 20)  # blue, green, red
SMOOTH = 1.5  # pixels of a crop over which contributions are averaged
STRONG = 99.5  # the percentile of contributions that has the full colour
TOP, LINE = 56, 30  # pixels above the streams, and of each
BAR = 150  # pixels of the longest bar
WHITE, BLACK = 255, 30


def draw(explanation: Explanation, window: Window) -> Bytes:
    """Return the picture (H, W, 3) in blue, green, red."""
    letters = Letters()
    rows = [_row(letters, explanation, window, label) for label in explanation.shares]
    space = np.full((GAP, rows[0].shape[1], 3), WHITE, np.uint8)
    return np.concatenate([part for row in rows for part in (space, row)] + [space])


def png(explanation: Explanation, window: Window) -> bytes:
    """Return the picture as a PNG file."""
    return cv2.imencode(".png", draw(explanation, window))[1].tobytes()


def _row(letters: Letters, explanation: Explanation, window: Window, label: str) -> Bytes:
    shares = explanation.shares[label]
    height = max(SIDE, TOP + LINE * len(shares))
    row = np.full((height, LEFT + SHOWN * (SIDE + GAP), 3), WHITE, np.uint8)
    _text(letters, row, label, (GAP, 2), HEAVY)
    _text(letters, row, f"score {explanation.scores[label]:.2f}", (GAP, 26), 400)
    longest = max(abs(share.total) for shares in explanation.shares.values() for share in shares.values())
    for index, (name, share) in enumerate(shares.items()):
        top = TOP + LINE * index
        length = round(BAR * abs(share.total) / max(longest, 1e-9))
        row[top + 18 : top + 24, GAP : GAP + max(length, 1)] = FOR if share.total > 0 else AGAINST
        _text(letters, row, f"{name} {share.total:+.2f}", (GAP, top - 4), 400)
    for column, tile in enumerate(tiles(explanation, window, label, SHOWN, SIDE)):
        left = LEFT + column * (SIDE + GAP)
        row[:SIDE, left : left + SIDE] = tile
    return row


def tiles(explanation: Explanation, window: Window, label: str, count: int, side: int) -> list[Bytes]:
    """Return some frames of the window (side, side, 3), tinted by the evidence for and against a label."""
    pixels, points = explanation.by_pixel(label), explanation.by_landmark(label)
    frames = np.linspace(0, len(window.rows) - 1, count).round().astype(int)
    heat = None if pixels is None else np.stack([cv2.GaussianBlur(frame, (0, 0), SMOOTH) for frame in pixels])
    full = 1.0 if heat is None else max(float(np.percentile(np.abs(heat), STRONG)), 1e-9)
    drawn = []
    for frame in frames.tolist():
        face = window["faces"][frame]
        tile = _tinted(face, None if heat is None else heat[frame] / full, side)
        if points is not None:
            _dots(tile, window["points"][frame] * (side / face.shape[0]), points)
        drawn.append(tile)
    return drawn


def _tinted(face: Bytes, heat: Floats | None, side: int) -> Bytes:
    """Return the enlarged face (side, side, 3), coloured by contributions between -1 and 1."""
    grey = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR).astype(np.float32)
    if heat is not None:
        large = cv2.resize(np.clip(heat, -1, 1), (side, side), interpolation=cv2.INTER_LINEAR)[..., None]
        colour = np.where(large > 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
        picture += 0.75 * np.abs(large) * (colour - picture)
    return np.rint(picture).clip(0, 255).astype(np.uint8)


def _dots(tile: Bytes, points: Floats, shares: Floats) -> None:
    """Draw landmarks as discs, with areas in proportion to their contributions."""
    largest = max(float(np.abs(shares).max()), 1e-9)
    for (x, y), share in zip(points.tolist(), shares.tolist(), strict=True):
        radius = round(tile.shape[0] / 29 * (abs(share) / largest) ** 0.5)
        if radius:
            colour = FOR if share > 0 else AGAINST
            cv2.circle(tile, (round(x), round(y)), radius, colour, -1, cv2.LINE_AA)


def _text(letters: Letters, row: Bytes, text: str, at: tuple[int, int], weight: int) -> None:
    mask = letters.mask(letters.fit(text, SIZE, weight, LEFT - 2 * GAP), SIZE, weight)[..., None]
    x, y = at
    area = row[y : y + mask.shape[0], x : x + mask.shape[1]]
    mask = mask[: area.shape[0], : area.shape[1]]
    area[:] = (area * (1 - mask) + BLACK * mask).astype(np.uint8)
