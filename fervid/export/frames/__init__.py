"""Tables and archives with a row per frame and face."""
