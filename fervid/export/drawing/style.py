"""The colours and sizes of drawings. Sizes scale with the picture, so that all resolutions look the same."""

from __future__ import annotations

from fervid.export.drawing.canvas import Colour
from fervid.labels import COLOURS

KINDS = ("boxes", "landmarks", "labels", "curve")

REFERENCE = 720  # pixels of the shorter side for which sizes are given
SMALLEST = 0.65  # least scale of those sizes, so that text stays readable in small pictures

# Blue, green, red. Text has no colour: it is drawn into luma alone.
INK, SOFT, FAINT = (255, 255, 255), (190, 190, 190), (70, 70, 74)
PLATE, TROUGH, RIM = (22, 22, 24), (44, 44, 47), (20, 20, 20)
UNCLEAR = (170, 170, 170)  # of a face that is not clear enough to read


def colour_of(emotion: str | None) -> Colour:
    """Return an emotion's colour as blue, green, red."""
    text = COLOURS.get(emotion or "")
    if text is None:
        return UNCLEAR
    red, green, blue = (int(text[at : at + 2], 16) for at in (1, 3, 5))
    return blue, green, red


def scaled(size: float, unit: float) -> int:
    """Return a size in whole pixels."""
    return max(1, round(size * unit))
