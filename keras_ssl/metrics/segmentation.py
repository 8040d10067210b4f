"""How well a map of classes agrees with the true one, pixel by pixel."""

import numpy as np


def confusion(predicted: np.ndarray, mask: np.ndarray, classes: int) -> np.ndarray:
    """How many pixels of true class `i` are said to be of class `j`.

    Sums of these over parts of the data are those of all of it.

    Args:
        predicted: Class numbers in `[0, classes)`, of any shape.
        mask: True ones, of the same shape; what is not in `[0, classes)`, such as 255,
            does not count.
        classes: Number of classes.

    Returns:
        `(classes, classes)` int64.

    Raises:
        ValueError: If the shapes differ, or a predicted class is out of range.
    """
    if predicted.shape != mask.shape:
        raise ValueError(
            f"predicted and mask must have the same shape, got {predicted.shape} and "
            f"{mask.shape}."
        )
    counted = (mask >= 0) & (mask < classes)
    said, true = (x[counted].astype(np.int64) for x in (predicted, mask))
    if said.size and not 0 <= said.min() <= said.max() < classes:
        raise ValueError(
            f"predicted must be in [0, {classes}), got {said.min()} to {said.max()}."
        )
    pairs = np.bincount(true * classes + said, minlength=classes**2)
    return pairs.reshape(classes, classes)


def intersection_over_union(table: np.ndarray) -> np.ndarray:
    """Of each class the pixels that both say over those that either says (Jaccard).

    Args:
        table: `(k, k)`, see `confusion`.

    Returns:
        `(k,)` in [0, 1]; not a number where no pixel is of the class: neither in truth
        nor as it is said.
    """
    both = np.diag(table)
    return _ratio(both, table.sum(0) + table.sum(1) - both)


def mean_iou(table: np.ndarray) -> float:
    """Mean of `intersection_over_union` over the classes that are there in truth.

    As VOC's. A class that no pixel is of but that is said nevertheless costs the
    others, and has no part of its own.

    Args:
        table: `(k, k)`, see `confusion`.

    Returns:
        In [0, 1].

    Raises:
        ValueError: If no pixel counts.
    """
    there = table.sum(axis=1) > 0
    if not there.any():
        raise ValueError("No pixel counts, so there is no score: all are ignored.")
    return float(intersection_over_union(table)[there].mean())


def pixel_accuracy(table: np.ndarray) -> float:
    """Share of pixels whose class is said right, in [0, 1]; of `(k, k)` counts."""
    return float(np.trace(table) / table.sum())


def dice(table: np.ndarray) -> np.ndarray:
    """Of each class twice what both say over what each says: F1 of its pixels.

    Args:
        table: `(k, k)`, see `confusion`.

    Returns:
        `(k,)` in [0, 1]; not a number where no pixel is of the class.
    """
    return _ratio(2 * np.diag(table), table.sum(0) + table.sum(1))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.where(below > 0, above / np.maximum(below, 1), np.nan)
