"""From a path to upright, square-pixel luma with true times: the only user of av."""
