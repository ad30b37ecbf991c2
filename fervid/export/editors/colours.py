"""What editing programs call the colours of emotions: each knows a few by name, and takes the nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fervid.labels import COLOURS, NEUTRAL


@dataclass(frozen=True)
class Colour:
    """One emotion's colour in the programs' palettes; within each, emotions differ."""

    hexadecimal: str  # #RRGGBB of `labels.COLOURS`
    resolve: str  # DaVinci Resolve's markers
    premiere: str  # #RRGGBB of a marker colour that Premiere has
    locator: str  # Avid's locators, in EDL
    otio: str  # OpenTimelineIO's MarkerColor

    @property
    def rgb(self) -> tuple[int, int, int]:
        return rgb(self.hexadecimal)


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of #RRGGBB."""
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


def of(emotion: str) -> Colour:
    """The colour of an emotion; one that has none looks as neutral does."""
    known = emotion if emotion in _PALETTES else NEUTRAL
    return Colour(COLOURS[known], *_PALETTES[known])
