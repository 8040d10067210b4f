"""What a classifier's scores are worth: the numbers that tables of results show."""

from collections.abc import Callable

import numpy as np

from keras_ssl import metrics


def top1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of examples whose own class has the highest score.

    Args:
        scores: `(n, c)` floats.
        labels: `(n,)` integers in `[0, c)`.
    """
    return float(np.mean(np.argmax(scores, axis=1) == labels))


def mean_per_class(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean of the classes' own top-1, over those that have an example.

    Args:
        scores: `(n, c)` floats.
        labels: `(n,)` integers in `[0, c)`.
    """
    right = np.argmax(scores, axis=1) == labels
    count = np.bincount(labels, minlength=scores.shape[1])
    found = np.bincount(labels, weights=right, minlength=scores.shape[1])
    return float(np.mean(found[count > 0] / count[count > 0]))


def eleven_point_map(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of VOC 2007's average precision, of classes that occur.

    Args:
        scores: `(n, c)` floats.
        labels: `(n, c)`: 1, -1, or 0 for what does not count.
    """
    # What does not count ranks last, as nothing that is asked for.
    ranked = np.where(labels != 0, scores, -np.inf)
    return float(np.nanmean(metrics.eleven_point(ranked.T, (labels > 0).T)))


def signs(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """One column a class: 1 for its examples, -1 for all others.

    Args:
        labels: `(n,)` integers in `[0, num_classes)`; or `(n, num_classes)` signs
            already, with 0 for what does not count, where images have several labels.
        num_classes: Number of classes.

    Returns:
        `(n, num_classes)` float64.
    """
    if labels.ndim == 2:
        return labels.astype(np.float64)
    return np.where(labels[:, None] == np.arange(num_classes), 1.0, -1.0)


# By the name that results have.
MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "top1": top1,
    "mean_per_class": mean_per_class,
    "map": eleven_point_map,
}
