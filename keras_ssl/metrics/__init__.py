"""Floor 1: pure functions of features; this module is the public list."""

from keras_ssl.metrics.health import feature_std, rankme

__all__ = ["feature_std", "rankme"]
