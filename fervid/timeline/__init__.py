"""From the scores of windows to segments, peaks and the whole timeline."""

from fervid.timeline.build import build
from fervid.timeline.curves import covered, intensity, interpolate, valence_arousal
from fervid.timeline.smoothing import Smoother
