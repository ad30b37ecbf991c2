"""Live analysis: frames come without a known end, and are reported soon after."""

from fervid.live.analysis import LiveAnalysis, Options
from fervid.live.start import start
