"""Training and evaluation of models on labelled data."""
