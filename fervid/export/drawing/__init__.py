"""What an analysis saw, drawn into the pictures of a video."""
