"""Live analysis: frames come one after another, without a known end, and lines about them soon after."""

from fervid.live.start import start
from fervid.live.watching import Options, Watch
