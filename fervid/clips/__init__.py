"""One road from pixels to what a net reads: windows of a track, and how their light is evened out."""

from fervid.clips.windows import (
    AT_REST,
    LENGTH,
    NEUTRAL_LEAST,
    NEUTRAL_SECONDS,
    SPACING,
    STEADY,
    STRIDE,
    centres,
    contrast,
    neutral,
    neutral_of,
    points,
    population_neutral,
    rows,
    windows,
)

__all__ = [
    "AT_REST",
    "LENGTH",
    "NEUTRAL_LEAST",
    "NEUTRAL_SECONDS",
    "SPACING",
    "STEADY",
    "STRIDE",
    "centres",
    "contrast",
    "neutral",
    "neutral_of",
    "points",
    "population_neutral",
    "rows",
    "windows",
]
