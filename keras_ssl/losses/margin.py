"""Losses that hold pairs of vectors to a margin."""

import tensorflow as tf

# Below it a root's slope is taken for 0: at 0 it has none.
_TINY = 1e-12


def contrastive_pair(
    x1: tf.Tensor, x2: tf.Tensor, y: tf.Tensor, margin: float = 1.0
) -> tf.Tensor:
    """Draws similar pairs together, dissimilar ones a margin apart (DrLIM, eq. 4).

    `(1 - y) / 2 * D^2 + y / 2 * max(0, margin - D)^2`, `D` being the distance of the
    vectors as they are. Many libraries turn the labels round or leave out the halves.

    Args:
        x1: `(n, d)` vectors.
        x2: `(n, d)` vectors that they are paired with.
        y: `(n,)` labels, 0 for similar and 1 for dissimilar pairs, of any dtype.
        margin: Distance from which on dissimilar pairs are left alone, positive.

    Returns:
        Scalar: the mean over the `n` local pairs.

    Raises:
        ValueError: If the margin is not positive or the shapes differ.
    """
    if not margin > 0:
        raise ValueError(f"margin must be positive, got {margin}.")
    if not x1.shape.is_compatible_with(x2.shape):
        raise ValueError(
            f"x1 and x2 must have the same shape, got {x1.shape} and {x2.shape}."
        )
    y = tf.cast(y, x1.dtype)
    squared = tf.reduce_sum(tf.math.squared_difference(x1, x2), axis=-1)
    short = tf.nn.relu(margin - tf.sqrt(tf.maximum(squared, _TINY)))
    return tf.reduce_mean((1.0 - y) * squared + y * tf.square(short)) / 2.0
