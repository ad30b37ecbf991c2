"""Reading and writing of timelines and lists of peaks: one file per format."""
