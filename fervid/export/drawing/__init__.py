"""The results of an analysis, drawn into the pictures of a video."""
