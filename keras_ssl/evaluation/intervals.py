"""Means over seeds, and how far they can be trusted."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import scipy.stats

# Share of t-intervals that hold the mean of all seeds.
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean with its bounds, which one value does not have."""

    mean: float
    low: float | None = None
    high: float | None = None


def interval(values: Sequence[float]) -> Interval:
    """Mean over seeds, and how far it can be trusted.

    Args:
        values: One number a seed.

    Returns:
        The mean alone of one value; of two with the least and the greatest, since no
        spread can be told from two; of more with the 95 % t-interval.

    Raises:
        ValueError: If there are no values.
    """
    if not values:
        raise ValueError("An interval needs at least one value, got none.")
    mean = statistics.fmean(values)
    if len(values) < 3:
        return Interval(mean, *((min(values), max(values)) if values[1:] else ()))
    quantile = scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    half = float(quantile) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)
