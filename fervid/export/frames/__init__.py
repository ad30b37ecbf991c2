"""Tables of frames: a row for each frame and face."""
