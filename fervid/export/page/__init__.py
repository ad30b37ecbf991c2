"""Timelines to look at: the report's page and the plot."""
