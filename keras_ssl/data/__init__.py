"""Floor 1: sources of images and the input pipeline."""
