"""Images whose places are easily told apart, for tests of dense evaluations."""

import numpy as np
import tensorflow as tf

from keras_ssl.data.sources import Source
from keras_ssl.data.truth import Truth
from keras_ssl.evaluation.data import EvaluationData

SIZE = 16


def half(images, rng):
    """Numbers 0 and 1 at each pixel `(n, h, w)`: a side of a drawn vertical line."""
    edges = rng.integers(3, SIZE - 3, size=(images, 1, 1))
    across = np.arange(SIZE)[None, None]
    left = np.broadcast_to(across < edges, (images, SIZE, SIZE))
    return np.where(rng.random((images, 1, 1)) < 0.5, left, ~left).astype(np.int32)


def source(split, kind="mask", count=24, classes=None, **changes):
    """Bright and dark sides, with noise; `changes` maps truths to others."""
    rng = np.random.default_rng(len(split))
    side = half(count, rng)
    noise = rng.integers(0, 40, size=(count, SIZE, SIZE, 3))
    images = tf.constant((60 + 120 * side[..., None] + noise).astype(np.uint8))
    truth = side if kind == "mask" else (2.0 + 3.0 * side).astype(np.float32)
    held = tf.constant(changes.get("change", lambda x: x)(truth))
    return Source(
        changes.get("name", "made:places"),
        split,
        count,
        (SIZE, SIZE, 3),
        lambda i: tf.gather(images, i),
        truth=Truth(kind, lambda i: tf.gather(held, i), classes),
    )


def data(kind="mask", **changes):
    """A train and a test split of them."""
    return EvaluationData(
        source("train", kind, **changes), source("test", kind, **changes), SIZE
    )
