"""One video, from its path to its timeline: planned, cut into spans, analysed, and stitched together."""

from fervid.analysis.run import NO_MODEL, Run, Tick, analyze, start

__all__ = ["NO_MODEL", "Run", "Tick", "analyze", "start"]
