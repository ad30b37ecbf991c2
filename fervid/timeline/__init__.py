"""From windows' scores to segments, peaks and the whole timeline."""

from fervid.timeline.smoothing import (
    DWELL,
    FLOOR,
    LAG,
    READABLE,
    Doubles,
    Run,
    Smoother,
    Viterbi,
    build,
    covered,
    crossing,
    intensity,
    interpolate,
    valence_arousal,
)

__all__ = [
    "DWELL",
    "FLOOR",
    "LAG",
    "READABLE",
    "Doubles",
    "Run",
    "Smoother",
    "Viterbi",
    "build",
    "covered",
    "crossing",
    "intensity",
    "interpolate",
    "valence_arousal",
]
