"""From a path to upright, square-pixel luma with true times: the only user of av."""

from fervid.source import spool
from fervid.video.planning import plan, properties
from fervid.video.reading import frames
from fervid.video.thumbnails import in_colour

__all__ = ["frames", "in_colour", "plan", "properties", "spool"]
