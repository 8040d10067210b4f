"""Floor 1: Keras layers with weights."""
