"""Formats of peaks for editing programs and players: one file per format."""
