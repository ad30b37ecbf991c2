"""Drawn timelines: the report's page and the plot."""
