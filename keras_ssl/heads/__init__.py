"""Floor 2: features to the space of a loss."""
