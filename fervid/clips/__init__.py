"""Clips: the inputs of the networks, cut from a track or a strip: windows, the neutral face, illumination."""

from fervid.clips.illumination import contrast
from fervid.clips.neutrals import NEUTRAL_SECONDS, neutral, population_neutral
from fervid.clips.windows import LENGTH, Face, Window, centres, rows, straightness_of, whole_rows
