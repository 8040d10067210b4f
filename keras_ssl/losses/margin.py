"""Losses over pairs that are told to be similar or not."""

import tensorflow as tf

from keras_ssl.core import checks, distribute

# Below any distance that matters; the root of 0 would have an infinite slope.
_TINY = 1e-30


def contrastive_pair(
    x1: tf.Tensor, x2: tf.Tensor, y: tf.Tensor, margin: float = 1.0
) -> tf.Tensor:
    """Pulls similar pairs together, pushes others a margin apart (DrLIM, eq. 4).

    With the Euclidean distance D: half of D squared for a similar pair, half of
    `max(0, margin - D)` squared for a dissimilar one. Some libraries (such as
    tensorflow/addons) swap the labels and leave out the half.

    Args:
        x1: `(n, d)` outputs for the first of each pair; not normalised here.
        x2: `(n, d)` outputs for the second.
        y: `(n,)`, 0 for similar and 1 for dissimilar pairs, of any dtype.
        margin: Positive distance from which dissimilar pairs rest.

    Returns:
        Scalar: the mean over the local pairs.

    Raises:
        ValueError: If the shapes do not fit or `margin` is not positive.
    """
    checks.positive(margin=margin)
    squared, y = _squared_distances(x1, x2, y)
    distance = tf.sqrt(tf.maximum(squared, _TINY))
    apart = tf.square(tf.nn.relu(margin - distance))
    return tf.reduce_mean((1.0 - y) * squared + y * apart) / 2.0


def pair_distances(x1: tf.Tensor, x2: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
    """Mean distances of the two kinds of pairs.

    Args:
        x1: `(n, d)` outputs for the first of each pair.
        x2: `(n, d)` outputs for the second.
        y: `(n,)`, 0 for similar and 1 for dissimilar pairs.

    Returns:
        Scalars `similar` and `dissimilar` over the global batch, without gradient; 0
        where there is no such pair.

    Raises:
        ValueError: If the shapes do not fit.
    """
    squared, y = _squared_distances(x1, x2, y)
    distance = tf.stop_gradient(tf.sqrt(squared))
    found = {}
    for name, share in (("similar", 1.0 - y), ("dissimilar", y)):
        sums = [tf.reduce_sum(distance * share), tf.reduce_sum(share)]
        distances, pairs = tf.unstack(distribute.total(tf.stack(sums)))
        found[name] = tf.math.divide_no_nan(distances, pairs)
    return found


def _squared_distances(
    x1: tf.Tensor, x2: tf.Tensor, y: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`(n,)` each: squared distances, and the labels in float32."""
    checks.rank(2, x1=x1)
    checks.rank(1, y=y)
    checks.same_shape(x1=x1, x2=x2)
    checks.same_rows(x1=x1, y=y)
    x1, x2 = tf.cast(x1, tf.float32), tf.cast(x2, tf.float32)
    squared = tf.reduce_sum(tf.math.squared_difference(x1, x2), axis=-1)
    return squared, tf.cast(y, tf.float32)
