"""fervid reads visible facial expression in video and writes timelines of it."""

__version__ = "0.1.0"
