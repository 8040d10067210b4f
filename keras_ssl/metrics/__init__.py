"""Floor 1: pure functions of features; this module is the public list."""

from keras_ssl.metrics.clusters import (
    information,
    mean_entropy,
    nearest_images,
    normalized_mutual_information,
)
from keras_ssl.metrics.health import feature_std, rankme
from keras_ssl.metrics.sphere import alignment, uniformity

__all__ = [
    "alignment",
    "feature_std",
    "information",
    "mean_entropy",
    "nearest_images",
    "normalized_mutual_information",
    "rankme",
    "uniformity",
]
