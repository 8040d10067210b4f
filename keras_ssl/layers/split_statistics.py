"""Batch statistics of a part of the batch, which keep MoCo's queries from cheating.

A batch norm lets a row see the others. Where a query and its key are normalised beside
the same images, that alone tells which key is whose, and the loss falls without
anything being learned (He et al. 2019, https://arxiv.org/abs/1911.05722, section 3.3).
The authors shuffle keys over GPUs, each of which has statistics of its own. Here batch
norms span all replicas, so the batch itself is split, the same way for any number of
them:

    queries: group `row % splits`, keys: group `(row // splits) % splits`.

A query's group holds each group of keys in equal parts, so it shares with its key one
in `splits` of the images that it is normalised with, as by chance. No shuffle is
needed: the rows of a batch are in random order already.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def for_queries(
    function: Callable[[tf.Tensor], Any], images: tf.Tensor, splits: int
) -> Any:
    """Runs `function` on the groups of queries, each in a pass of its own.

    Args:
        function: Maps `(m, ...)` to tensors `(m, ...)`, in any structure.
        images: `(n, ...)`, this replica's rows.
        splits: Number of groups; 1 for one pass.

    Returns:
        What `function` makes, `(n, ...)` in the order of `images`.

    Raises:
        ValueError: If the groups would not be equal.
    """
    return _in_groups(function, images, splits, axis=2)


def for_keys(
    function: Callable[[tf.Tensor], Any], images: tf.Tensor, splits: int
) -> Any:
    """Runs `function` on the groups of keys; else as `for_queries`.

    Args:
        function: Maps `(m, ...)` to tensors `(m, ...)`, in any structure.
        images: `(n, ...)`, this replica's rows.
        splits: Number of groups; 1 for one pass.

    Returns:
        What `function` makes, `(n, ...)` in the order of `images`.

    Raises:
        ValueError: If the groups would not be equal.
    """
    return _in_groups(function, images, splits, axis=1)


def _in_groups(
    function: Callable[[tf.Tensor], Any], images: tf.Tensor, splits: int, axis: int
) -> Any:
    if splits == 1:
        return function(images)
    rows = images.shape[0]
    if splits < 1 or rows % splits**2:
        raise ValueError(
            f"splits={splits} needs a multiple of {splits} x {splits} rows on each "
            f"replica, and in each chunk of it, got {rows}: take fewer splits, or a "
            "batch size that is a multiple of splits x splits x replicas x "
            "train.accumulate."
        )
    # A row is `(r * splits + b) * splits + a`: `a` is its group as a query, `b` as a
    # key. A replica's first row is a multiple of splits x splits, so that its local
    # rows tell the groups.
    grid = tf.reshape(images, [-1, splits, splits, *images.shape[1:]])
    made = [
        function(tf.reshape(group, [-1, *images.shape[1:]]))
        for group in tf.unstack(grid, axis=axis)
    ]

    def back(*groups: tf.Tensor) -> tf.Tensor:
        parts = [tf.reshape(x, [-1, splits, *x.shape[1:]]) for x in groups]
        return tf.reshape(tf.stack(parts, axis=axis), [rows, *groups[0].shape[1:]])

    return tf.nest.map_structure(back, *made)
