"""Some of the images of a source, as a source of its own."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.data.sources import Source


def rows_of(whole: Source, chosen: np.ndarray, **changes: Any) -> Source:
    """Takes some images of a source.

    Args:
        whole: The source.
        chosen: Their numbers, `(n,)` int64.
        **changes: Attributes of the result that differ, such as its `labels`.

    Returns:
        The source of `n` images.
    """
    with tf.device("CPU"):
        numbers = tf.constant(chosen, tf.int64)
    encoded, where = whole.encoded, whole.where
    labels = None if whole.labels is None else whole.labels[chosen]
    some = dataclasses.replace(
        whole,
        count=len(chosen),
        read=lambda index: whole.read(tf.gather(numbers, index)),
        labels=labels,
        encoded=encoded and (lambda index: encoded(tf.gather(numbers, index))),
        where=where and (lambda index: where(int(chosen[index]))),
        truth=whole.truth and whole.truth.at(numbers),
    )
    return dataclasses.replace(some, **changes)
