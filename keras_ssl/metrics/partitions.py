"""How far two partitions of the same examples agree, whatever their numbering."""

import numpy as np
from scipy import optimize


def contingency(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How many examples are in cluster `i` of the one and `j` of the other.

    Args:
        first: `(n,)` integers, at least 0.
        second: The same in the other partition.

    Returns:
        `(a, b)` int64.
    """
    table = np.zeros((int(np.max(first)) + 1, int(np.max(second)) + 1), np.int64)
    np.add.at(table, (first, second), 1)
    return table


def adjusted_rand(first: np.ndarray, second: np.ndarray) -> float:
    """Share of pairs on which both agree, 0 where by chance (ARI).

    Hubert and Arabie 1985, eq. 5.

    Args:
        first: `(n,)` integers, at least 0.
        second: The same in the other partition.

    Returns:
        At most 1, of equal partitions.
    """

    def pairs(counts: np.ndarray) -> float:
        return float(np.sum(counts * (counts - 1.0)) / 2)

    table = contingency(first, second)
    both, all_ = pairs(table), pairs(np.array([len(first)]))
    mine, theirs = pairs(table.sum(1)), pairs(table.sum(0))
    if mine == theirs and mine in (0.0, all_):
        return 1.0
    chance = mine * theirs / all_
    return (both - chance) / ((mine + theirs) / 2 - chance)


def matched_accuracy(clusters: np.ndarray, labels: np.ndarray) -> float:
    """Share of examples whose label is their cluster's, clusters matched at best.

    Args:
        clusters: `(n,)` integers, at least 0.
        labels: `(n,)` integers, at least 0.

    Returns:
        In [0, 1]. Each cluster has one label, each label at most one cluster.
    """
    table = contingency(clusters, labels)
    return float(table[optimize.linear_sum_assignment(-table)].sum() / len(labels))
