"""Video: from a path to upright, square-pixel luma with exact times. The only package that uses av."""
