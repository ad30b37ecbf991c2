"""The colours of emotions in editing programs; each program has its own small palette."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fervid.labels import COLOURS, NEUTRAL


@dataclass(frozen=True)
class Colour:
    """An emotion's colour in each program; no two emotions share one."""

    hexadecimal: str  # #RRGGBB of `labels.COLOURS`
    resolve: str  # marker colour of DaVinci Resolve
    premiere: str  # #RRGGBB of a marker colour of Premiere
    locator: str  # locator colour of Avid, in EDL
    otio: str  # MarkerColor of OpenTimelineIO

    @property
    def rgb(self) -> tuple[int, int, int]:
        return rgb(self.hexadecimal)


def rgb(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue of #RRGGBB."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


_PALETTES: Mapping[str, tuple[str, str, str, str]] = {
    "anger": ("Red", "#D22C36", "RED", "RED"),
    "disgust": ("Green", "#718637", "GREEN", "GREEN"),
    "fear": ("Purple", "#19F4D6", "CYAN", "PURPLE"),
    "happiness": ("Yellow", "#D0A12B", "YELLOW", "YELLOW"),
    "sadness": ("Blue", "#428DFC", "BLUE", "BLUE"),
    "surprise": ("Pink", "#AF8BB1", "MAGENTA", "PINK"),
    "neutral": ("Cream", "#FFFFFF", "WHITE", "WHITE"),
    "contempt": ("Cocoa", "#E96F24", "BLACK", "ORANGE"),
}


def colour_of(emotion: str) -> Colour:
    """Return the colour of an emotion; an unknown emotion gets neutral's."""
    known = emotion if emotion in _PALETTES else NEUTRAL
    return Colour(COLOURS[known], *_PALETTES[known])
