"""Views of several sizes through one encoder (SwAV, DINO)."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def by_size(
    function: Callable[..., Any],
    views: Sequence[tf.Tensor],
    *beside: Sequence[tf.Tensor],
) -> list[Any]:
    """Runs views of equal size in one pass each, as facebookresearch/swav does.

    A pass has batch statistics of its own. Its cost is that of its pixels: nothing is
    padded.

    Args:
        function: Maps `(m, h, w, 3)` images, and what comes beside them, to tensors
            `(m, ...)`, in any structure.
        views: `(n, h, w, 3)` each; equal sizes must stand beside each other.
        *beside: Further arguments of `function`, each with a tensor `(n, ...)` for
            every view, such as its examples' seeds.

    Returns:
        What `function` makes of each view, in the views' order.
    """
    found: list[Any] = []
    for _, group in itertools.groupby(
        zip(views, *beside, strict=True), key=lambda row: row[0].shape[1:3].as_list()
    ):
        columns = list(zip(*group, strict=True))
        made = function(*(tf.concat(column, axis=0) for column in columns))
        parts = [tf.split(x, len(columns[0])) for x in tf.nest.flatten(made)]
        found += [
            tf.nest.pack_sequence_as(made, part) for part in zip(*parts, strict=True)
        ]
    return found
