"""How far predicted depth is from the true one: the usual five numbers.

Eigen et al. 2014, https://arxiv.org/abs/1406.2283, section 4.
"""

from collections.abc import Iterable

import numpy as np

NAMES = ("delta1", "delta2", "delta3", "rms", "rel")


def sums(predicted: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """What the five numbers are made of; sums over parts of the data are those of all.

    Args:
        predicted: Positive depths, of any shape.
        depth: True ones, of the same shape; 0 where they are not known.

    Returns:
        `(6,)` float64: how many pixels are known; of how many the larger one of both
        depths is less than 1.25, 1.25^2 and 1.25^3 times the other; the sum of squared
        errors, and of errors as shares of the true depth.

    Raises:
        ValueError: If the shapes differ, or a prediction is not positive.
    """
    if predicted.shape != depth.shape:
        raise ValueError(
            f"predicted and depth must have the same shape, got {predicted.shape} and "
            f"{depth.shape}."
        )
    said, true = (x[depth > 0].astype(np.float64) for x in (predicted, depth))
    if said.size and not said.min() > 0:
        raise ValueError(f"Predicted depth must be positive, got {said.min()}.")
    ratio, error = np.maximum(said / true, true / said), np.abs(said - true)
    near = [np.sum(ratio < 1.25**power) for power in (1, 2, 3)]
    return np.array([said.size, *near, np.sum(error**2), np.sum(error / true)])


def scores(parts: Iterable[np.ndarray]) -> dict[str, float]:
    """The five numbers over all pixels of known depth.

    Args:
        parts: What `sums` returned of each part of the data.

    Returns:
        `delta1`, `delta2` and `delta3`, shares in [0, 1], the higher the better; `rms`,
        in the unit of depth, and `rel`, a share of it, the lower the better.

    Raises:
        ValueError: If no depth is known.
    """
    count, *near, squares, shares = np.sum(list(parts), axis=0)
    if not count:
        raise ValueError("Depth is known of no pixel, so there is no score.")
    values = (*(n / count for n in near), np.sqrt(squares / count), shares / count)
    return {name: float(value) for name, value in zip(NAMES, values, strict=True)}
