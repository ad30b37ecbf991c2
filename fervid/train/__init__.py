"""Training: from labelled data and a recipe to a model, and how well it does."""
