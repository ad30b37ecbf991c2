"""The one road from a followed face to what a net reads: windows, the neutral face, and even light.

Its users take its names from here, `clips.Window`, since most take some of each file.
"""

from fervid.clips.illumination import contrast
from fervid.clips.neutrals import NEUTRAL_SECONDS, neutral, population_neutral
from fervid.clips.windows import LENGTH, Face, Window, centres, rows

__all__ = [
    "LENGTH",
    "NEUTRAL_SECONDS",
    "Face",
    "Window",
    "centres",
    "contrast",
    "neutral",
    "population_neutral",
    "rows",
]
