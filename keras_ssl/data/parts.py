"""Some images of a source, as a source of their own."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_ssl.data.sources import Source


def take(
    whole: Source,
    name: str,
    chosen: np.ndarray,
    labels: np.ndarray | None = None,
    classes: tuple[str, ...] | None = None,
) -> Source:
    """The images of some numbers, in the order that they are given.

    Args:
        whole: Where they are taken from.
        name: Of the new source.
        chosen: `(n,)` indices in the whole.
        labels: Their labels `(n,)`; those of the whole if None.
        classes: Names of the labels; those of the whole if None.

    Returns:
        The source; reading is as lazy as the whole's.
    """
    with tf.device("CPU"):
        numbers = tf.constant(chosen, tf.int64)
    encoded, where = whole.encoded, whole.where
    if labels is None and whole.labels is not None:
        labels = whole.labels[chosen]
    return dataclasses.replace(
        whole,
        name=name,
        count=len(chosen),
        read=lambda index: whole.read(tf.gather(numbers, index)),
        labels=None if labels is None else np.asarray(labels, np.int64),
        classes=classes or whole.classes,
        encoded=encoded and (lambda index: encoded(tf.gather(numbers, index))),
        where=where and (lambda index: where(int(chosen[index]))),
    )
