"""How well a ranking finds what it should: average precision."""

import numpy as np


def average_precision(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Area under each row's curve of precision over recall, without interpolation.

    The sum of precisions at each threshold, weighted by the gain in recall, as
    scikit-learn's `average_precision_score`: examples of one score enter together.

    Args:
        scores: `(m, n)` floats, higher first.
        relevant: `(m, n)` booleans.

    Returns:
        `(m,)` float64 in [0, 1]; not a number where nothing is relevant.
    """
    found = np.full(len(scores), np.nan)
    for row, (every, right) in enumerate(zip(scores, relevant, strict=True)):
        # Sorting values takes a tenth of what sorting places takes.
        right = np.sort(every[right])
        if len(right):
            tp = len(right) - np.searchsorted(right, right)
            count = len(every) - np.searchsorted(np.sort(every), right)
            found[row] = np.mean(tp / count)
    return found


def eleven_point(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Mean of the best precision at recalls of at least 0, 0.1, ..., 1.

    The measure of PASCAL VOC 2007 (Everingham et al. 2010, section 4.2).

    Args:
        scores: `(m, n)` floats, higher first.
        relevant: `(m, n)` booleans.

    Returns:
        `(m,)` float64 in [0, 1]; not a number where nothing is relevant.
    """
    tp, count, ends = _thresholds(scores, relevant)
    precision = np.where(ends, tp / count, 0.0)
    total = tp[:, -1:].astype(np.float64)
    # The best precision from here on, as recall never falls.
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found = np.zeros(len(tp))
    for tenth in range(11):
        # In whole numbers: 0.1 * 3 is more than 0.3.
        enough = 10 * tp >= tenth * total
        first = np.argmax(enough, axis=1)
        found += best[np.arange(len(tp)), first] / 11
    return np.where(total[:, 0] > 0, found, np.nan)


def _thresholds(
    scores: np.ndarray, relevant: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Relevant ones among the first so many, how many, and where a score ends."""
    order = np.argsort(-scores, axis=1, kind="stable")
    sorted_ = np.take_along_axis(scores, order, 1)
    tp = np.cumsum(np.take_along_axis(relevant, order, 1), axis=1)
    ends = np.ones(scores.shape, bool)
    ends[:, :-1] = sorted_[:, 1:] != sorted_[:, :-1]
    return tp, np.arange(1, scores.shape[1] + 1), ends
