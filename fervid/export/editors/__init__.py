"""Peaks for editing programs and players: one file per format."""
