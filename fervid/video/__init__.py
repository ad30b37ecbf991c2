"""Video: from a path to upright, square-pixel luma with exact times. The only room that uses av."""
