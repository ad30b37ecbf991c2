"""The data types that stages pass to each other: frozen, with checked shapes, made of numpy arrays.

A time is an integer, a pts in the time base of the video stream. Only exporters and the command line convert
it to seconds, counted from the first frame. Boxes are `x, y, width, height` in upright, square pixels.
The types of datasets are in `fervid.types.samples`.
"""

from fervid.types.arrays import Array, Bytes, Floats, Ints, check
from fervid.types.faces import LANDMARKS, READABLE, Crops, Rows, Status, Track
from fervid.types.settings import Settings
from fervid.types.timeline import (
    CERTAIN,
    PERSON,
    Curve,
    ModelInfo,
    Peak,
    Person,
    Phases,
    Segment,
    Tally,
    Timeline,
)
from fervid.types.video import Clock, Frame, Source, Video
