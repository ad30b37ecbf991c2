"""The networks of the surveys' other systems, one per file."""
