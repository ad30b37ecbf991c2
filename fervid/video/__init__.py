"""From a path to upright, square-pixel luma with true times: the only user of av."""

from fervid.source import spool
from fervid.video.colour import in_colour
from fervid.video.planning import plan, properties
from fervid.video.reading import frames

__all__ = ["frames", "in_colour", "plan", "properties", "spool"]
