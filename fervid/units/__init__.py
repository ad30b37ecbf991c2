"""Action units: intensities 0 to 5 from landmarks, without pose and relative to each person's own face."""

from fervid.units.fitting import NAMES, PRESENT, STRONGEST, UNITS, intensities
from fervid.units.phases import with_phases
from fervid.units.video import Chunks, VideoUnits, measure
