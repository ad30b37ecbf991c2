"""Whole timelines and lists of peaks, written and read: one file per format."""
