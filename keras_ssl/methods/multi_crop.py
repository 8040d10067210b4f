"""Views of several sizes through one encoder (SwAV, DINO)."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def by_size(
    function: Callable[[tf.Tensor], Any], views: Sequence[tf.Tensor]
) -> list[Any]:
    """Runs views of equal size in one pass each, as facebookresearch/swav does.

    A pass has batch statistics of its own. Its cost is that of its pixels: nothing is
    padded.

    Args:
        function: Maps `(m, h, w, 3)` images to tensors `(m, ...)`, in any structure.
        views: `(n, h, w, 3)` each; equal sizes must stand beside each other.

    Returns:
        What `function` makes of each view, in the views' order.
    """
    found: list[Any] = []
    for _, group in itertools.groupby(
        views, key=lambda view: view.shape[1:3].as_list()
    ):
        alike = list(group)
        made = function(tf.concat(alike, axis=0))
        parts = [tf.split(x, len(alike)) for x in tf.nest.flatten(made)]
        found += [
            tf.nest.pack_sequence_as(made, part) for part in zip(*parts, strict=True)
        ]
    return found
