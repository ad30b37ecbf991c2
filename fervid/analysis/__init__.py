"""The analysis of a video: plan it, split it into spans, analyze each span, and join the results."""

from fervid.analysis.run import NO_MODEL, Run, Tick, analyze, start
