"""Floor 0: the registry and the only doors to gin and to `tf.distribute`."""
