"""Segments, peaks and the timeline, made from the scores of windows."""

from fervid.timeline.build import build
from fervid.timeline.curves import Columns, covered, curve_of, intensity, interpolate, valence_arousal
from fervid.timeline.smoothing import Smoother
