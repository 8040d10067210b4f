"""Floor 1: pure functions of features; this module is the public list."""

from keras_ssl.metrics.clusters import (
    information,
    mean_entropy,
    nearest_images,
    normalized_mutual_information,
)
from keras_ssl.metrics.detection import DetectionScores, detection_scores
from keras_ssl.metrics.health import feature_std, rankme
from keras_ssl.metrics.partitions import adjusted_rand, matched_accuracy
from keras_ssl.metrics.ranking import average_precision, eleven_point
from keras_ssl.metrics.sphere import alignment, uniformity

__all__ = [
    "DetectionScores",
    "adjusted_rand",
    "alignment",
    "average_precision",
    "detection_scores",
    "eleven_point",
    "feature_std",
    "information",
    "matched_accuracy",
    "mean_entropy",
    "nearest_images",
    "normalized_mutual_information",
    "rankme",
    "uniformity",
]
