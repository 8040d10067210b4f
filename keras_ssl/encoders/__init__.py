"""Floor 2: images to features."""
